//! An IR as any XML reader sees it, so that tests need not believe the library's own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

#[derive(Debug, Clone, Default)]
pub struct Layer {
    pub name: String,
    pub kind: String,
    /// Attributes of `<data>`, in order.
    pub data: Vec<(String, String)>,
    /// Bytes from `<layer` to `</layer>`.
    pub span: Range<usize>,
}

#[derive(Debug, Default)]
pub struct Ir {
    pub text: String,
    pub layers: Vec<Layer>,
    /// Bytes of each `<edge/>`.
    pub edges: Vec<Range<usize>>,
    /// What is recorded of a branch in the net's `rt_info`.
    pub record: BTreeMap<String, String>,
}

impl Ir {
    pub fn read(path: &Path) -> Self {
        let mut ir = Self { text: std::fs::read_to_string(path).unwrap(), ..Self::default() };
        let text = ir.text.clone();
        let mut reader = Reader::from_str(&text);
        let mut open: Vec<String> = Vec::new();
        loop {
            let start = usize::try_from(reader.buffer_position()).unwrap();
            match reader.read_event().unwrap_or_else(|e| panic!("{}: {e}", path.display())) {
                Event::Start(tag) => {
                    open.push(tag.name().as_ref().to_owned());
                    ir.begin(&open, &tag, start);
                }
                Event::Empty(tag) => {
                    open.push(tag.name().as_ref().to_owned());
                    ir.begin(&open, &tag, start);
                    ir.end(&open, usize::try_from(reader.buffer_position()).unwrap());
                    open.pop();
                }
                Event::End(_) => {
                    ir.end(&open, usize::try_from(reader.buffer_position()).unwrap());
                    open.pop();
                }
                Event::Eof => return ir,
                _ => {}
            }
        }
    }

    fn begin(&mut self, open: &[String], tag: &BytesStart<'_>, start: usize) {
        let attributes = attributes(tag);
        let of = |name: &str| {
            let found = attributes.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let path: Vec<&str> = open.iter().map(String::as_str).collect();
        match path[..] {
            ["net", "layers", "layer"] => {
                let (name, kind) = (of("name"), of("type"));
                self.layers.push(Layer { name, kind, span: start..start, ..Layer::default() });
            }
            ["net", "layers", "layer", "data"] => self.layers.last_mut().unwrap().data = attributes,
            ["net", "edges", "edge"] => self.edges.push(start..start),
            ["net", "rt_info", "xai", key] => {
                self.record.insert(key.to_owned(), of("value"));
            }
            _ => {}
        }
    }

    fn end(&mut self, open: &[String], end: usize) {
        let path: Vec<&str> = open.iter().map(String::as_str).collect();
        match path[..] {
            ["net", "layers", "layer"] => self.layers.last_mut().unwrap().span.end = end,
            ["net", "edges", "edge"] => self.edges.last_mut().unwrap().end = end,
            _ => {}
        }
    }
}

fn attributes(tag: &BytesStart<'_>) -> Vec<(String, String)> {
    let read = tag.attributes().map(|attribute| {
        let attribute = attribute.unwrap();
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).unwrap().into_owned();
        (attribute.key.as_ref().to_owned(), value)
    });
    read.collect()
}
