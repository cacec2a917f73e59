//! Evaluating the head on K masked feature maps without making them.
//!
//! ReciproCAM (arXiv 2209.14074) asks for the logits of K copies of the features, each with one
//! position kept and the others zero. Here the head is evaluated *symbolically*: its values take the cheapest
//! [form](FormKind) that an operation allows; only where one really mixes positions are the copies made.
//!
//! From the ground: `why.rs`, `form.rs` and `mask.rs` say what there is; `questions.rs` looks at the values of a head
//! and adds nothing, `context.rs` holds them and the patch; `background.rs`, `nonlinear.rs`, `copies.rs`, `tokens.rs`,
//! `operand.rs` and `prefix.rs` build what several rules need; `forms/` has the rules, a file for each form;
//! `scores.rs` turns the logits' form into `[N, classes, h, w]` and takes classes; `evaluate.rs` goes from operation to
//! operation. `narrow/` narrows the head to the tokens that are read before it is evaluated.

mod background;
mod context;
mod copies;
mod differences;
mod evaluate;
mod form;
mod forms;
mod head;
mod laid;
mod mask;
mod memory;
mod narrow;
mod nonlinear;
mod operand;
mod operation;
mod prefix;
mod questions;
mod scores;
mod tokens;
mod values;
mod why;

pub(crate) use evaluate::{Evaluated, MaskedHead, evaluate};
pub use evaluate::{Quantized, Step, Strategy};
pub use form::FormKind;
pub use mask::Kernel;
pub(crate) use mask::Mask;
pub(crate) use narrow::{Narrowed, narrow};
pub(crate) use scores::Order;
