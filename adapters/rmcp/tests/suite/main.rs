//! The adapter over real wires: raw frames in, raw frames out, every one of them validated.
#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod checks;
mod client;
mod combinations;
mod complete;

mod facts_table;
mod table;
mod traps;

use std::sync::Arc;

use mcp_ext_core::ExtensionSet;
use mcp_ext_core::protocol::Era;
use mcp_ext_rmcp::{ServerExtensions, WithExtensions};
use serde_json::{Value, json};

use common::grading::{self, Lms};
use common::inner::DefaultRouter;
use common::wire::{Carrier, Client};

/// Both extensions in front of a server with one tool, and a client of it.
async fn start(carrier: Carrier, era: Era, declared: Option<Value>) -> (Arc<Lms>, Client) {
    let (lms, set) = grading::set();
    (
        lms,
        Client::connect(wrapped(set), carrier, era, declared).await,
    )
}

fn wrapped(set: ExtensionSet) -> WithExtensions<DefaultRouter> {
    DefaultRouter.with_extensions(set).unwrap()
}

fn course(name: &str) -> Value {
    json!({ "course": name })
}
