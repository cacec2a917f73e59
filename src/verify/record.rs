//! What a model says of its saliency branch: the section `xai` of its `rt_info`.

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, OutletId};
use crate::ir::{Classes, Document, RtInfo, SECTION, key, section};

/// The section `xai`, as text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    section: &'a RtInfo,
    version: u32,
}

impl<'a> Record<'a> {
    /// The record of a model.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is none.
    pub(super) fn read(document: &'a Document) -> Result<Self> {
        match section(document.rt_info()) {
            Some(section) if section.child(key::METHOD).is_some() => {
                Ok(Self { section, version: document.version() })
            }
            _ => Err(Error::usage(format!(
                "{}: its rt_info has no section '{}' with a 'method', which is where xai-insert records what \
                 it added. Give the original first and the model with the saliency branch second",
                document.path().display(),
                SECTION
            ))),
        }
    }

    /// An entry's text.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.section.get(&[name])
    }

    /// Version of the IR.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// Name of the method.
    pub(super) fn method(&self) -> &'a str {
        self.get(key::METHOD).unwrap_or("")
    }

    /// An entry that has to be there.
    pub(super) fn required(&self, name: &str) -> Result<&'a str, String> {
        self.get(name).ok_or_else(|| format!("the record has no '{name}'"))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, String> {
        match self.required(name)? {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("{name} is '{other}', not true or false")),
        }
    }

    /// `<name>` is a layer of the original, `<name>_slot` one of its outputs counted from 0, `<name>_id` its id, where
    /// several layers have that name.
    pub(super) fn outlet(&self, graph: &Graph, name: &str) -> Result<OutletId, String> {
        let layer = self.required(name)?;
        let slot_name = key::slot_of(name);
        let slot = match self.get(&slot_name) {
            None => 0,
            Some(text) => text.parse().map_err(|_| format!("{slot_name} '{text}' is no output slot"))?,
        };
        let id_name = key::id_of(name);
        let id: Option<u64> = match self.get(&id_name) {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| format!("{id_name} '{text}' is no layer's id"))?),
        };
        let is_it = |node: &Node| node.name == layer && id.is_none_or(|id| id == node.layer);
        let mut named = graph.nodes().filter(|(_, node)| is_it(node));
        let Some((id, node)) = named.next() else {
            return Err(format!("{name} '{layer}' is no layer of the original"));
        };
        if named.next().is_some() {
            return Err(format!("{name} '{layer}' names several layers of the original"));
        }
        if slot >= node.outputs.len() {
            return Err(format!("{name} '{layer}' has no output {slot}"));
        }
        Ok(OutletId::new(id, slot))
    }

    pub(super) fn targets(&self) -> Result<Classes, String> {
        let text = self.required(key::TARGETS)?;
        text.parse().map_err(|_| format!("targets '{text}' is none of all, top<count> and a list of classes"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;

    pub(in crate::verify) fn document(entries: &str) -> Document {
        let text = format!(
            r#"<net name="n" version="11"><layers>
            <layer id="0" name="in" type="Parameter" version="opset1"><data shape="1,2,3,4" element_type="f32"/>
            <output><port id="0" precision="FP32"><dim>1</dim><dim>2</dim><dim>3</dim><dim>4</dim></port></output></layer>
            <layer id="1" name="out" type="Result" version="opset1"><input><port id="0"/></input></layer>
            </layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges>
            <rt_info><xai>{entries}</xai></rt_info></net>"#
        );
        Document::parse(Path::new("m.xml"), text.into_bytes()).unwrap()
    }

    #[test]
    fn one_of_several_layers_of_a_name_is_told_by_its_id() {
        let find = |entries: &str, name: &str| {
            let mut document = document(&format!("<method value=\"reciprocam\"/>{entries}"));
            let text =
                String::from_utf8(document.bytes().to_vec()).unwrap().replace("name=\"out\"", "name=\"in\"");
            document = Document::parse(Path::new("m.xml"), text.into_bytes()).unwrap();
            let graph = Graph::new(&document).unwrap();
            Record::read(&document).unwrap().outlet(&graph, name).map(|outlet| graph.node(outlet.node).layer)
        };
        assert!(find(r#"<target value="in"/>"#, "target").unwrap_err().contains("several layers"));
        assert_eq!(find(r#"<target value="in"/><target_id value="0"/>"#, "target"), Ok(0));
        assert!(
            find(r#"<target value="in"/><target_id value="7"/>"#, "target").unwrap_err().contains("no layer")
        );
        assert!(
            find(r#"<target value="in"/><target_id value="x"/>"#, "target")
                .unwrap_err()
                .contains("target_id")
        );
    }

    #[test]
    fn a_model_without_a_record_is_refused() {
        let error = Record::read(&document("")).unwrap_err().to_string();
        assert!(error.contains("xai-insert records"), "{error}");
    }
}
