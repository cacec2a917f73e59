//! From bytes to a [`Document`]: a descent over quick-xml events that remembers offsets.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::document::Sections;
use super::{
    Dim, Document, EdgeElement, ElementType, LayerElement, PortElement, RtInfo, Shape, ShapeDisplay,
    is_absurd,
};
use crate::error::{Error, Result};

/// Axes of a tensor; frameworks stop long before.
const MAX_RANK: usize = 64;

/// Ids beyond this leave no room for those of added layers.
const MAX_ID: u64 = i64::MAX as u64;

/// Control-flow bodies nest, and so does `<rt_info>`; nothing real comes near this.
const MAX_DEPTH: usize = 256;

pub(super) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Document> {
    let text = std::str::from_utf8(&bytes).map_err(|e| Error::Xml {
        path: path.to_path_buf(),
        offset: e.valid_up_to(),
        message: "not UTF-8; is this the XML of an IR?".to_owned(),
    })?;
    if let Some(offset) = text.find('\0') {
        let message = "a zero byte; is this the XML of an IR?".to_owned();
        return Err(Error::Xml { path: path.to_path_buf(), offset, message });
    }
    // The reader would pass over a byte order mark without counting it.
    let marked = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(marked);
    reader.config_mut().expand_empty_elements = false;
    let net = Parser { reader, path, text, skipped: text.len() - marked.len() }.document()?;
    let document = Document {
        path: path.to_path_buf(),
        version: net.version,
        layers: net.layers,
        edges: net.edges,
        rt_info: net.rt_info,
        sections: net.sections,
        bytes,
    };
    check_ids(&document)?;
    Ok(document)
}

#[derive(Default)]
struct Net {
    version: u32,
    layers: Vec<LayerElement>,
    edges: Vec<EdgeElement>,
    rt_info: RtInfo,
    sections: Sections,
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    path: &'a Path,
    text: &'a str,
    /// Bytes of `text` before those that the reader was given.
    skipped: usize,
}

/// An element's opening tag: `open` is false for `<element/>`.
struct Tag<'a> {
    start: BytesStart<'a>,
    open: bool,
    span: Range<usize>,
}

/// What may stand between the tags of an element.
enum Item<'a> {
    Tag(Tag<'a>),
    Text(Range<usize>),
    /// The closing tag of the element that is being read.
    Close(Range<usize>),
}

impl<'a> Parser<'a> {
    fn document(mut self) -> Result<Net> {
        let mut net = None;
        loop {
            let start = self.offset();
            match self.event()? {
                Event::Eof => break,
                Event::Start(tag) if tag.name().as_ref() == "net" && net.is_none() => {
                    let span = start..self.offset();
                    net = Some(self.net(&Tag { start: tag, open: true, span })?);
                }
                Event::Empty(tag) if tag.name().as_ref() == "net" && net.is_none() => {
                    return Err(self.fail(start, "<net> is empty: it has no layers".to_owned()));
                }
                Event::Start(tag) | Event::Empty(tag) => {
                    let name = name_of(&tag);
                    return Err(self
                        .fail(start, format!("expected one <net> element, found <{name}>; is this an IR?")));
                }
                Event::End(_) => {
                    return Err(self.fail(start, "a closing tag without an opening one".to_owned()));
                }
                _ => {}
            }
        }
        let end = self.text.len();
        net.ok_or_else(|| self.fail(end, "no <net> element; is this the XML of an IR?".to_owned()))
    }

    fn net(&mut self, tag: &Tag<'a>) -> Result<Net> {
        let mut net = Net { version: self.version(tag)?, ..Net::default() };
        let (mut layers, mut edges) = (false, false);
        loop {
            match self.item("net")? {
                Item::Close(span) => {
                    net.sections.net_end = span.start;
                    break;
                }
                Item::Text(_) => {}
                Item::Tag(tag) => match tag.start.name().as_ref() {
                    "layers" if !layers => {
                        layers = true;
                        net.sections.layers = self.each(&tag, "layers", |this, child| {
                            net.layers.push(this.layer(child)?);
                            Ok(())
                        })?;
                    }
                    "edges" if !edges => {
                        edges = true;
                        net.sections.edges = self.each(&tag, "edges", |this, child| {
                            net.edges.push(this.edge(child)?);
                            Ok(())
                        })?;
                    }
                    "rt_info" if net.sections.rt_info.is_none() => {
                        let mut spans = Vec::new();
                        let mut children = Vec::new();
                        let span = self.each(&tag, "rt_info", |this, child| {
                            let (node, end) = this.rt_info(&child, 1)?;
                            spans.push(child.span.start..end);
                            children.push(node);
                            Ok(())
                        })?;
                        net.sections.rt_info = Some(span);
                        net.sections.rt_info_children = spans;
                        net.rt_info.children = children;
                    }
                    "layers" | "edges" | "rt_info" => {
                        let name = name_of(&tag.start);
                        return Err(self.fail(tag.span.start, format!("a second <{name}> in one net")));
                    }
                    _ => {
                        self.skip(&tag)?;
                    }
                },
            }
        }
        for (found, name) in [(layers, "layers"), (edges, "edges")] {
            if !found {
                return Err(self.fail(tag.span.start, format!("the net has no <{name}>")));
            }
        }
        Ok(net)
    }

    fn version(&self, tag: &Tag<'a>) -> Result<u32> {
        let attributes = self.attributes(tag)?;
        let text = find(&attributes, "version").unwrap_or("");
        match text.parse() {
            Ok(version @ (10 | 11)) => Ok(version),
            _ => Err(self.fail(
                tag.span.start,
                format!("IR version \"{text}\" is not supported (10 and 11 are); convert the model with a current OpenVINO"),
            )),
        }
    }

    fn layer(&mut self, tag: Tag<'a>) -> Result<LayerElement> {
        if tag.start.name().as_ref() != "layer" {
            return Err(self.unexpected(&tag, "layers"));
        }
        let attributes = self.attributes(&tag)?;
        let text = |name: &str| {
            let found = find(&attributes, name).map(str::to_owned);
            found
                .ok_or_else(|| self.fail(tag.span.start, format!("a <layer> without the attribute '{name}'")))
        };
        let mut layer = LayerElement {
            id: self.number(&tag, &text("id")?, "id")?,
            name: text("name")?,
            kind: text("type")?,
            opset: find(&attributes, "version").unwrap_or("opset1").to_owned(),
            data: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            has_body: false,
            output_names: find(&attributes, "output_names").map(split_names).unwrap_or_default(),
            preprocessing: false,
            span: tag.span.clone(),
        };
        if tag.open {
            loop {
                match self.item("layer")? {
                    Item::Close(span) => {
                        layer.span.end = span.end;
                        break;
                    }
                    Item::Text(_) => {}
                    Item::Tag(child) => match child.start.name().as_ref() {
                        "data" => {
                            layer.data = self.attributes(&child)?;
                            self.skip(&child)?;
                        }
                        "input" => self.ports(&child, "input", &mut layer.inputs)?,
                        "output" => self.ports(&child, "output", &mut layer.outputs)?,
                        "rt_info" => {
                            layer.preprocessing =
                                self.runtime_attribute(&child, "preprocessing", "version")?.is_some();
                        }
                        "body" | "then_body" | "else_body" => {
                            layer.has_body = true;
                            self.skip(&child)?;
                        }
                        _ => {
                            self.skip(&child)?;
                        }
                    },
                }
            }
        }
        Ok(layer)
    }

    fn ports(&mut self, tag: &Tag<'a>, parent: &str, ports: &mut Vec<PortElement>) -> Result<()> {
        self.each(tag, parent, |this, child| {
            if child.start.name().as_ref() != "port" {
                return Err(this.unexpected(&child, parent));
            }
            ports.push(this.port(child)?);
            Ok(())
        })?;
        Ok(())
    }

    fn port(&mut self, tag: Tag<'a>) -> Result<PortElement> {
        let attributes = self.attributes(&tag)?;
        let id = find(&attributes, "id").unwrap_or("");
        let precision = match find(&attributes, "precision") {
            None => None,
            Some(text) => Some(
                ElementType::from_precision(text)
                    .ok_or_else(|| self.fail(tag.span.start, format!("unknown element type '{text}'")))?,
            ),
        };
        let mut port = PortElement {
            id: self.number(&tag, id, "id")?,
            precision,
            names: find(&attributes, "names").map(split_names).unwrap_or_default(),
            dims: Shape::new(),
            layout: None,
        };
        if tag.open {
            loop {
                match self.item("port")? {
                    Item::Close(_) => break,
                    Item::Text(_) => {}
                    Item::Tag(child) if child.start.name().as_ref() == "dim" => {
                        port.dims.push(self.dim(&child)?)
                    }
                    Item::Tag(child) if child.start.name().as_ref() == "rt_info" => {
                        port.layout = self.runtime_attribute(&child, "layout", "layout")?;
                    }
                    Item::Tag(child) => {
                        self.skip(&child)?;
                    }
                }
            }
        }
        if port.dims.len() > MAX_RANK {
            let message =
                format!("port {} has {} dimensions, more than {MAX_RANK}", port.id, port.dims.len());
            return Err(self.fail(tag.span.start, message));
        }
        if is_absurd(&port.dims) {
            let message =
                format!("port {} has dims {}, which no machine can hold", port.id, ShapeDisplay(&port.dims));
            return Err(self.fail(tag.span.start, message));
        }
        Ok(port)
    }

    fn dim(&mut self, tag: &Tag<'a>) -> Result<Dim> {
        let mut text = String::new();
        if tag.open {
            loop {
                match self.item("dim")? {
                    Item::Close(_) => break,
                    Item::Text(span) => text.push_str(&self.text[span]),
                    Item::Tag(child) => return Err(self.unexpected(&child, "dim")),
                }
            }
        }
        match text.trim() {
            "-1" => Ok(Dim::Dynamic),
            text => match text.parse::<u64>().ok().and_then(|value| i64::try_from(value).ok()) {
                Some(value) => Ok(Dim::Fixed(usize::try_from(value).unwrap_or(usize::MAX))),
                None => Err(self.fail(tag.span.start, format!("'{text}' is no dimension"))),
            },
        }
    }

    fn edge(&mut self, tag: Tag<'a>) -> Result<EdgeElement> {
        if tag.start.name().as_ref() != "edge" {
            return Err(self.unexpected(&tag, "edges"));
        }
        let attributes = self.attributes(&tag)?;
        let text = |name: &str| find(&attributes, name).unwrap_or("");
        let mut edge = EdgeElement {
            from: (
                self.number(&tag, text("from-layer"), "from-layer")?,
                self.number(&tag, text("from-port"), "from-port")?,
            ),
            to: (
                self.number(&tag, text("to-layer"), "to-layer")?,
                self.number(&tag, text("to-port"), "to-port")?,
            ),
            span: tag.span.clone(),
        };
        edge.span.end = self.skip(&tag)?;
        Ok(edge)
    }

    fn rt_info(&mut self, tag: &Tag<'a>, depth: usize) -> Result<(RtInfo, usize)> {
        if depth > MAX_DEPTH {
            return Err(self.fail(tag.span.start, format!("elements nested more than {MAX_DEPTH} deep")));
        }
        let attributes = self.attributes(tag)?;
        let mut node = RtInfo {
            name: name_of(&tag.start),
            value: find(&attributes, "value").map(str::to_owned),
            children: Vec::new(),
        };
        let mut end = tag.span.end;
        if tag.open {
            loop {
                match self.item(&node.name)? {
                    Item::Close(span) => {
                        end = span.end;
                        break;
                    }
                    Item::Text(_) => {}
                    Item::Tag(child) => node.children.push(self.rt_info(&child, depth + 1)?.0),
                }
            }
        }
        // OpenVINO writes keys that are no XML names so.
        if let Some(key) = find(&attributes, "name").filter(|_| node.name == "info") {
            node.name = key.to_owned();
        }
        Ok((node, end))
    }

    /// What `<attribute name="…" />` in an `<rt_info>` of a layer or port says under a key.
    fn runtime_attribute(&mut self, tag: &Tag<'a>, name: &str, key: &str) -> Result<Option<String>> {
        let mut found = None;
        self.each(tag, "rt_info", |this, child| {
            // Nothing else here matters, so nothing else can be wrong.
            let text = |key| {
                child.start.try_get_attribute(key).ok()??.normalized_value(XmlVersion::Explicit1_0).ok()
            };
            if text("name").is_some_and(|text| text == name) {
                found = text(key).map(std::borrow::Cow::into_owned);
            }
            this.skip(&child)?;
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `visit` for each child of `tag`; returns the span of the whole element.
    fn each(
        &mut self,
        tag: &Tag<'a>,
        name: &str,
        mut visit: impl FnMut(&mut Self, Tag<'a>) -> Result<()>,
    ) -> Result<Range<usize>> {
        let start = tag.span.start;
        if !tag.open {
            return Ok(tag.span.clone());
        }
        loop {
            match self.item(name)? {
                Item::Close(span) => return Ok(start..span.end),
                Item::Text(_) => {}
                Item::Tag(child) => visit(self, child)?,
            }
        }
    }

    /// Passes over an element, whatever is in it; returns where it ends.
    fn skip(&mut self, tag: &Tag<'a>) -> Result<usize> {
        let mut depth = usize::from(tag.open);
        while depth > 0 {
            let start = self.offset();
            match self.event()? {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                Event::Eof => return Err(self.truncated(&name_of(&tag.start))),
                _ => {}
            }
            if depth > MAX_DEPTH {
                return Err(self.fail(start, format!("elements nested more than {MAX_DEPTH} deep")));
            }
        }
        Ok(self.offset())
    }

    fn item(&mut self, parent: &str) -> Result<Item<'a>> {
        loop {
            let start = self.offset();
            let event = self.event()?;
            let span = start..self.offset();
            match event {
                Event::Start(start) => return Ok(Item::Tag(Tag { start, open: true, span })),
                Event::Empty(start) => return Ok(Item::Tag(Tag { start, open: false, span })),
                Event::Text(_) => return Ok(Item::Text(span)),
                // quick-xml itself checks that the names match.
                Event::End(_) => return Ok(Item::Close(span)),
                Event::Eof => return Err(self.truncated(parent)),
                _ => {}
            }
        }
    }

    fn event(&mut self) -> Result<Event<'a>> {
        match self.reader.read_event() {
            Ok(event) => Ok(event),
            Err(e) => {
                let offset = usize::try_from(self.reader.error_position()).unwrap_or(usize::MAX);
                Err(self.fail(offset.saturating_add(self.skipped), format!("not well-formed XML: {e}")))
            }
        }
    }

    fn attributes(&self, tag: &Tag<'a>) -> Result<Vec<(String, String)>> {
        let fail = |e: &dyn std::fmt::Display| self.fail(tag.span.start, format!("bad attribute: {e}"));
        let mut attributes = Vec::new();
        for attribute in tag.start.attributes() {
            let attribute = attribute.map_err(|e| fail(&e))?;
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|e| fail(&e))?;
            let name = attribute.key.as_ref().to_owned();
            attributes.push((name, value.into_owned()));
        }
        Ok(attributes)
    }

    fn number<T: std::str::FromStr>(&self, tag: &Tag<'a>, text: &str, name: &str) -> Result<T> {
        text.trim().parse().map_err(|_| {
            let element = name_of(&tag.start);
            let message = match text {
                "" => format!("a <{element}> without the attribute '{name}'"),
                _ => format!("{name}=\"{text}\" of <{element}> is no number"),
            };
            self.fail(tag.span.start, message)
        })
    }

    fn offset(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX).saturating_add(self.skipped)
    }

    fn truncated(&self, parent: &str) -> Error {
        self.fail(self.text.len(), format!("the file ends inside <{parent}>; it is truncated"))
    }

    fn unexpected(&self, tag: &Tag<'a>, parent: &str) -> Error {
        self.fail(tag.span.start, format!("unexpected <{}> in <{parent}>", name_of(&tag.start)))
    }

    fn fail(&self, offset: usize, message: String) -> Error {
        Error::Xml { path: self.path.to_path_buf(), offset, message }
    }
}

fn name_of(tag: &BytesStart<'_>) -> String {
    tag.name().as_ref().to_owned()
}

fn find<'b>(attributes: &'b [(String, String)], name: &str) -> Option<&'b str> {
    attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Splits `a\,b,c` into `a,b` and `c`.
fn split_names(text: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&',') => push(&mut names, ','),
            ',' => names.push(String::new()),
            c => push(&mut names, c),
        }
        if c == '\\' && chars.peek() == Some(&',') {
            chars.next();
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn push(names: &mut [String], c: char) {
    if let Some(last) = names.last_mut() {
        last.push(c);
    }
}

fn check_ids(document: &Document) -> Result<()> {
    let mut seen: HashMap<u64, &LayerElement> = HashMap::with_capacity(document.layers.len());
    for layer in &document.layers {
        if let Some(first) = seen.insert(layer.id, layer) {
            let message = format!("its id is already taken by layer '{}'", first.name);
            return Err(Error::Layer { place: layer.place(None), message });
        }
        if layer.id > MAX_ID {
            let message = "its id leaves no room for more layers".to_owned();
            return Err(Error::Layer { place: layer.place(None), message });
        }
        let mut ports: Vec<u32> = layer.inputs.iter().chain(&layer.outputs).map(|port| port.id).collect();
        ports.sort_unstable();
        if let Some(twice) = ports.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::Layer {
                place: layer.place(Some(twice[0])),
                message: "two ports with this id".to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Document> {
        parse(Path::new("m.xml"), text.as_bytes().to_vec())
    }

    #[test]
    fn names_split_at_bare_commas_only() {
        assert_eq!(split_names(r"a\,b,c"), ["a,b", "c"]);
        assert_eq!(split_names(""), Vec::<String>::new());
        assert_eq!(split_names(r"a\b"), [r"a\b"]);
    }

    #[test]
    fn bodies_are_not_mistaken_for_the_net() {
        let text = r#"<net name="n" version="11"><layers>
            <layer id="0" name="l" type="Loop" version="opset5"><body><layers><layer id="0" name="x" type="Parameter"/></layers><edges/></body></layer>
            </layers><edges/></net>"#;
        let document = parse_text(text).unwrap();
        assert_eq!(document.layers().len(), 1);
        assert!(document.layers()[0].has_body);
        assert_eq!(&text[document.layers()[0].span.clone()][..9], "<layer id");
    }

    #[test]
    fn nesting_is_bounded_and_does_not_recurse() {
        let mut text = String::from("<net name=\"n\" version=\"11\"><layers/><edges/><x>");
        text.push_str(&"<a>".repeat(1_000_000));
        let error = parse_text(&text).unwrap_err().to_string();
        assert!(error.contains("nested more than 256 deep"), "{error}");
        let text = text.replace("<x>", "<rt_info>");
        let error = parse_text(&text).unwrap_err().to_string();
        assert!(error.contains("nested more than 256 deep"), "{error}");
    }

    #[test]
    fn spans_count_a_byte_order_mark() {
        let text = "\u{feff}<net version=\"11\"><layers></layers><edges/></net>";
        let document = parse_text(text).unwrap();
        assert_eq!(&text[document.sections.layers], "<layers></layers>");
        let error = parse_text("\u{feff}<met/>").unwrap_err().to_string();
        assert!(error.contains("byte 3:"), "{error}");
    }

    #[test]
    fn truncation_names_the_open_element() {
        let error = parse_text("<net name=\"n\" version=\"11\"><layers>").unwrap_err().to_string();
        assert_eq!(error, "m.xml, byte 35: the file ends inside <layers>; it is truncated");
    }
}
