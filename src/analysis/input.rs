//! What the graph says of an image input: the order of its axes, and what is done to its pixels before the network
//! proper begins.
//!
//! Preprocessing is put into graphs by OpenVINO's PrePostProcessor (which marks mean and scale, and folds them into
//! weights where it can), by Model API and by exports that normalise in the model. Followed from the input are
//! conversions, resizing and transpositions, arithmetic with one constant or one for each channel, and reversals of
//! the channels.

use crate::graph::{Node, NodeId, OpKind, OutletId};
use crate::ir::{ImageLayout, resolve_axis};
use crate::model::Model;

/// Mean of ImageNet's training images, for pixels of 0 to 255, red first.
pub(crate) const IMAGENET_MEAN: [f32; 3] = [123.675, 116.28, 103.53];

/// Operations between an input and the network proper; nothing real comes near this.
const MAX_STEPS: usize = 64;

/// What the graph says of an image input.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct InputFacts {
    /// Order of axes: the Parameter's own `layout`, or what a convolution behind it takes for channels.
    pub layout: Option<ImageLayout>,
    /// What black and white are for the input, where the graph itself normalises pixels.
    pub pixels: Option<(f32, f32)>,
    /// Whether the input takes blue first, where the graph orders channels or shows the order by a known mean.
    pub blue_first: Option<bool>,
}

impl InputFacts {
    /// Looks at what follows an input of a model.
    pub(crate) fn of(model: &Model, parameter: NodeId) -> Self {
        let layer = model.document().layers().get(parameter.index());
        let port = layer.and_then(|layer| layer.outputs.first());
        let own = port.and_then(|port| ImageLayout::named(port.layout.as_deref()?));
        let Some(port) = port.filter(|port| port.dims.len() == 4) else {
            return Self { layout: own, ..Self::default() };
        };
        let mut walk = Walk {
            model,
            at: OutletId::new(parameter, 0),
            axes: (0..port.dims.len()).collect(),
            channels: own.map(ImageLayout::channel_axis),
            gain: vec![1.0],
            offset: vec![0.0],
            reversed: false,
            computed: false,
            marked: false,
            convolved: None,
        };
        let mut steps = 0..MAX_STEPS;
        while steps.next().is_some() && walk.step().is_some() {}
        let pixels = walk.pixels();
        let layout = own.or(walk.convolved).or(match walk.channels {
            Some(1) => Some(ImageLayout::Nchw),
            Some(3) => Some(ImageLayout::Nhwc),
            _ => None,
        });
        Self { layout, pixels, blue_first: walk.blue_first(pixels) }
    }
}

/// A walk from an input through what is done to its pixels: `value * gain + offset` so far.
struct Walk<'a> {
    model: &'a Model,
    at: OutletId,
    /// Which axis of the input each axis is.
    axes: Vec<usize>,
    /// The input's axis along which constants vary.
    channels: Option<usize>,
    /// One for all channels, or one for each in the order at hand.
    gain: Vec<f64>,
    offset: Vec<f64>,
    /// Whether the order at hand is the reverse of the input's.
    reversed: bool,
    /// Whether there was any arithmetic.
    computed: bool,
    /// Whether PrePostProcessor left its mark.
    marked: bool,
    /// The input's layout as a convolution takes it.
    convolved: Option<ImageLayout>,
}

impl Walk<'_> {
    /// Goes one operation on; `None` where the network proper begins.
    fn step(&mut self) -> Option<()> {
        let graph = self.model.graph();
        let users = graph.users(self.at.node).iter().filter(|id| graph.node(**id).op.kind != OpKind::ShapeOf);
        let mut users: Vec<NodeId> = users.copied().collect();
        users.dedup();
        let [id] = users[..] else { return None };
        let node = graph.node(id);
        let mut places = node.inputs.iter().enumerate().filter(|(_, input)| **input == self.at);
        let (Some((place, _)), None) = (places.next(), places.next()) else { return None };
        let layer = self.model.document().layers().get(id.index())?;
        self.marked |= layer.preprocessing;
        match (&node.op.kind, place) {
            (OpKind::Convert | OpKind::Interpolate | OpKind::FakeQuantize, 0) => {}
            (OpKind::Transpose, 0) => {
                let order = self.model.integers(*node.inputs.get(1)?)?;
                let axis = |axis: &i64| self.axes.get(usize::try_from(*axis).ok()?).copied();
                self.axes = order.iter().map(axis).collect::<Option<_>>()?;
            }
            (OpKind::Add | OpKind::Multiply, 0 | 1) | (OpKind::Subtract | OpKind::Divide, 0) => {
                self.compute(node, 1 - place)?
            }
            (OpKind::Gather, 0) => {
                let [axis] = self.model.integers(*node.inputs.get(2)?)?[..] else { return None };
                let order = self.model.integers(*node.inputs.get(1)?)?;
                if order != [2, 1, 0] {
                    return None;
                }
                self.reverse(axis)?;
            }
            (OpKind::Split, 0) => {
                let [axis] = self.model.integers(*node.inputs.get(1)?)?[..] else { return None };
                self.at = self.joined_reversed(id)?;
                return self.reverse(axis);
            }
            _ => {
                if node.op.kind.is_convolution() && place == 0 {
                    self.convolved = match self.axes[..] {
                        [0, 1, 2, 3] => Some(ImageLayout::Nchw),
                        [0, 3, 1, 2] => Some(ImageLayout::Nhwc),
                        _ => None,
                    };
                }
                return None;
            }
        }
        self.at = OutletId::new(id, 0);
        (graph.fact(self.at).rank() == self.axes.len()).then_some(())
    }

    /// Arithmetic with the constant at an input of a node.
    fn compute(&mut self, node: &Node, constant: usize) -> Option<()> {
        let outlet = *node.inputs.get(constant)?;
        let mut values = self.model.numbers(outlet)?;
        let shape = &self.model.graph().fact(outlet).shape;
        let mut wide = shape.iter().enumerate().filter(|(_, dim)| !dim.is_one());
        if let Some((axis, _)) = wide.next() {
            // Axes are matched from the last.
            let axis = (axis + self.axes.len()).checked_sub(shape.len())?;
            let axis = *self.axes.get(axis)?;
            if wide.next().is_some() || *self.channels.get_or_insert(axis) != axis {
                return None;
            }
        }
        let count = values.len().max(self.gain.len());
        for list in [&mut values, &mut self.gain, &mut self.offset] {
            if let [one] = list[..] {
                list.resize(count, one);
            }
        }
        if values.len() != count || self.gain.len() != count {
            return None;
        }
        for ((gain, offset), value) in self.gain.iter_mut().zip(&mut self.offset).zip(values) {
            match node.op.kind {
                OpKind::Add => *offset += value,
                OpKind::Subtract => *offset -= value,
                OpKind::Multiply => (*gain, *offset) = (*gain * value, *offset * value),
                _ => (*gain, *offset) = (*gain / value, *offset / value),
            }
        }
        self.computed = true;
        Some(())
    }

    /// Reverses channels along an axis.
    fn reverse(&mut self, axis: i64) -> Option<()> {
        let axis = *self.axes.get(resolve_axis(axis, self.axes.len())?)?;
        if *self.channels.get_or_insert(axis) != axis {
            return None;
        }
        self.gain.reverse();
        self.offset.reverse();
        self.reversed = !self.reversed;
        Some(())
    }

    /// What joins the three parts of a Split again in reverse, on the same axis.
    fn joined_reversed(&self, split: NodeId) -> Option<OutletId> {
        let graph = self.model.graph();
        let (first, rest) = graph.users(split).split_first()?;
        let (parts, join) = (graph.node(split), graph.node(*first));
        let reversed: Vec<OutletId> = (0..3).rev().map(|slot| OutletId::new(split, slot)).collect();
        let rank = self.axes.len();
        let axis = resolve_axis(self.model.integers(*parts.inputs.get(1)?)?.first().copied()?, rank)?;
        let same = resolve_axis(join.op.integer("axis")?, rank)? == axis;
        let only = rest.iter().all(|user| user == first) && parts.outputs.len() == 3;
        (join.op.kind == OpKind::Concat && join.inputs == reversed && same && only)
            .then(|| OutletId::new(*first, 0))
    }

    /// The mean that is subtracted and what the difference is multiplied with, for each channel of the input.
    fn normalisation(&self) -> Vec<(f64, f64)> {
        let mut found: Vec<_> =
            self.gain.iter().zip(&self.offset).map(|(gain, offset)| (-offset / gain, *gain)).collect();
        if self.reversed {
            found.reverse();
        }
        found
    }

    /// Black and white of pixels, where what was seen normalises them.
    ///
    /// PrePostProcessor's mark leaves no doubt that it does, and the mean tells of which pixels. Without it, the same
    /// arithmetic may be a layer of the network: a batch norm right behind the input, say, which was folded and sees
    /// values that are normalised already. Its mean is about 0 and its gain about 1, so what counts as normalising
    /// pixels keeps away from that:
    /// * gains that bring 0..255 to a few units (`/ 255`, `/ 127.5 - 1`, ImageNet's), with means among the pixels;
    /// * a mean alone, as Caffe's networks have it, with all means about the middle of 0..255;
    /// * gains that bring 0..1 to a few units, with means about the middle of that.
    fn pixels(&self) -> Option<(f32, f32)> {
        const BYTES: (f32, f32) = (0.0, 255.0);
        const UNIT: (f32, f32) = (0.0, 1.0);
        let all = self.normalisation();
        let each = |fits: &dyn Fn(f64, f64) -> bool| {
            self.computed && all.iter().all(|(mean, gain)| fits(*mean, *gain))
        };
        let to_units =
            each(&|mean, gain| (0.0..=255.0).contains(&mean) && (0.5..=8.0).contains(&(gain * 255.0)));
        let centred = each(&|mean, gain| (64.0..=192.0).contains(&mean) && (gain - 1.0).abs() < 1e-6);
        // A marked scale may be in the weights.
        let least = if self.marked { 1.0 } else { 1.9 };
        let from_unit = each(&|mean, gain| (0.2..=0.8).contains(&mean) && (least..=6.5).contains(&gain));
        if from_unit {
            return Some(UNIT);
        }
        (self.marked || to_units || centred).then_some(BYTES)
    }

    /// Whether the input takes blue first.
    ///
    /// A mean like ImageNet's tells by its order, also where a reversal of the channels was folded into weights. A
    /// reversal that is seen is not to be done once more.
    fn blue_first(&self, pixels: Option<(f32, f32)>) -> Option<bool> {
        let order = |(_, white): (f32, f32)| {
            let means = self.normalisation().into_iter().map(|(mean, _)| mean * 255.0 / f64::from(white));
            let means: Vec<f64> = means.collect();
            let near = |wanted: &mut dyn Iterator<Item = f32>| {
                means.len() == IMAGENET_MEAN.len()
                    && means.iter().zip(wanted).all(|(mean, wanted)| (mean - f64::from(wanted)).abs() < 2.0)
            };
            let red_first = near(&mut IMAGENET_MEAN.into_iter());
            (red_first || near(&mut IMAGENET_MEAN.into_iter().rev())).then_some(!red_first)
        };
        pixels.and_then(order).or_else(|| self.reversed.then_some(false))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// A model that is written layer by layer, each reading the one before it.
    struct Chain {
        layers: String,
        edges: String,
        bin: Vec<u8>,
        next: usize,
        last: (usize, String),
    }

    impl Chain {
        /// Starts with an input of a shape like `1,3,8,8`; `layout` goes into its `<rt_info>`.
        fn new(shape: &str, layout: Option<&str>) -> Self {
            let info = layout.map_or_else(String::new, |layout| {
                format!(r#"<rt_info><attribute name="layout" version="0" layout="{layout}"/></rt_info>"#)
            });
            let mut chain = Self {
                layers: String::new(),
                edges: String::new(),
                bin: Vec::new(),
                next: 1,
                last: (0, shape.to_owned()),
            };
            let dims = dims(shape);
            let _ = write!(
                chain.layers,
                r#"<layer id="0" name="x" type="Parameter" version="opset1"><data shape="{shape}" element_type="f32"/>
                <output><port id="9" precision="FP32">{dims}{info}</port></output></layer>"#
            );
            chain
        }

        fn constant(&mut self, element: &str, shape: &str, bytes: &[u8]) -> (usize, String) {
            let (id, offset, size, dims) = (self.next, self.bin.len(), bytes.len(), dims(shape));
            self.next += 1;
            self.bin.extend(bytes);
            let precision = if element == "f32" { "FP32" } else { "I64" };
            let _ = write!(
                self.layers,
                r#"<layer id="{id}" name="c{id}" type="Const" version="opset1">
                <data element_type="{element}" shape="{shape}" offset="{offset}" size="{size}"/>
                <output><port id="9" precision="{precision}">{dims}</port></output></layer>"#
            );
            (id, shape.to_owned())
        }

        fn floats(&mut self, shape: &str, values: &[f32]) -> (usize, String) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.constant("f32", shape, &bytes)
        }

        fn integers(&mut self, values: &[i64]) -> (usize, String) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.constant("i64", &values.len().to_string(), &bytes)
        }

        /// A layer that reads the last one and `others`.
        fn layer(mut self, kind: &str, others: &[(usize, String)], out: &str, rt_info: &str) -> Self {
            let (id, mut ports) = (self.next, String::new());
            self.next += 1;
            let inputs = std::iter::once(&self.last).chain(others);
            for (port, (from, shape)) in inputs.enumerate() {
                let _ = write!(ports, r#"<port id="{port}" precision="FP32">{}</port>"#, dims(shape));
                let _ = write!(
                    self.edges,
                    r#"<edge from-layer="{from}" from-port="9" to-layer="{id}" to-port="{port}"/>"#
                );
            }
            let _ = write!(
                self.layers,
                r#"<layer id="{id}" name="l{id}" type="{kind}" version="opset1">{rt_info}<input>{ports}</input>
                <output><port id="9" precision="FP32">{}</port></output></layer>"#,
                dims(out)
            );
            self.last = (id, out.to_owned());
            self
        }

        /// Arithmetic with constants of a shape.
        fn with(mut self, kind: &str, shape: &str, values: &[f32]) -> Self {
            let constant = self.floats(shape, values);
            let out = self.last.1.clone();
            self.layer(kind, &[constant], &out, "")
        }

        fn transposed(mut self, order: &[i64], out: &str) -> Self {
            let order = self.integers(order);
            self.layer("Transpose", &[order], out, "")
        }

        fn reversed(mut self, axis: i64) -> Self {
            let (order, axis) = (self.integers(&[2, 1, 0]), self.integers(&[axis]));
            let out = self.last.1.clone();
            self.layer("Gather", &[order, axis], &out, "")
        }

        fn convolved(mut self, rt_info: &str) -> Self {
            let weights = self.floats("1,3,1,1", &[0.0; 3]);
            self.layer("Convolution", &[weights], "1,1,8,8", rt_info)
        }

        fn facts(self) -> InputFacts {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.xml");
            let Self { layers, edges, bin, .. } = self;
            let text = format!(
                r#"<net name="n" version="11"><layers>{layers}</layers><edges>{edges}</edges></net>"#
            );
            std::fs::write(&path, text).unwrap();
            std::fs::write(path.with_extension("bin"), bin).unwrap();
            let model = Model::read(&path, None).unwrap();
            let (id, _) = model.graph().parameters().next().unwrap();
            InputFacts::of(&model, id)
        }
    }

    fn dims(shape: &str) -> String {
        shape.split(',').map(|dim| format!("<dim>{dim}</dim>")).collect()
    }

    const MARK: &str = r#"<rt_info><attribute name="other" of="&unknown;"/><attribute name="preprocessing" version="0"/></rt_info>"#;
    const CHW: &str = "1,3,8,8";
    const EACH: &str = "1,3,1,1";
    const BYTES: Option<(f32, f32)> = Some((0.0, 255.0));

    #[test]
    fn the_order_of_axes_is_the_parameters_own_or_what_a_convolution_takes() {
        let own = Chain::new("1,-1,-1,3", Some("[N,H,W,C]")).layer("ReLU", &[], "1,-1,-1,3", "");
        assert_eq!(own.facts().layout, Some(ImageLayout::Nhwc));
        assert_eq!(Chain::new(CHW, None).convolved("").facts().layout, Some(ImageLayout::Nchw));
        let turned = || Chain::new("1,8,8,3", None).transposed(&[0, 3, 1, 2], CHW);
        assert_eq!(turned().convolved("").facts().layout, Some(ImageLayout::Nhwc));
        // Height and width change places.
        let across = turned().transposed(&[0, 1, 3, 2], CHW).convolved("");
        assert_eq!(across.facts().layout, None);
        let by_constants =
            Chain::new("1,8,8,3", None).with("Add", "3", &[1.0; 3]).layer("ReLU", &[], "1,8,8,3", "");
        assert_eq!(by_constants.facts().layout, Some(ImageLayout::Nhwc));
        assert_eq!(
            Chain::new("1,8", Some("[N,C]")).layer("ReLU", &[], "1,8", "").facts(),
            InputFacts::default()
        );
    }

    #[test]
    fn normalisation_in_the_graph_is_seen() {
        let mean = IMAGENET_MEAN;
        let cases = [
            (
                "imagenet",
                Chain::new(CHW, None).with("Subtract", EACH, &mean).with("Divide", EACH, &[58.0, 57.0, 57.0]),
            ),
            ("to 0..1", Chain::new(CHW, None).with("Multiply", "1", &[1.0 / 255.0])),
            (
                "to -1..1",
                Chain::new(CHW, None).with("Divide", "1,1,1,1", &[127.5]).with("Subtract", "1", &[1.0]),
            ),
            ("caffe", Chain::new(CHW, None).with("Add", EACH, &[-104.0, -117.0, -123.0])),
        ];
        for (name, chain) in cases {
            assert_eq!(chain.convolved("").facts().pixels, BYTES, "{name}");
        }
        let unit = Chain::new(CHW, None).with("Subtract", EACH, &[0.485, 0.456, 0.406]);
        let unit = unit.with("Divide", EACH, &[0.229, 0.224, 0.225]).convolved("").facts();
        assert_eq!((unit.pixels, unit.blue_first), (Some((0.0, 1.0)), Some(false)));
        // PrePostProcessor folds a scale into the weights and leaves its mark.
        assert_eq!(Chain::new(CHW, None).convolved(MARK).facts().pixels, BYTES);
        let folded = Chain::new(CHW, None).with("Subtract", EACH, &[0.485, 0.456, 0.406]).convolved(MARK);
        assert_eq!(folded.facts().pixels, Some((0.0, 1.0)));
    }

    #[test]
    fn layers_of_the_network_are_not_mistaken_for_it() {
        let cases = [
            ("nothing", Chain::new(CHW, None)),
            (
                "folded batch norm",
                Chain::new(CHW, None).with("Multiply", EACH, &[0.9, 1.1, 1.3]).with(
                    "Add",
                    EACH,
                    &[0.1, -0.2, 0.0],
                ),
            ),
            ("a sign", Chain::new(CHW, None).with("Multiply", "1", &[-1.0])),
            ("a small shift", Chain::new(CHW, None).with("Subtract", EACH, &[0.5, 0.4, 0.6])),
            ("a position's constant", Chain::new(CHW, None).with("Subtract", "8,8", &[128.0; 64])),
            (
                "behind a layer",
                Chain::new(CHW, None).layer("ReLU", &[], CHW, "").with("Divide", "1", &[255.0]),
            ),
        ];
        for (name, chain) in cases {
            assert_eq!(chain.convolved("").facts().pixels, None, "{name}");
        }
    }

    #[test]
    fn the_order_of_channels_is_told_by_a_known_mean_or_a_reversal() {
        let mut blue = IMAGENET_MEAN;
        blue.reverse();
        let first = |chain: Chain| chain.convolved("").facts().blue_first;
        let with = |mean: &[f32]| Chain::new(CHW, None).with("Subtract", EACH, mean);
        assert_eq!(first(with(&IMAGENET_MEAN)), Some(false));
        assert_eq!(first(with(&blue)), Some(true));
        assert_eq!(first(with(&[128.0; 3])), None);
        // Turned round first, the network's means are those of the other order.
        let turned = || Chain::new(CHW, None).reversed(1);
        assert_eq!(first(turned().with("Subtract", EACH, &blue)), Some(false));
        assert_eq!(first(turned().with("Subtract", EACH, &IMAGENET_MEAN)), Some(true));
        assert_eq!(first(turned()), Some(false));
        assert_eq!(first(Chain::new(CHW, None)), None);
    }
}
