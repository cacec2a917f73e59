//! What the saliency maps of a model are said to be: its record, understood.

use super::detector::Detector;
use super::layout::{Layout, parse_grid};
use super::lie::Lie;
use super::record::Record;
use crate::graph::{Graph, OutletId};
use crate::ir::{Classes, ElementType, key};

/// What the saliency maps are said to be, for the methods that are known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    /// How the maps are defined.
    pub(super) method: Method,
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
    /// Where positions lie in the input, where that is recorded.
    pub(super) lie: Option<Lie>,
}

/// A method's own part of a [`Definition`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Method {
    /// Logits with the features around one position kept: ReciproCAM and ViTReciproCAM.
    Masked {
        /// What is masked.
        features: Features,
        /// The class scores before Softmax or Sigmoid.
        logits: OutletId,
        /// Classes that have a map.
        targets: Classes,
        /// What is kept.
        masking: Masking,
        /// Whether the head is without the quantization of activations.
        smooth: bool,
    },
    /// Mean over channels.
    ActivationMap {
        /// What is averaged.
        features: Features,
    },
    /// Class scores of a detector.
    ClassMaps(Detector),
}

/// Whether the record says that the quantization of activations is left out.
fn smooth(record: &Record<'_>) -> Result<bool, String> {
    match record.get(key::QUANTIZED) {
        None | Some("exact") => Ok(false),
        Some("smooth") => Ok(true),
        Some(other) => Err(format!("{} is '{other}', not smooth or exact", key::QUANTIZED)),
    }
}

/// The feature map that maps are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Features {
    /// The tensor.
    pub(super) target: OutletId,
    /// Its axes.
    pub(super) layout: Layout,
    /// Height and width of its grid of positions, where they are fixed.
    pub(super) grid: Option<(usize, usize)>,
    /// Values and axes of them whose extents these are, where they are known only at inference.
    pub(super) extents: Vec<(OutletId, usize)>,
}

/// What of the features a mask keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Masking {
    /// Around its position.
    pub(super) kernel: Kernel,
    /// Whether tokens that belong to no position are kept.
    pub(super) prefix: bool,
    /// Further values that are masked alike, which are not computed from the masked target.
    pub(super) also: Vec<(OutletId, Layout)>,
}

/// Weights of a mask around its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// The position alone.
    Single,
    /// `[1 2 1; 2 4 2; 1 2 1] / 16` (arXiv 2310.02588), cut at the border.
    Gaussian,
}

impl Kernel {
    /// The positions that the mask of a position keeps, with their weights.
    pub(super) fn around(self, position: usize, height: usize, width: usize) -> Vec<(usize, f32)> {
        let weights: &[&[f32]] = match self {
            Self::Single => &[&[1.0]],
            Self::Gaussian => &[
                &[1.0 / 16.0, 2.0 / 16.0, 1.0 / 16.0],
                &[2.0 / 16.0, 4.0 / 16.0, 2.0 / 16.0],
                &[1.0 / 16.0, 2.0 / 16.0, 1.0 / 16.0],
            ],
        };
        let reach = weights.len() / 2;
        let (row, column) = (position / width.max(1), position % width.max(1));
        let mut kept = Vec::new();
        for (i, weights) in weights.iter().enumerate() {
            for (j, weight) in weights.iter().enumerate() {
                // From the kernel's corner, which may lie outside the grid.
                let (Some(y), Some(x)) = ((row + i).checked_sub(reach), (column + j).checked_sub(reach))
                else {
                    continue;
                };
                if y < height && x < width {
                    kept.push((y * width + x, *weight));
                }
            }
        }
        kept
    }
}

impl Definition {
    /// What is to be checked; layers are those of the original's `graph`.
    ///
    /// # Errors
    /// A message where the method is not known here, or an entry is missing or makes no sense.
    pub(super) fn read(record: &Record<'_>, graph: &Graph) -> Result<Definition, String> {
        let mut method = match record.method() {
            name @ ("reciprocam" | "vitreciprocam") => Method::Masked {
                masking: match name {
                    "reciprocam" => Masking { kernel: Kernel::Single, prefix: false, also: Vec::new() },
                    _ => masking(record, graph)?,
                },
                features: features(record, graph)?,
                logits: record.outlet(graph, key::LOGITS)?,
                targets: record.targets()?,
                smooth: smooth(record)?,
            },
            "activationmap" => Method::ActivationMap { features: features(record, graph)? },
            "classprobabilitymap" => Method::ClassMaps(Detector::read(record, graph, record.targets()?)?),
            other => return Err(format!("the definition of the method '{other}' is not known here")),
        };
        let scales = if let Method::ClassMaps(detector) = &method { detector.scales.len() } else { 0 };
        let lie = Lie::read(record, scales)?;
        if let (Method::ClassMaps(detector), Some(true)) =
            (&mut method, lie.as_ref().map(|lie| lie.turn().transposed))
        {
            // The size that is recorded is that of the maps as they are handed out.
            detector.size = (detector.size.1, detector.size.0);
        }
        let element = record.required(key::SALIENCY_TYPE)?;
        let element = match ElementType::from_attribute(element) {
            Some(element @ (ElementType::U8 | ElementType::F32 | ElementType::F16)) => element,
            _ => return Err(format!("saliency_type '{element}' is none of u8, f32 and f16")),
        };
        let scaling = record.flag(key::SCALING)?;
        if element == ElementType::U8 && !scaling {
            return Err("maps that are not scaled to 0..255 cannot be u8".to_owned());
        }
        Ok(Definition {
            method,
            scaling,
            element,
            delivered: if record.version() == 10 { ElementType::F32 } else { element },
            output: record.required(key::OUTPUT)?.to_owned(),
            feature_vector: record.get(key::FEATURE_VECTOR).map(str::to_owned),
            lie,
        })
    }
}

fn features(record: &Record<'_>, graph: &Graph) -> Result<Features, String> {
    let extent = |name: &str| -> Result<Option<(OutletId, usize)>, String> {
        if record.get(name).is_none() {
            return Ok(None);
        }
        let axis = record.required(&key::axis_of(name))?;
        let axis = axis.parse().map_err(|_| format!("{name}_axis '{axis}' is no axis"))?;
        Ok(Some((record.outlet(graph, name)?, axis)))
    };
    Ok(Features {
        extents: match (extent(key::GRID_HEIGHT)?, extent(key::GRID_WIDTH)?) {
            (Some(height), Some(width)) => vec![height, width],
            _ => Vec::new(),
        },
        target: record.outlet(graph, key::TARGET)?,
        layout: Layout::parse(record.required(key::LAYOUT)?)?,
        grid: parse_grid(record.required(key::GRID)?)?,
    })
}

/// `mask`, `class_token`, and the values `masked_1`, `masked_2`, … with their layouts.
fn masking(record: &Record<'_>, graph: &Graph) -> Result<Masking, String> {
    let kernel = match record.required(key::MASK)? {
        "single" => Kernel::Single,
        "gaussian" => Kernel::Gaussian,
        other => return Err(format!("mask '{other}' is neither single nor gaussian")),
    };
    let mut also = Vec::new();
    for i in 1.. {
        let name = key::numbered(key::MASKED, i);
        if record.get(&name).is_none() {
            break;
        }
        let layout = Layout::parse(record.required(&key::layout_of(&name))?)?;
        also.push((record.outlet(graph, &name)?, layout));
    }
    Ok(Masking { kernel, prefix: record.flag(key::CLASS_TOKEN)?, also })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::record::tests::document;

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
        Definition::read(&Record::read(&document).unwrap(), &graph)
    }

    #[test]
    fn a_whole_record_is_understood() {
        let found = definition("", None).unwrap();
        let Method::Masked { targets, features, .. } = found.method else { panic!() };
        assert_eq!(targets, Classes::Top(5));
        assert_eq!(features.grid, Some((3, 4)));
        let found = definition("targets", Some("3, 1")).unwrap();
        let Method::Masked { targets, .. } = found.method else { panic!() };
        assert_eq!(targets, Classes::Listed(vec![3, 1]));
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
    fn masks_of_transformers_are_read() {
        let read = |extra: &str| {
            let mut text: String =
                ENTRIES[1..].iter().map(|(k, v)| format!("<{k} value=\"{v}\"/>")).collect();
            text.push_str("<method value=\"vitreciprocam\"/>");
            text.push_str(extra);
            let document = document(&text);
            let graph = Graph::new(&document).unwrap();
            match Definition::read(&Record::read(&document).unwrap(), &graph)?.method {
                Method::Masked { masking, .. } => Ok(masking),
                _ => Err("another method".to_owned()),
            }
        };
        let masks = r#"<mask value="gaussian"/><class_token value="false"/>"#;
        let one = r#"<masked_1 value="in"/><masked_1_layout value="N,1+HW,C"/>"#;
        // Counting ends at the first gap.
        let third = r#"<masked_3 value="in"/><masked_3_layout value="N,1+HW,C"/>"#;
        let masking = read(&format!("{masks}{one}{third}")).unwrap();
        assert_eq!((masking.kernel, masking.prefix, masking.also.len()), (Kernel::Gaussian, false, 1));
        assert!(read(one).unwrap_err().contains("mask"));
        assert!(read(r#"<mask value="round"/><class_token value="true"/>"#).unwrap_err().contains("round"));
        assert!(
            read(r#"<mask value="single"/><class_token value="1"/>"#).unwrap_err().contains("class_token")
        );
        let unknown = one.replace("value=\"in\"", "value=\"gone\"");
        assert!(read(&format!("{masks}{unknown}")).unwrap_err().contains("gone"));
        assert!(read(&format!(r#"{masks}<masked_1 value="in"/>"#)).unwrap_err().contains("masked_1_layout"));
    }

    #[test]
    fn class_maps_of_detectors_are_read() {
        const SCALE: [(&str, &str); 5] = [
            ("scale_1", "in"),
            ("scale_1_layout", "N,A2*K3,H,W"),
            ("scale_1_fields", "1..3"),
            ("scale_1_grid", "?x?"),
            ("saliency_size", "23x23"),
        ];
        let read = |changed: &str, value: Option<&str>, more: &str| {
            let common = [("method", "classprobabilitymap"), ("targets", "all"), ("scaling", "true")];
            let common = common.iter().chain(&[("saliency_type", "u8"), ("output", "saliency_map")]);
            let mut text = more.to_owned();
            for (name, entry) in common.chain(&SCALE) {
                let entry = if *name == changed { value } else { Some(*entry) };
                text.push_str(
                    &entry.map_or_else(String::new, |entry| format!("<{name} value=\"{entry}\"/>")),
                );
            }
            let document = document(&text);
            let graph = Graph::new(&document).unwrap();
            Definition::read(&Record::read(&document).unwrap(), &graph)
        };
        let Method::ClassMaps(detector) = read("", None, "").unwrap().method else { panic!() };
        assert_eq!((detector.scales.len(), detector.size, detector.wanted().len()), (1, (23, 23), 1));
        for (name, _) in SCALE {
            assert!(read(name, None, "").unwrap_err().contains(name), "{name}");
            assert!(read(name, Some("~"), "").is_err(), "{name}");
        }
        assert!(read("scale_1_layout", Some("N,A2,H,W"), "").unwrap_err().contains("once each"));
        assert!(read("saliency_size", Some("99999x1"), "").is_err());
        let objectness = r#"<objectness_1 value="gone"/>"#;
        assert!(read("", None, objectness).unwrap_err().contains("objectness_1"));
    }

    #[test]
    fn kernels_are_cut_at_the_border() {
        let sum = |kept: &[(usize, f32)]| kept.iter().map(|(_, weight)| weight).sum::<f32>();
        assert_eq!(Kernel::Single.around(7, 3, 4), [(7, 1.0)]);
        let inside = Kernel::Gaussian.around(5, 3, 4);
        assert_eq!((inside.len(), sum(&inside)), (9, 1.0));
        assert_eq!(inside[4], (5, 0.25));
        let corner = Kernel::Gaussian.around(0, 3, 4);
        assert_eq!(corner, [(0, 0.25), (1, 0.125), (4, 0.125), (5, 0.0625)]);
        // The right edge does not reach around to the next row.
        assert_eq!(
            Kernel::Gaussian.around(3, 3, 4).iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            [2, 3, 6, 7]
        );
    }
}
