//! From what was written to the model: every rule that can be checked before anything runs, every fault at once.

pub mod item;
pub mod signature;
pub mod trait_;
