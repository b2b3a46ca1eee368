//! Puts mcp-ext extensions in front of any [turbomcp] server.
//!
//! The server stays as it is. [`ExtensionsLayer`] goes around what `build` gives, and the result is served as that
//! would be: over HTTP as it stands, over stdio within turbomcp's `LegacySessionAdapter`.
//!
//! ```
//! use mcp_ext_core::ExtensionSet;
//! use mcp_ext_turbomcp::ExtensionsLayer;
//! use turbomcp::{LegacySessionAdapter, prelude::*, tower::Layer};
//! # #[derive(Clone)]
//! # struct Greeter;
//! # #[server(name = "greeter", version = "1.0.0")]
//! # impl Greeter {
//! #     /// Greets.
//! #     #[tool]
//! #     async fn greet(&self, name: String) -> String { format!("Hello, {name}!") }
//! # }
//!
//! let extensions = ExtensionSet::builder().build()?;
//! let server = ExtensionsLayer::new(extensions).layer(Greeter.into_server().build());
//! // over HTTP: turbomcp::http::serve_http(address, server, HttpConfig::new()).await
//! let server = LegacySessionAdapter::new(server);
//! // over stdio: serve_stdio(server).await
//! # Ok::<(), mcp_ext_core::BuildError>(())
//! ```
//!
//! Outside of `LegacySessionAdapter` the layer would not know which session a request belongs to, and would refuse all
//! requests of sessions.
//!
//! # What turbomcp leaves out
//!
//! - Headers do not reach the layer: `Mcp-Name` is not compared for methods of extensions. `Mcp-Param-*` must be there for
//!   tools, but what they say is compared, by turbomcp itself, only where the header has the name of the argument.
//! - Over HTTP an error of the envelope that only the layer sees is answered with status 200: an older version in the
//!   body alone, or capabilities that are malformed. So is every error of a listen request.
//!
//! [turbomcp]: https://docs.rs/turbomcp

#[cfg(feature = "client")]
mod client;
mod listen;
mod merge;
mod own;
mod service;
mod state;

use std::fmt;
use std::sync::Arc;

use mcp_ext_core::{Carries, ExtensionSet, Gap, Principal};
use turbomcp_core::Identity;

#[cfg(feature = "client")]
pub use client::TurboMcpCaller;
pub use service::ExtensionsService;

use state::State;

/// What this adapter can carry, for [`ExtensionSet::report`].
pub const CARRIES: Carries = Carries {
    adapter: "turbomcp",
    request_notifications: true,
    listen_notifications: true,
    mcp_name: false,
    stateless_legacy_declarations: true,
};

/// Says who calls, from the identity that the transport has found out.
type PrincipalOf = dyn Fn(&Identity) -> Option<Principal> + Send + Sync;

/// Answers the methods and tools of extensions in front of a turbomcp server.
#[derive(Clone)]
pub struct ExtensionsLayer {
    set: ExtensionSet,
    principal: Arc<PrincipalOf>,
    max_sessions: usize,
}

impl ExtensionsLayer {
    /// A layer that takes for the caller whom turbomcp has authenticated: by issuer and subject.
    pub fn new(set: ExtensionSet) -> Self {
        Self {
            set,
            principal: Arc::new(|identity| identity.principal_key().map(Principal::new)),
            max_sessions: 4096,
        }
    }

    /// Says how a caller is known.
    #[must_use]
    pub fn principal(
        mut self,
        of: impl Fn(&Identity) -> Option<Principal> + Send + Sync + 'static,
    ) -> Self {
        self.principal = Arc::new(of);
        self
    }

    /// Sets how many sessions are remembered, 4096 if it is not called, as turbomcp itself does. The one unused for the
    /// longest time is forgotten first; its client is then told that its declaration is unknown.
    #[must_use]
    pub fn max_sessions(mut self, most: usize) -> Self {
        self.max_sessions = most;
        self
    }

    /// The extensions.
    pub fn extensions(&self) -> &ExtensionSet {
        &self.set
    }

    /// What turbomcp cannot carry for these extensions, in words.
    pub fn report(&self) -> Vec<Gap> {
        self.set.report(&CARRIES)
    }
}

impl fmt::Debug for ExtensionsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtensionsLayer")
            .field("set", &self.set)
            .field("max_sessions", &self.max_sessions)
            .finish_non_exhaustive()
    }
}

impl<S> tower_layer::Layer<S> for ExtensionsLayer {
    type Service = ExtensionsService<S>;

    fn layer(&self, inner: S) -> ExtensionsService<S> {
        let state = State::new(self.set.clone(), self.principal.clone(), self.max_sessions);
        ExtensionsService::new(inner, state)
    }
}
