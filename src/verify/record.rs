//! What a model says of its saliency branch: the section `xai` of its `rt_info`.

use super::layout::{Layout, parse_grid};
use crate::error::{Error, Result};
use crate::graph::{Graph, OutletId};
use crate::ir::{Document, ElementType, RtInfo, marker};

/// The section `xai`, as text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    section: &'a RtInfo,
    version: u32,
}

/// What the saliency maps are said to be, for the methods that are known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    /// How the maps are defined.
    pub(super) method: Method,
    /// The feature map.
    pub(super) target: OutletId,
    /// Its axes.
    pub(super) layout: Layout,
    /// Height and width of its grid of positions, where they are fixed.
    pub(super) grid: Option<(usize, usize)>,
    /// Whether each map is scaled to 0..255.
    pub(super) scaling: bool,
    /// Element type of the maps.
    pub(super) element: ElementType,
    /// Element type in which the runtime hands them out: integers of IR 10 become `f32`.
    pub(super) delivered: ElementType,
    /// Tensor name of the maps.
    pub(super) output: String,
    /// Tensor name of the feature vector, where one was added.
    pub(super) feature_vector: Option<String>,
}

/// A method's own part of a [`Definition`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Method {
    /// Logits with all positions but one set to zero.
    ReciproCam {
        /// The class scores before Softmax or Sigmoid.
        logits: OutletId,
        /// Classes that have a map.
        targets: Targets,
    },
    /// Mean over channels.
    ActivationMap,
}

/// Classes that have a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Targets {
    /// Every one.
    All,
    /// The best of each image, best first.
    Top(usize),
    /// These.
    Classes(Vec<usize>),
}

impl<'a> Record<'a> {
    /// The record of a model.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is none.
    pub(super) fn read(document: &'a Document) -> Result<Self> {
        match document.rt_info().child(marker::SECTION) {
            Some(section) if section.child("method").is_some() => {
                Ok(Self { section, version: document.version() })
            }
            _ => Err(Error::Usage(format!(
                "{}: its rt_info has no section '{}' with a 'method', which is where xai-insert records what \
                 it added. Give the original first and the model with the saliency branch second",
                document.path().display(),
                marker::SECTION
            ))),
        }
    }

    /// An entry's text.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.section.get(&[name])
    }

    /// Name of the method.
    pub(super) fn method(&self) -> &'a str {
        self.get("method").unwrap_or("")
    }

    /// What is to be checked; layers are those of the original's `graph`.
    ///
    /// # Errors
    /// A message where the method is not known here, or an entry is missing or makes no sense.
    pub(super) fn definition(&self, graph: &Graph) -> Result<Definition, String> {
        let method = match self.method() {
            "reciprocam" => {
                Method::ReciproCam { logits: self.outlet(graph, "logits")?, targets: self.targets()? }
            }
            "activationmap" => Method::ActivationMap,
            other => return Err(format!("the definition of the method '{other}' is not known here")),
        };
        let element = self.required("saliency_type")?;
        let element = match ElementType::from_attribute(element) {
            Some(element @ (ElementType::U8 | ElementType::F32 | ElementType::F16)) => element,
            _ => return Err(format!("saliency_type '{element}' is none of u8, f32 and f16")),
        };
        let scaling = match self.required("scaling")? {
            "true" => true,
            "false" => false,
            other => return Err(format!("scaling is '{other}', not true or false")),
        };
        if element == ElementType::U8 && !scaling {
            return Err("maps that are not scaled to 0..255 cannot be u8".to_owned());
        }
        Ok(Definition {
            method,
            target: self.outlet(graph, "target")?,
            layout: Layout::parse(self.required("layout")?)?,
            grid: parse_grid(self.required("grid")?)?,
            scaling,
            element,
            delivered: if self.version == 10 { ElementType::F32 } else { element },
            output: self.required("output")?.to_owned(),
            feature_vector: self.get("feature_vector").map(str::to_owned),
        })
    }

    fn required(&self, name: &str) -> Result<&'a str, String> {
        self.get(name).ok_or_else(|| format!("the record has no '{name}'"))
    }

    /// `<name>` is a layer of the original, `<name>_slot` one of its outputs counted from 0.
    fn outlet(&self, graph: &Graph, name: &str) -> Result<OutletId, String> {
        let layer = self.required(name)?;
        let slot_name = format!("{name}_slot");
        let slot = match self.get(&slot_name) {
            None => 0,
            Some(text) => text.parse().map_err(|_| format!("{slot_name} '{text}' is no output slot"))?,
        };
        let mut named = graph.nodes().filter(|(_, node)| node.name == layer);
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

    fn targets(&self) -> Result<Targets, String> {
        let text = self.required("targets")?;
        let fail = || format!("targets '{text}' is none of all, top<count> and a list of classes");
        if text == "all" {
            return Ok(Targets::All);
        }
        if let Some(count) = text.strip_prefix("top") {
            return count.parse().map(Targets::Top).map_err(|_| fail());
        }
        let classes: Result<Vec<usize>, _> = text.split(',').map(|class| class.trim().parse()).collect();
        classes.map(Targets::Classes).map_err(|_| fail())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn document(entries: &str) -> Document {
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

    const ENTRIES: [(&str, &str); 9] = [
        ("method", "reciprocam"),
        ("target", "in"),
        ("layout", "N,C,H,W"),
        ("grid", "3x4"),
        ("logits", "in"),
        ("targets", "top5"),
        ("scaling", "true"),
        ("saliency_type", "u8"),
        ("output", "saliency_map"),
    ];

    fn definition(changed: &str, value: Option<&str>) -> Result<Definition, String> {
        let mut text = String::new();
        for (name, entry) in ENTRIES {
            let entry = if name == changed { value } else { Some(entry) };
            if let Some(entry) = entry {
                text.push_str(&format!("<{name} value=\"{entry}\"/>"));
            }
        }
        let document = document(&text);
        let graph = Graph::new(&document).unwrap();
        Record::read(&document).unwrap().definition(&graph)
    }

    #[test]
    fn a_whole_record_is_understood() {
        let found = definition("", None).unwrap();
        let Method::ReciproCam { targets, .. } = found.method else { panic!() };
        assert_eq!(targets, Targets::Top(5));
        assert_eq!(found.grid, Some((3, 4)));
        let found = definition("targets", Some("3, 1")).unwrap();
        let Method::ReciproCam { targets, .. } = found.method else { panic!() };
        assert_eq!(targets, Targets::Classes(vec![3, 1]));
    }

    #[test]
    fn every_entry_is_needed_and_checked() {
        for (name, _) in ENTRIES.iter().skip(1) {
            let error = definition(name, None).unwrap_err();
            assert!(error.contains(name), "{error}");
            let error = definition(name, Some("~")).map(|found| found.output);
            assert_eq!(error.is_err(), *name != "output", "{name}");
        }
        assert!(definition("method", Some("gradcam")).unwrap_err().contains("gradcam"));
        assert!(definition("scaling", Some("false")).unwrap_err().contains("u8"));
    }

    #[test]
    fn a_model_without_a_record_is_refused() {
        let error = Record::read(&document("")).unwrap_err().to_string();
        assert!(error.contains("xai-insert records"), "{error}");
    }
}
