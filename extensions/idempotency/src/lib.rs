//! A call that is repeated with the same `idempotencyKey` takes effect once and gets the same answer again.
//!
//! The wire types stand here without I/O; behind feature `server` is [`Idempotency`], the block that stands around the
//! items of any extension.

#[cfg(feature = "client")]
mod client;
mod contract;
mod error;
mod key;

#[cfg(feature = "server")]
mod block;
#[cfg(feature = "server")]
mod provider;
#[cfg(feature = "server")]
mod room;
#[cfg(feature = "server")]
mod state;
#[cfg(feature = "server")]
mod stored;
#[cfg(feature = "server")]
mod table;

pub use contract::*;
pub use error::IdempotencyError;
pub use key::{IdempotencyKey, InvalidKey};

#[cfg(feature = "server")]
pub use block::{Idempotency, OutcomeUnknown};
#[cfg(feature = "server")]
pub use provider::Reconciler;

/// Names the block, for `needs(Idempotency)`. With feature `server` it is the block itself.
#[cfg(not(feature = "server"))]
#[derive(Clone, Copy, Debug)]
pub enum Idempotency {}

impl mcp_ext_core::block::BlockName for Idempotency {
    const NAME: &'static str = NAME;
}
