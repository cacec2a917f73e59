//! Additions to a document, written between its own bytes; and their removal.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::Document;
use super::record::{Record, SECTION, key};
use crate::error::{Error, Result};

/// What is added to a document: fragments of XML for each of its three sections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Splice {
    /// `<layer>` elements, each preceded by a line break.
    pub layers: String,
    /// `<edge>` elements, each preceded by a line break.
    pub edges: String,
    /// Entries of our own section in the net's `<rt_info>`: name and value.
    pub(crate) record: Record,
}

const SECTION_START: &str = "\n\t\t<xai>";
const SECTION_END: &str = "\n\t\t</xai>";

impl Splice {
    /// The document's bytes with the additions in place; `bin_bytes` is the size of the original BIN.
    pub(crate) fn apply(&self, document: &Document, bin_bytes: usize) -> Vec<u8> {
        let original = document.bytes();
        let sections = &document.sections;
        let mut cuts: Vec<(std::ops::Range<usize>, String)> = vec![
            inside(original, &sections.layers, "layers", &self.layers),
            inside(original, &sections.edges, "edges", &self.edges),
        ];
        let was = match &sections.rt_info {
            None => "none",
            Some(span) if original[..span.end].ends_with(b"/>") => {
                std::str::from_utf8(&original[span.clone()]).unwrap_or("section")
            }
            Some(_) => "section",
        };
        let section = self.section(original, was, bin_bytes);
        cuts.push(match &sections.rt_info {
            None => (sections.net_end..sections.net_end, format!("\t<rt_info>{section}\n\t</rt_info>\n")),
            Some(span) => inside(original, span, "rt_info", &section),
        });
        cuts.sort_by_key(|(span, _)| span.start);
        let mut out =
            Vec::with_capacity(original.len() + cuts.iter().map(|(_, text)| text.len()).sum::<usize>());
        let mut at = 0;
        for (span, text) in cuts {
            out.extend_from_slice(&original[at..span.start]);
            out.extend_from_slice(text.as_bytes());
            at = span.end;
        }
        out.extend_from_slice(&original[at..]);
        out
    }

    fn section(&self, original: &[u8], was: &str, bin_bytes: usize) -> String {
        let own = [
            (key::LAYERS_BYTES, self.layers.len().to_string()),
            (key::EDGES_BYTES, self.edges.len().to_string()),
            (key::RT_INFO_WAS, was.to_owned()),
            (key::BIN_BYTES, bin_bytes.to_string()),
            (key::XML_SHA256, hex(&Sha256::digest(original))),
        ];
        let mut text = String::from(SECTION_START);
        let record = self.record.entries().iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in record.chain(own.iter().map(|(name, value)| (*name, value))) {
            let _ = write!(text, "\n\t\t\t<{name} value=\"{}\" />", escape(value));
        }
        text.push_str(SECTION_END);
        text
    }

    /// The XML as it was before [`Splice::apply`], and the size that its BIN had.
    ///
    /// # Errors
    /// [`Error::Usage`] where the document holds no branch of ours, or has been rewritten since
    /// by something else, so that its original bytes are gone.
    pub(crate) fn remove(document: &Document) -> Result<(Vec<u8>, usize)> {
        let path = document.path().display();
        // Of several branches the last one added is the one that can be told apart: its parts are at the ends.
        let children = &document.rt_info().children;
        let ours = children.iter().rposition(|child| child.name == SECTION);
        let own = |name| ours.and_then(|at| children[at].get(&[name]));
        let Some(digest) = own(key::XML_SHA256) else {
            return Err(Error::usage(format!(
                "{path}: no branch added by xai-insert is recorded in this model"
            )));
        };
        let rewritten = || {
            Error::usage(format!(
                "{path}: the file was written anew by another tool after the branch was added, \
                 so the original bytes cannot be restored; convert or copy the original model again"
            ))
        };
        let number = |name| own(name).and_then(|text| text.parse::<usize>().ok()).ok_or_else(rewritten);
        let (layers, edges, bin) =
            (number(key::LAYERS_BYTES)?, number(key::EDGES_BYTES)?, number(key::BIN_BYTES)?);
        let was = own(key::RT_INFO_WAS).unwrap_or("");
        let bytes = document.bytes();
        let sections = &document.sections;
        let mut cuts = Vec::new();
        for (span, size, name) in [(&sections.layers, layers, "layers"), (&sections.edges, edges, "edges")] {
            cuts.push(added(bytes, span, size, name).ok_or_else(rewritten)?);
        }
        let rt_info = sections.rt_info.clone().ok_or_else(rewritten)?;
        let at = ours.ok_or_else(rewritten)?;
        let end = sections.rt_info_children.get(at).map(|span| span.end).ok_or_else(rewritten)?;
        let start = find_back(bytes, end, SECTION_START.as_bytes()).ok_or_else(rewritten)?;
        cuts.push(match was {
            "section" => (start..end, ""),
            "none" => (rt_info.start.saturating_sub(1)..(rt_info.end + 1).min(bytes.len()), ""),
            element => (rt_info, element),
        });
        cuts.sort_by_key(|(span, _)| span.start);
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for (span, text) in cuts {
            out.extend_from_slice(bytes.get(at..span.start).ok_or_else(rewritten)?);
            out.extend_from_slice(text.as_bytes());
            at = span.end;
        }
        out.extend_from_slice(bytes.get(at..).ok_or_else(rewritten)?);
        if hex(&Sha256::digest(&out)) == digest { Ok((out, bin)) } else { Err(rewritten()) }
    }
}

/// Where a fragment goes in a section: after its last child, or into `<section/>` opened up.
fn inside(
    bytes: &[u8],
    section: &std::ops::Range<usize>,
    name: &str,
    fragment: &str,
) -> (std::ops::Range<usize>, String) {
    let text = &bytes[section.clone()];
    if text.ends_with(b"/>") {
        return (section.clone(), format!("<{name}>{fragment}</{name}>"));
    }
    // Step back from `</section>` over the white space before it.
    let close = text.iter().rposition(|byte| *byte == b'<').unwrap_or(0);
    let at = section.start + text[..close].trim_ascii_end().len();
    (at..at, fragment.to_owned())
}

/// The inverse of [`inside`], given how many bytes the fragment had.
fn added<'a>(
    bytes: &[u8],
    section: &std::ops::Range<usize>,
    size: usize,
    name: &str,
) -> Option<(std::ops::Range<usize>, &'a str)> {
    let text = bytes.get(section.clone())?;
    let close = text.iter().rposition(|byte| *byte == b'<')?;
    let end = section.start + text[..close].trim_ascii_end().len();
    let start = end.checked_sub(size)?;
    (start >= section.start + name.len()).then_some((start..end, ""))
}

fn find_back(bytes: &[u8], end: usize, needle: &[u8]) -> Option<usize> {
    bytes.get(..end)?.windows(needle.len()).rposition(|window| window == needle)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a model with a branch is laid out as it was written here; other tools write the whole file in their own way.
#[cfg(feature = "runtime")]
pub(crate) fn is_as_written(document: &Document) -> bool {
    let children = &document.rt_info().children;
    let Some(at) = children.iter().rposition(|child| child.name == SECTION) else { return true };
    let recorded = |name| children[at].get(&[name]).and_then(|text| text.parse::<usize>().ok());
    let (Some(layers), Some(edges)) = (recorded(key::LAYERS_BYTES), recorded(key::EDGES_BYTES)) else {
        return true;
    };
    let (bytes, sections) = (document.bytes(), &document.sections);
    let ends = |section: &std::ops::Range<usize>, size, name, element: &str| {
        let text = added(bytes, section, size, name).and_then(|(span, _)| bytes.get(span));
        text.is_some_and(|text| text.trim_ascii_start().starts_with(element.as_bytes()))
    };
    ends(&sections.layers, layers, "layers", "<layer ") && ends(&sections.edges, edges, "edges", "<edge ")
}

/// Escapes text for an attribute value.
pub(crate) fn escape(text: &str) -> String {
    // White space in attributes would be read as blanks.
    let escaped = quick_xml::escape::escape(text);
    escaped.replace('\t', "&#9;").replace('\n', "&#10;").replace('\r', "&#13;")
}
