//! Contracts, negotiation and dispatch for extensions of the Model Context Protocol (SEP-2133).
//!
//! An extension is declared once, as an annotated trait. This crate holds everything that is true of it whatever SDK
//! carries it: the [`Contract`], the typed settings and how two sides combine them ([`algebra`]), the checked
//! [`ExtensionSet`] of one server, the way of a request through it, and the client's side. It knows no SDK, no async
//! runtime, no I/O and no clock; an adapter translates between it and one SDK.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod algebra;
pub mod block;
mod call;
#[cfg(feature = "client")]
pub mod client;
pub mod contract;
pub mod cx;
pub mod envelope;
mod error;
mod expand_support;
mod extension;
pub mod faults;
mod handler;
pub mod headers;
pub mod id;
mod limits;
mod negotiated;
mod observe;
mod prose;
pub mod protocol;
pub mod registry;
pub mod request;
pub mod schema;
mod set;
pub mod wire;

pub use block::{Block, BlockName};
pub use contract::Contract;
pub use cx::{Cx, Facts, ToolCx};
pub use error::{ErrorSpec, ExtensionError};
pub use extension::{Enable, Extension, HandlerResult, NoParams, NoSettings, Settings};
pub use id::ExtensionId;
pub use limits::Limits;
#[cfg(feature = "macros")]
pub use mcp_ext_macros::{ExtensionError, extension, handlers, settings};
pub use negotiated::Negotiated;
pub use observe::Observer;
pub use request::{Incoming, Principal};
pub use set::{
    AmendCx, BuildError, Carries, ExtensionSet, ExtensionSetBuilder, Gap, Listing, Pending, Reply,
    Route, ToolEntry,
    listen::{self, ListenFilter, Listener, Publisher, Subscription},
};
pub use wire::RpcError;

/// Keeps generated client code only where the feature `client` is on.
#[cfg(feature = "client")]
#[doc(hidden)]
#[macro_export]
macro_rules! __mcp_ext_client {
    ($($code:tt)*) => { $($code)* };
}

/// Keeps generated client code only where the feature `client` is on.
#[cfg(not(feature = "client"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __mcp_ext_client {
    ($($code:tt)*) => {};
}

/// What generated code names. Its path changes with every release: nothing written by hand can depend on it.
#[doc(hidden)]
pub mod __private_0_1_0 {
    pub use crate::__mcp_ext_client as client;
    pub use crate::algebra;
    pub use crate::call::{Call, Failure, Outcome, Payload};
    #[cfg(feature = "client")]
    pub use crate::client::{Active, CallError, Caller, Client, HasClient};
    pub use crate::contract::*;
    pub use crate::cx::{Cx, NoNotifications, NotificationHandle, ToolCx};
    pub use crate::error::{ErrorSpec, ExtensionError};
    pub use crate::expand_support::*;
    pub use crate::extension::{
        Enable, Extension, HandlerResult, IntoProvider, NoParams, NoSettings, Serves,
    };
    pub use crate::handler::{Context, Handler, WithoutParams};
    pub use crate::id::ExtensionId;
    pub use crate::protocol::{ProtocolRange, ProtocolVersion};
    pub use crate::registry::Registered;
    pub use crate::request::{BoxFuture, NotifyError, Principal};
    pub use crate::schema::TypeSchema;
    pub use crate::set::ExtensionSet;
    pub use crate::set::listen::{FilterSpec, Publisher};
    pub use crate::wire::JsonObject;
    pub use inventory;
    pub use schemars;
    pub use serde;
    pub use serde_json;
}
