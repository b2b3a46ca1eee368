//! One extension written twice: with mcp-ext, and by hand on rmcp alone.
//!
//! `types` and `logic` are shared, since nobody can be spared them. What is left in [`by_macro`] and [`by_hand`] is
//! plumbing; `tests/equivalent.rs` sends the same frames to both and counts the lines of each.

pub mod by_hand;
pub mod by_macro;
pub mod logic;
pub mod types;
