//! From tokens to what was written: attributes and their keys, items and their fns. Nothing is judged here but form.

pub mod attributes;
pub mod docs;
pub mod impl_;
pub mod item;
pub mod keys;
pub mod trait_;
