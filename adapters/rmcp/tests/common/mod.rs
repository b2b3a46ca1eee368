//! What the tests of adapters share: a hand-written extension, wires that show raw frames, and the spec's schemas.
#![allow(dead_code, missing_docs)]

pub mod frames;
pub mod grading;
pub mod http;
pub mod inner;
pub mod wire;
