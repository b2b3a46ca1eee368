//! Clients that speak raw frames, borrowed from the tests of the rmcp adapter; every frame is validated against the
//! schema of its revision.
#![allow(dead_code, missing_docs)]

#[path = "../../../adapters/rmcp/tests/common/frames.rs"]
pub mod frames;
#[path = "../../../adapters/rmcp/tests/common/http.rs"]
pub mod http;
#[path = "../../../adapters/rmcp/tests/common/wire.rs"]
pub mod wire;

use rmcp::ServerHandler;

/// A server that has nothing of its own.
#[derive(Clone)]
pub struct Plain;

impl ServerHandler for Plain {}
