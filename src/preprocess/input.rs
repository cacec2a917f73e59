//! The image input of a model.

use serde::Serialize;

use super::Origin;
use crate::analysis::InputFacts;
use crate::error::{Error, Result};
use crate::ir::{ElementType, ImageLayout, ModelInfo};
use crate::message::{Message, Setting, message};

/// Side of an image where model and user leave it open.
const SIDE: usize = 224;

/// Finds out the order of an input's axes; `dims` are its four extents as far as they are fixed.
///
/// What is asked for goes first, then the graph, then `model_info` unless the extents contradict it, then an axis of
/// 1, 3 or 4. `None` where nothing tells.
pub(crate) fn layout(
    asked: Option<ImageLayout>,
    facts: &InputFacts,
    info: &ModelInfo,
    dims: [Option<usize>; 4],
) -> Option<(ImageLayout, Origin)> {
    let [_, second, _, fourth] = dims.map(is_channels);
    let shown = match (second, fourth) {
        (true, false) => Some(ImageLayout::Nchw),
        (false, true) => Some(ImageLayout::Nhwc),
        _ => None,
    };
    let said = info.layout.filter(|said| shown.is_none_or(|shown| shown == *said));
    let by_shape = || match (second, fourth) {
        (true, _) => Some((ImageLayout::Nchw, Origin::Shape)),
        (false, true) => Some((ImageLayout::Nhwc, Origin::Shape)),
        _ => (dims[1].is_none() && dims[3].is_none()).then_some((ImageLayout::Nchw, Origin::Assumed)),
    };
    // A network may take many channels, which are no image's.
    let fits = |layout: &ImageLayout| {
        dims.get(layout.channel_axis()).is_some_and(|dim| dim.is_none() || is_channels(*dim))
    };
    let of = |origin| move |layout| (layout, origin);
    asked
        .map(of(Origin::Options))
        .or(facts.layout.filter(fits).map(of(Origin::Graph)))
        .or(said.map(of(Origin::ModelInfo)))
        .or_else(by_shape)
}

fn is_channels(dim: Option<usize>) -> bool {
    matches!(dim, Some(1 | 3 | 4))
}

/// What a model takes: its element type, extents and order of axes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageInput {
    /// Element type.
    #[serde(skip)]
    pub element: ElementType,
    /// Images of one inference.
    pub batch: usize,
    /// 1, 3 or 4.
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Whether channels are the last axis; otherwise they follow the batch.
    pub channels_last: bool,
    /// Where the order of axes was taken from.
    pub layout_source: Origin,
}

/// An input as the model declares it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared<'a> {
    /// Element type, where it is one that tensors can have.
    pub(crate) element: Option<ElementType>,
    /// Extents, `None` for those that are open; `None` as a whole where the rank is not known.
    pub(crate) dims: Option<&'a [Option<usize>]>,
    /// The model's inputs, for messages.
    pub(crate) shown: &'a str,
}

impl Declared<'_> {
    /// The error that says why the model takes no image.
    pub(crate) fn no_image(&self, why: impl Into<Message>) -> Error {
        let message = message!["the model does not take an image: "].with(why.into());
        Error::usage(message.with(format!(" ({})", self.shown)))
    }
}

impl ImageInput {
    /// Looks at the input of a model and fixes what it leaves open: a batch of 1, and `size` (height, width)
    /// or 224x224.
    ///
    /// # Errors
    /// [`Error::Usage`] where the model takes something else than images, or another size.
    pub(crate) fn settle(
        declared: Declared<'_>,
        asked: (Option<ImageLayout>, Option<(usize, usize)>),
        facts: &InputFacts,
        info: &ModelInfo,
    ) -> Result<Self> {
        let no_image = |why: &str| declared.no_image(why);
        let element = declared.element.filter(|element| element.is_float() || element.bits() == Some(8));
        let element = element.ok_or_else(|| no_image("its elements are neither floats nor bytes"))?;
        let dims = declared.dims.unwrap_or(&[None; 4]);
        let &[batch, second, third, fourth] = dims else { return Err(no_image("it has not 4 axes")) };
        let (wanted, size) = asked;
        let (layout, layout_source) = layout(wanted, facts, info, [batch, second, third, fourth])
            .ok_or_else(|| no_image("no axis has 1, 3 or 4 channels"))?;
        let (depth, height, width) = match layout {
            ImageLayout::Nchw => (second, third, fourth),
            ImageLayout::Nhwc => (fourth, second, third),
        };
        if depth.is_some() && !is_channels(depth) {
            return Err(declared.no_image(message!["its channels are not 1, 3 or 4; see ", Setting::Layout]));
        }
        let side = |dim: Option<usize>, wanted: Option<usize>| match (dim, wanted) {
            (Some(dim), Some(wanted)) if dim != wanted => {
                let fixed = format!(": the model's input is fixed to {dim}; resizing to that is done anyway");
                Err(Error::usage(message![Setting::InputSize.to(wanted), fixed]))
            }
            (Some(dim), _) => Ok(dim),
            (None, wanted) => Ok(wanted.unwrap_or(SIDE)),
        };
        let input = Self {
            element,
            batch: batch.unwrap_or(1),
            channels: depth.unwrap_or(3),
            height: side(height, size.map(|size| size.0))?,
            width: side(width, size.map(|size| size.1))?,
            channels_last: layout == ImageLayout::Nhwc,
            layout_source,
        };
        if input.shape().contains(&0) {
            return Err(no_image("an extent is 0"));
        }
        Ok(input)
    }

    /// The tensor's shape.
    pub fn shape(&self) -> [usize; 4] {
        let Self { batch, channels, height, width, .. } = *self;
        if self.channels_last { [batch, height, width, channels] } else { [batch, channels, height, width] }
    }

    /// Values of one image.
    pub fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl std::fmt::Display for ImageInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layout = if self.channels_last { "N,H,W,C" } else { "N,C,H,W" };
        write!(f, "{}{:?} {layout}{}", self.element, self.shape(), self.layout_source.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_axes_is_asked_for_in_the_graph_said_or_seen() {
        let graph = |layout| InputFacts { layout, ..InputFacts::default() };
        let said = |layout| ModelInfo { layout, ..ModelInfo::default() };
        let (chw, hwc) = (ImageLayout::Nchw, ImageLayout::Nhwc);
        let open = [Some(1), None, None, None];
        let either = [Some(1), Some(3), None, Some(3)];
        let find = |asked, facts, info, dims| layout(asked, &graph(facts), &said(info), dims);
        assert_eq!(find(Some(chw), Some(hwc), Some(hwc), open), Some((chw, Origin::Options)));
        assert_eq!(find(None, Some(hwc), Some(chw), open), Some((hwc, Origin::Graph)));
        assert_eq!(find(None, None, Some(hwc), open), Some((hwc, Origin::ModelInfo)));
        assert_eq!(find(None, None, Some(hwc), either), Some((hwc, Origin::ModelInfo)));
        assert_eq!(find(None, None, None, either), Some((chw, Origin::Shape)));
        assert_eq!(find(None, None, None, open), Some((chw, Origin::Assumed)));
        // An image of three columns is none: what model_info says is stale.
        let last = [Some(1), None, None, Some(3)];
        assert_eq!(find(None, None, Some(chw), last), Some((hwc, Origin::Shape)));
        let none = [Some(1), Some(64), Some(64), Some(64)];
        assert_eq!((find(None, None, None, none), find(None, Some(chw), None, none)), (None, None));
    }
}
