//! The file format and nothing else: reading an IR, looking into its weights, writing a new one.
//!
//! A document is never re-serialised. What was read stays as bytes; additions are spliced in at
//! three places (end of `<layers>`, end of `<edges>`, the net's `<rt_info>`). So whatever the
//! reader does not understand survives unchanged.
//!
//! Format: OpenVINO documentation, "OpenVINO IR format" and "Operation sets"; versions 10 and 11.

mod course;
mod document;
mod element;
mod files;
#[cfg(feature = "explain")]
mod hierarchy;
mod input_shape;
#[cfg(feature = "runtime")]
mod layout;
#[cfg(feature = "runtime")]
mod model_info;
mod parse;
mod read;
mod record;
mod rt_info;
mod shape;
mod splice;
mod weights;

pub use course::Course;
pub(crate) use document::{Document, EdgeElement, LayerElement, PortElement};
pub use element::ElementType;
pub use files::{Destination, PendingFile};
#[cfg(feature = "explain")]
pub(crate) use hierarchy::Hierarchy;
pub use input_shape::InputShape;
pub(crate) use input_shape::listed;
#[cfg(feature = "runtime")]
pub use layout::ImageLayout;
#[cfg(feature = "runtime")]
pub use model_info::Resize;
#[cfg(feature = "runtime")]
pub(crate) use model_info::{Entry, ModelInfo};
pub use record::Classes;
#[cfg(feature = "runtime")]
pub(crate) use record::SECTION;
pub(crate) use record::{Record, key, section};
pub(crate) use rt_info::RtInfo;
pub(crate) use shape::is_absurd;
pub(crate) use shape::{Dim, Shape, ShapeDisplay, resolve_axis};
#[cfg(feature = "runtime")]
pub(crate) use splice::is_as_written;
pub(crate) use splice::{Splice, escape};
pub(crate) use weights::Weights;
