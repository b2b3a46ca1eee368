//! Puts mcp-ext extensions in front of any MCP server, in any language: an
//! [`ExtensionSet`](mcp_ext_core::ExtensionSet) on raw JSON-RPC frames, with no SDK.
//!
//! Requests of the set are answered here; everything else is forwarded byte for byte. What the set offers is merged
//! into the server's own answers to `initialize`, `server/discover` and `tools/list`, as edits of their text: members
//! that are not ours keep their bytes. The set takes part only in the eras that the wrapped server has shown.
//!
//! With feature `client` also the other end: typed clients of extensions over stdio and HTTP, with no SDK.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "http")]
mod http;
#[cfg(any(feature = "stdio", feature = "http"))]
mod listen;
#[cfg(any(feature = "stdio", feature = "http"))]
mod merge;
#[cfg(any(feature = "stdio", feature = "http"))]
mod message;
#[cfg(any(feature = "stdio", feature = "http"))]
mod own;
#[cfg(feature = "stdio")]
mod scan;
#[cfg(any(feature = "stdio", feature = "http"))]
mod server;
#[cfg(feature = "stdio")]
mod stdio;

#[cfg(feature = "client")]
pub use client::{ClientOptions, ConnectError, HttpCaller, StdioCaller};
#[cfg(feature = "proxy")]
pub use http::proxy::{ProxyError, ProxyOptions, proxy};
#[cfg(feature = "http")]
pub use http::{Auth, BodyError, BoxError, HttpOptions, WireBody, WireLayer, WireService};
#[cfg(feature = "process")]
pub use stdio::process::{WrapError, wrap};
#[cfg(feature = "stdio")]
pub use stdio::{Ended, Relay, RelayOptions};

/// What this adapter can carry, for [`ExtensionSet::report`](mcp_ext_core::ExtensionSet::report).
pub const CARRIES: mcp_ext_core::Carries = mcp_ext_core::Carries {
    adapter: "wire",
    request_notifications: true,
    listen_notifications: true,
    mcp_name: true,
    stateless_legacy_declarations: true,
};
