//! The image input of a model.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::ir::ElementType;
use crate::runtime::{Network, Port};

/// Side of an image where model and user leave it open.
const SIDE: usize = 224;

/// Order of an image input's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Layout {
    /// Batch, channels, height, width.
    #[serde(rename = "NCHW")]
    Nchw,
    /// Batch, height, width, channels.
    #[serde(rename = "NHWC")]
    Nhwc,
}

impl Layout {
    /// Reads `NCHW`, `nhwc` or OpenVINO's `[N,C,H,W]`.
    pub fn named(text: &str) -> Option<Self> {
        let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
        match letters.to_ascii_uppercase().as_str() {
            "NCHW" => Some(Self::Nchw),
            "NHWC" => Some(Self::Nhwc),
            _ => None,
        }
    }
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
}

impl ImageInput {
    /// Looks at the input of a model and fixes what it leaves open: a batch of 1, and `size` (height, width)
    /// or 224x224.
    ///
    /// # Errors
    /// [`Error::Usage`] where the model takes something else than one image.
    pub fn settle(
        network: &mut Network,
        layout: Option<Layout>,
        size: Option<(usize, usize)>,
    ) -> Result<Self> {
        let inputs = network.inputs();
        let list = || inputs.iter().map(Port::to_string).collect::<Vec<_>>().join(", ");
        let no_image =
            |why: &str| Error::usage(format!("the model does not take an image: {why} ({})", list()));
        let [port] = inputs else { return Err(no_image("it has several inputs or none")) };
        let element = port.element.filter(|element| element.is_float() || element.bits() == Some(8));
        let element = element.ok_or_else(|| no_image("its elements are neither floats nor bytes"))?;
        let open = vec![None; 4];
        let dims = port.shape.as_ref().unwrap_or(&open);
        let &[batch, second, third, fourth] = &dims[..] else {
            return Err(no_image("it has not 4 axes"));
        };
        let channels = |dim: Option<usize>| matches!(dim, Some(1 | 3 | 4));
        let layout = match layout {
            Some(layout) => layout,
            None if channels(second) => Layout::Nchw,
            None if channels(fourth) => Layout::Nhwc,
            None if second.is_none() && fourth.is_none() => Layout::Nchw,
            None => return Err(no_image("no axis has 1, 3 or 4 channels")),
        };
        let (depth, height, width) = match layout {
            Layout::Nchw => (second, third, fourth),
            Layout::Nhwc => (fourth, second, third),
        };
        if depth.is_some() && !channels(depth) {
            return Err(no_image("its channels are not 1, 3 or 4; see --layout"));
        }
        let side = |dim: Option<usize>, wanted: Option<usize>| match (dim, wanted) {
            (Some(dim), Some(wanted)) if dim != wanted => Err(Error::usage(format!(
                "--input-size {wanted}: the model's input is fixed to {dim}; resizing to that is done anyway"
            ))),
            (Some(dim), _) => Ok(dim),
            (None, wanted) => Ok(wanted.unwrap_or(SIDE)),
        };
        let input = Self {
            element,
            batch: batch.unwrap_or(1),
            channels: depth.unwrap_or(3),
            height: side(height, size.map(|size| size.0))?,
            width: side(width, size.map(|size| size.1))?,
            channels_last: layout == Layout::Nhwc,
        };
        if input.shape().contains(&0) {
            return Err(no_image("an extent is 0"));
        }
        if dims.contains(&None) {
            network.reshape(0, &input.shape())?;
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
        write!(f, "{}{:?} {layout}", self.element, self.shape())
    }
}
