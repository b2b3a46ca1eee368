//! Puts mcp-ext extensions in front of any [rmcp] server, and typed clients of extensions on any rmcp client.
//!
//! A server stays as it is: `with_extensions` (of `ServerExtensions`, feature `server`) wraps it, and the wrapper
//! is again a `ServerHandler` that runs over stdio and Streamable HTTP, for legacy and modern peers. A client sends
//! through `RmcpCaller` (feature `client`).
//!
//! What rmcp answers before this crate sees a request, what is repaired here, and what rmcp cannot carry stands in
//! `TABLE.md` beside this crate's manifest; each of its rows is kept true by a test.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "client")]
pub use client::{RmcpCaller, declare};
#[cfg(feature = "server")]
pub use server::{AdapterError, ServerExtensions, WithExtensions};

/// What this adapter can carry, for [`ExtensionSet::report`](mcp_ext_core::ExtensionSet::report).
///
/// - Notifications about a request reach the client; on a legacy HTTP session rmcp sends all but progress on the
///   standalone GET stream instead of the request's own.
/// - rmcp's `subscriptions/listen` refuses notifications of extensions.
/// - Its client sends no `Mcp-Name` header for methods of extensions.
/// - On HTTP without sessions it forgets what a legacy client declared in `initialize`.
pub const CARRIES: mcp_ext_core::Carries = mcp_ext_core::Carries {
    adapter: "rmcp",
    request_notifications: true,
    listen_notifications: false,
    mcp_name: false,
    stateless_legacy_declarations: false,
};

#[cfg(any(feature = "server", feature = "client"))]
mod convert {
    //! Error objects of both sides, one into the other.

    use mcp_ext_core::RpcError;
    use rmcp::ErrorData;
    #[cfg(feature = "server")]
    use rmcp::model::ErrorCode;

    #[cfg(feature = "server")]
    pub(crate) fn to_rmcp(error: RpcError) -> ErrorData {
        ErrorData::new(ErrorCode(error.code), error.message, error.data)
    }

    #[cfg(feature = "client")]
    pub(crate) fn from_rmcp(error: ErrorData) -> RpcError {
        let mut rpc = RpcError::new(error.code.0, error.message);
        rpc.data = error.data;
        rpc
    }
}
