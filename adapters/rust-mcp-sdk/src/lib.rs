//! Puts mcp-ext extensions in front of any [rust-mcp-sdk] server.
//!
//! A server's handler stays as it is: [`with_extensions`] gives a handler that answers the methods and tools of the
//! extensions, and hands everything else to the one it was given. It goes wherever the other went: into
//! `McpServerOptions` for stdio, into `McpAppState` for HTTP.
//!
//! ```
//! use std::sync::Arc;
//! use mcp_ext_core::ExtensionSet;
//! use mcp_ext_rust_mcp_sdk::with_extensions;
//! use rust_mcp_sdk::mcp_server::{McpServerHandler, ServerHandler, ToMcpServerHandler};
//!
//! struct MyServer;
//! impl ServerHandler for MyServer {}
//!
//! let extensions = ExtensionSet::builder().build()?;
//! let handler = with_extensions(MyServer.to_mcp_server_handler(), extensions);
//! let handler: Arc<dyn McpServerHandler> = Arc::new(handler);
//! // McpServerOptions { handler, server_details, transport, message_observer: None }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The server's own handlers read what was negotiated with [`negotiated`].
//!
//! Over HTTP, [`HttpContext`] goes among the middlewares of the `McpHttpHandler`; without it the extensions do not see
//! what only HTTP knows.
//!
//! # What rust-mcp-sdk leaves out
//!
//! - It has no `initialize`: clients of 2025-11-25 and before are not served, with or without extensions.
//! - It takes settings without `null` and without fractions. A request of a client that declares others reaches the
//!   server without that declaration; the extensions see it whole.
//! - A cancelled call is stopped, and still answered with an error.
//! - Notifications cannot go on `subscriptions/listen`.
//! - A server that answers with JSON in place of streams gives the first message of a call for its answer: through
//!   [`HttpContext`] nothing but the answer is sent there.
//! - Its clients send no `Mcp-Name` for methods of extensions, and a call that is dropped is not cancelled at the server.
//!
//! [rust-mcp-sdk]: rust_mcp_sdk

mod call;
#[cfg(feature = "client")]
mod client;
mod context;
mod handler;
#[cfg(feature = "http")]
mod http;
mod typed;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use mcp_ext_core::protocol::Era;
use mcp_ext_core::{Carries, ExtensionSet, Gap, Principal};
use rust_mcp_sdk::auth::AuthInfo;
use rust_mcp_sdk::mcp_server::McpServerHandler;
use tokio::sync::OnceCell;

#[cfg(feature = "client")]
pub use client::{DeclareError, RustMcpSdkCaller, declare};
pub use context::negotiated;
#[cfg(feature = "http")]
pub use http::HttpContext;

/// What this adapter can carry, for [`ExtensionSet::report`].
pub const CARRIES: Carries = Carries {
    adapter: "rust-mcp-sdk",
    request_notifications: true,
    listen_notifications: false,
    mcp_name: false,
    stateless_legacy_declarations: false,
};

/// Says who calls, from what the server's authentication found.
type PrincipalOf = dyn Fn(&AuthInfo) -> Option<Principal> + Send + Sync;

/// A handler with extensions in front of it; made by [`with_extensions`].
pub struct ExtensionsHandler {
    inner: Arc<dyn McpServerHandler>,
    set: ExtensionSet,
    principal: Box<PrincipalOf>,
    /// Tools of the server that have names of ours.
    taken: OnceCell<BTreeSet<String>>,
    /// The set with the server's own name on it.
    stamping: OnceLock<ExtensionSet>,
    calls: call::Calls,
}

/// Puts extensions in front of a handler.
///
/// Where the server has a tool of a name in the set, or advertises an extension of an identifier in it, the server's
/// stays: ours is withheld, and the set's observer is told.
pub fn with_extensions(handler: Arc<dyn McpServerHandler>, set: ExtensionSet) -> ExtensionsHandler {
    ExtensionsHandler {
        inner: handler,
        set,
        principal: Box::new(|auth| auth.user_id.as_deref().map(Principal::new)),
        taken: OnceCell::new(),
        stamping: OnceLock::new(),
        calls: call::Calls::default(),
    }
}

impl ExtensionsHandler {
    /// Says how a caller is known. Without it, who calls is the user that the access token names.
    #[must_use]
    pub fn principal(
        mut self,
        of: impl Fn(&AuthInfo) -> Option<Principal> + Send + Sync + 'static,
    ) -> Self {
        self.principal = Box::new(of);
        self
    }

    /// The extensions.
    pub fn extensions(&self) -> &ExtensionSet {
        &self.set
    }

    /// What rust-mcp-sdk cannot carry for these extensions, in words.
    pub fn report(&self) -> Vec<Gap> {
        // Of sessions nothing is lost where there are none at all, which is said below.
        let mut gaps = self.set.report(&Carries {
            stateless_legacy_declarations: true,
            ..CARRIES
        });
        for contract in self.set.contracts() {
            if contract.protocol.covers_era(Era::Legacy) {
                gaps.push(Gap {
                    extension: contract.id.clone(),
                    what: "clients of 2025-11-25 and before are not served: rust-mcp-sdk has no initialize"
                        .to_owned(),
                });
            }
        }
        gaps
    }
}

impl fmt::Debug for ExtensionsHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtensionsHandler")
            .field("set", &self.set)
            .finish_non_exhaustive()
    }
}
