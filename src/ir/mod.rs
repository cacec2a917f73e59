//! The file format and nothing else: reading an IR, looking into its weights, writing a new one.
//!
//! A document is never re-serialised. What was read stays as bytes; additions are spliced in at
//! three places (end of `<layers>`, end of `<edges>`, the net's `<rt_info>`). So whatever the
//! reader does not understand survives unchanged.
//!
//! Format: OpenVINO documentation, "OpenVINO IR format" and "Operation sets"; versions 10 and 11.

mod document;
mod element;
mod files;
mod layout;
mod model_info;
mod parse;
mod record;
mod rt_info;
mod shape;
mod splice;
mod weights;

pub use document::{Document, EdgeElement, LayerElement, PortElement};
pub use element::ElementType;
pub use files::{Destination, PendingFile};
pub use layout::ImageLayout;
pub use model_info::{Entry, ModelInfo, Resize};
pub use record::Classes;
pub(crate) use record::{Record, SECTION, key, section};
pub use rt_info::RtInfo;
pub(crate) use shape::is_absurd;
pub use shape::{Dim, Shape, ShapeDisplay, resolve_axis};
pub use splice::{Splice, escape};
pub use weights::Weights;
