//! Concrete shapes for inputs that are dynamic.

use crate::analysis::InputFacts;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node};
use crate::ir::{Dim, ElementType, ImageLayout, InputShape, ModelInfo};
use crate::message::{Message, Setting, message};
use crate::preprocess::{Origin, layout};

/// Batch where the model leaves it open: more than one image, so that batches are checked too.
const BATCH: usize = 2;
/// Height and width where the model leaves them open.
const SIDE: usize = 224;
/// Any other dimension that the model leaves open.
const OTHER: usize = 16;

/// The shape of one input, as asked for by the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeOverride {
    /// Layer or tensor name of the input; absent where there is only one.
    pub name: Option<String>,
    /// Its dimensions.
    pub dims: Vec<usize>,
}

impl ShapeOverride {
    /// Reads `[1,3,224,224]`, `name[1,3,224,224]` or several of the latter joined with commas.
    ///
    /// # Errors
    /// [`Error::Usage`] where the text is of none of these forms.
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        InputShape::parse_list(text)?
            .into_iter()
            .map(|InputShape { name, dims }| {
                let open = || {
                    Error::usage(format!("shape '{text}' leaves a dimension open; models run on known ones"))
                };
                Ok(Self { name, dims: dims.into_iter().collect::<Option<_>>().ok_or_else(open)? })
            })
            .collect()
    }
}

/// An input with a concrete shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Input {
    /// Layer name.
    pub(super) name: String,
    /// Element type.
    pub(super) element: ElementType,
    /// Shape as the model declares it: `?,3,224..,224..`.
    pub(super) declared: String,
    /// Shape in use.
    pub(super) shape: Vec<usize>,
    /// Where it is an image: its axes.
    pub(super) image: Option<ImageAxes>,
    /// What the graph says of it.
    pub(super) facts: InputFacts,
}

/// Which axis of an image input is which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ImageAxes {
    /// Whether channels come last.
    pub(super) channels_last: bool,
    /// Where that was taken from.
    pub(super) source: Origin,
}

impl ImageAxes {
    /// Batch, channels, height and width of a shape of four axes.
    pub(super) fn split(self, shape: &[usize]) -> (usize, usize, usize, usize) {
        let dim = |axis: usize| shape.get(axis).copied().unwrap_or(1);
        if self.channels_last { (dim(0), dim(3), dim(1), dim(2)) } else { (dim(0), dim(1), dim(2), dim(3)) }
    }
}

/// Settles the shape of every input; `facts` is what the graph says of each, in the order of the inputs. The branch may
/// hold `under` some shapes alone.
///
/// # Errors
/// [`Error::Usage`] where an override names no input or contradicts the model, or where a rank is
/// not known and no override gives it.
pub(super) fn settle(
    graph: &Graph,
    facts: &[InputFacts],
    info: &ModelInfo,
    (overrides, under): (&[ShapeOverride], &[InputShape]),
) -> Result<Vec<Input>> {
    let parameters: Vec<&Node> = graph.parameters().map(|(_, node)| node).collect();
    let named = |node: &Node, name: &str| {
        node.name == name || node.outputs.iter().any(|outlet| outlet.names.iter().any(|n| n == name))
    };
    let mut wanted: Vec<Option<&[usize]>> = vec![None; parameters.len()];
    for asked in overrides {
        let matches = |node: &&Node| asked.name.as_deref().is_none_or(|name| named(node, name));
        let place = match (&asked.name, parameters.len()) {
            (None, count) if count != 1 => None,
            _ => parameters.iter().position(matches),
        };
        let Some(place) = place else {
            let names: Vec<&str> = parameters.iter().map(|node| node.name.as_str()).collect();
            return Err(Error::usage(format!(
                "shape {:?} is for the input '{}', but the inputs are: {}",
                asked.dims,
                asked.name.as_deref().unwrap_or("(no name given)"),
                names.join(", ")
            )));
        };
        wanted[place] = Some(&asked.dims);
    }
    let declared = |node: &&Node| {
        let bounds = declared(node)?;
        let given = under.iter().find(|shape| shape.name.as_deref().is_none_or(|name| named(node, name)));
        Some(match given.filter(|given| given.dims.len() == bounds.len() || bounds.is_empty()) {
            Some(given) => given.dims.iter().map(|dim| dim.map_or(Bounds::ANY, Bounds::of)).collect(),
            None => bounds,
        })
    };
    let declared: Vec<Option<Vec<Bounds>>> = parameters.iter().map(declared).collect();
    // Inputs of one model go together: a batch that one of them fixes holds for all.
    let first = |dims: &Option<Vec<Bounds>>| dims.as_ref()?.first()?.fixed();
    let asked = wanted.iter().flatten().find_map(|dims| dims.first().copied());
    let batch = asked.or_else(|| declared.iter().find_map(first)).unwrap_or(BATCH);
    parameters
        .iter()
        .enumerate()
        .zip(declared.into_iter().zip(wanted))
        .map(|((place, node), (declared, wanted))| {
            let facts = facts.get(place).cloned().unwrap_or_default();
            let axes = |dims: [Option<usize>; 4]| layout(None, &facts, info, dims);
            let (shape, declared, image) = shape(node, declared, wanted, batch, axes)?;
            let element = node.outputs.first().map_or(ElementType::Dynamic, |outlet| outlet.fact.element);
            Ok(Input { name: node.name.clone(), element, declared, shape, image, facts })
        })
        .collect()
}

/// The shape of an input, how it is declared, and its axes where it is an image; `layout` tells their order by
/// extents as far as they are fixed.
fn shape(
    node: &Node,
    declared: Option<Vec<Bounds>>,
    wanted: Option<&[usize]>,
    batch: usize,
    layout: impl Fn([Option<usize>; 4]) -> Option<(ImageLayout, Origin)>,
) -> Result<(Vec<usize>, String, Option<ImageAxes>)> {
    let fail = |why: Message| Err(Error::usage(message![format!("input '{}': ", node.name)].with(why)));
    let fixed = |bounds: &[Bounds]| Some(<[Bounds; 4]>::try_from(bounds).ok()?.map(Bounds::fixed));
    let known = match wanted {
        Some(wanted) => <[usize; 4]>::try_from(wanted).ok().map(|dims| dims.map(Some)),
        None => declared.as_deref().and_then(fixed),
    };
    let found = known.and_then(layout);
    let shape = match (&declared, wanted) {
        (None, None) => return fail(message!["its rank is not known; give a shape with ", Setting::Shapes]),
        (None, Some(wanted)) => wanted.to_vec(),
        (Some(bounds), Some(wanted)) => {
            let fits = bounds.len() == wanted.len()
                && bounds.iter().zip(wanted).all(|(bounds, dim)| bounds.clamp(*dim) == *dim);
            if !fits {
                return fail(
                    format!("the shape {wanted:?} does not fit the model's [{}]", show(bounds)).into(),
                );
            }
            wanted.to_vec()
        }
        (Some(bounds), None) => choose(bounds, batch, found.map(|(layout, _)| layout)),
    };
    let image = image_axes(&shape, found);
    let declared = declared.map_or_else(|| "...".to_owned(), |bounds| show(&bounds));
    Ok((shape, declared, image))
}

fn choose(bounds: &[Bounds], batch: usize, layout: Option<ImageLayout>) -> Vec<usize> {
    let channels = layout.unwrap_or(ImageLayout::Nchw).channel_axis();
    let wanted = |axis: usize| match (bounds.len(), axis) {
        (_, 0) => batch,
        (4, axis) if axis == channels => 3,
        (4, _) => SIDE,
        _ => OTHER,
    };
    bounds.iter().enumerate().map(|(axis, bounds)| bounds.clamp(wanted(axis))).collect()
}

/// The axes of an image; where nothing tells their order, the extents that were chosen do.
fn image_axes(shape: &[usize], found: Option<(ImageLayout, Origin)>) -> Option<ImageAxes> {
    let channels = |dim: usize| matches!(dim, 1 | 3 | 4);
    let fits = |channels_last: bool| match *shape {
        [_, c, h, w] if !channels_last => channels(c) && h > 1 && w > 1,
        [_, h, w, c] => channels(c) && h > 1 && w > 1,
        _ => false,
    };
    let axes = |channels_last, source| fits(channels_last).then_some(ImageAxes { channels_last, source });
    match found {
        Some((layout, source)) => axes(layout == ImageLayout::Nhwc, source),
        None => axes(false, Origin::Shape).or_else(|| axes(true, Origin::Shape)),
    }
}

/// What a model allows for a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    least: usize,
    most: Option<usize>,
}

impl Bounds {
    const ANY: Self = Self { least: 0, most: None };

    fn of(value: usize) -> Self {
        Self { least: value, most: Some(value) }
    }

    /// Reads `3`, `?`, `-1`, `1..8`, `3..` and `..8`.
    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "?" | "-1" => Some(Self::ANY),
            text => match text.split_once("..") {
                None => text.parse().ok().map(|value| Self { least: value, most: Some(value) }),
                Some((least, most)) => {
                    let least = if least.is_empty() { 0 } else { least.parse().ok()? };
                    let most = if most.is_empty() { None } else { Some(most.parse().ok()?) };
                    Some(Self { least, most })
                }
            },
        }
    }

    fn fixed(self) -> Option<usize> {
        self.most.filter(|most| *most == self.least)
    }

    fn clamp(self, value: usize) -> usize {
        self.most.map_or(value, |most| value.min(most)).max(self.least)
    }
}

fn declared(node: &Node) -> Option<Vec<Bounds>> {
    // The attribute says more than the port, whose dims know only `-1`.
    if let Some(text) = node.op.attribute("shape") {
        if text.trim().is_empty() {
            return Some(Vec::new());
        }
        return text.split(',').map(Bounds::parse).collect();
    }
    let dims = &node.outputs.first()?.fact.shape;
    let bounds = dims.iter().map(|dim| match dim {
        Dim::Fixed(value) => Bounds { least: *value, most: Some(*value) },
        Dim::Dynamic => Bounds::ANY,
    });
    Some(bounds.collect())
}

fn show(bounds: &[Bounds]) -> String {
    let one = |bounds: &Bounds| match (bounds.least, bounds.most) {
        (0, None) => "?".to_owned(),
        (least, None) => format!("{least}.."),
        (least, Some(most)) if least == most => least.to_string(),
        (least, Some(most)) => format!("{least}..{most}"),
    };
    bounds.iter().map(one).collect::<Vec<String>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::ir::Document;

    fn graph(shapes: &[&str]) -> Graph {
        let mut layers = String::new();
        for (i, shape) in shapes.iter().enumerate() {
            layers.push_str(&format!(
                r#"<layer id="{i}" name="in{i}" type="Parameter" version="opset1"><data shape="{shape}" element_type="f32"/><output><port id="0" precision="FP32" names="tensor{i}"/></output></layer>"#
            ));
        }
        let text = format!(r#"<net name="n" version="11"><layers>{layers}</layers><edges/></net>"#);
        Graph::new(&Document::parse(Path::new("m.xml"), text.into_bytes()).unwrap()).unwrap()
    }

    fn shapes(declared: &[&str], overrides: &str) -> Result<Vec<Vec<usize>>> {
        let overrides = if overrides.is_empty() { Vec::new() } else { ShapeOverride::parse_list(overrides)? };
        Ok(settle(&graph(declared), &[], &ModelInfo::default(), (&overrides, &[]))?
            .into_iter()
            .map(|input| input.shape)
            .collect())
    }

    #[test]
    fn open_dimensions_get_values_within_their_bounds() {
        for (declared, expected) in [
            ("1,3,32,32", vec![1, 3, 32, 32]),
            ("?,3,?,?", vec![2, 3, 224, 224]),
            ("1..8,3,256..,..64", vec![2, 3, 256, 64]),
            ("4..8,?,-1,3", vec![4, 224, 224, 3]),
            ("?,?,?,?", vec![2, 3, 224, 224]),
            ("?,10", vec![2, 10]),
            ("?,?", vec![2, 16]),
            ("", vec![]),
        ] {
            assert_eq!(shapes(&[declared], "").unwrap(), [expected], "{declared}");
        }
    }

    #[test]
    fn a_fixed_batch_holds_for_all_inputs() {
        assert_eq!(shapes(&["?,3,8,8", "1,5"], "").unwrap(), [vec![1, 3, 8, 8], vec![1, 5]]);
        assert_eq!(shapes(&["?,3,8,8", "?,5"], "tensor1[3,5]").unwrap(), [vec![3, 3, 8, 8], vec![3, 5]]);
    }

    #[test]
    fn overrides_are_checked_against_the_model() {
        assert_eq!(shapes(&["?,3,?,?"], "[1,3,64,96]").unwrap(), [[1, 3, 64, 96]]);
        assert_eq!(shapes(&["..."], "[1,3,64,96]").unwrap(), [[1, 3, 64, 96]]);
        for (declared, overrides) in [
            (&["?,3,?,?"][..], "[1,4,64,64]"),
            (&["?,3,?,?"], "[1,3]"),
            (&["?,3,?,?"], "other[1,3,64,64]"),
            (&["?,3", "?,3"], "[1,3]"),
            (&["..."], ""),
            (&["?"], "[a]"),
            (&["?"], "[0]"),
            (&["?"], "x[1]y[1]"),
        ] {
            assert!(shapes(declared, overrides).is_err(), "{declared:?} {overrides}");
        }
    }

    #[test]
    fn images_are_recognised_by_their_channels() {
        let axes = |shape: &[usize]| image_axes(shape, None).map(|axes| axes.channels_last);
        assert_eq!(axes(&[1, 3, 8, 8]), Some(false));
        assert_eq!(axes(&[1, 8, 8, 3]), Some(true));
        assert_eq!(axes(&[1, 1, 8, 8]), Some(false));
        assert_eq!(axes(&[1, 16, 8, 8]), None);
        assert_eq!(axes(&[1, 3]), None);
        let said = Some((ImageLayout::Nhwc, Origin::Graph));
        assert_eq!(
            image_axes(&[1, 3, 8, 3], said),
            Some(ImageAxes { channels_last: true, source: Origin::Graph })
        );
    }
}
