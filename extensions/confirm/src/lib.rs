//! Preview first, then act: a call is run only with a confirmation of what was shown, which works once, for these very
//! arguments, for this caller, for a short time.
//!
//! The wire types stand here without I/O; behind feature `server` is [`Confirm`], the block that stands around the items of
//! any extension.

#[cfg(feature = "client")]
mod client;
mod contract;
mod error;
mod preview;

#[cfg(feature = "server")]
mod answer;
#[cfg(feature = "server")]
mod block;
#[cfg(feature = "server")]
mod previews;
#[cfg(feature = "server")]
mod seal;
#[cfg(feature = "server")]
mod table;

#[cfg(feature = "client")]
pub use client::{answer, question};
pub use contract::*;
pub use error::ConfirmError;
pub use preview::Preview;

#[cfg(feature = "server")]
pub use block::Confirm;
#[cfg(feature = "server")]
pub use previews::{Previews, TitleAndArguments};
#[cfg(feature = "server")]
pub use seal::{ConfirmKey, Confirmations};

/// Names the block, for `needs(Confirm)`. With feature `server` it is the block itself.
#[cfg(not(feature = "server"))]
#[derive(Clone, Copy, Debug)]
pub enum Confirm {}

impl mcp_ext_core::block::BlockName for Confirm {
    const NAME: &'static str = NAME;
}
