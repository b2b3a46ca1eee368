//! Extensions between a client and a server that speak newline-delimited frames.
#![allow(missing_docs)]

#[path = "../common/board.rs"]
mod board;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/peers.rs"]
mod peers_installed;

mod bad_input;
mod checks;
mod faults;
mod listen;
mod order;
mod peers;
mod rig;
mod transparency;
mod traps;
mod with_rmcp;
