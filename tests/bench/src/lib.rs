//! What mcp-ext costs, beside the same written by hand: one extension twice, each way of carrying it, and the cases
//! that are counted. `README.md` says how to run them.

pub mod bulk;
pub mod by_hand;
pub mod cases;
pub mod echo;
pub mod frames;
pub mod grading;
pub mod raw;
pub mod servers;
pub mod transport;
