//! What the fuzzer runs, apart from the fuzzer: `tests/mutations.rs` runs the same on any toolchain.

pub mod mutation;
pub mod sources;
pub mod targets;
