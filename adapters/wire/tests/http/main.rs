//! Extensions in front of an HTTP server: the layer inside the reverse proxy.
#![allow(missing_docs)]

#[path = "../common/board.rs"]
mod board;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/peers.rs"]
mod peers_installed;

mod auth;
mod checks;
mod lasting;
mod listen;
mod peers;
mod proxying;
mod rig;
mod server;
mod sessions;
mod streams;
