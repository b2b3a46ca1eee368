//! Extensions between a client and a server that speak newline-delimited frames.
#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/peers.rs"]
mod peers_installed;

mod bad_input;
mod checks;
mod faults;
mod order;
mod peers;
mod rig;
mod transparency;
mod traps;
mod with_rmcp;
