//! Puts mcp-ext extensions in front of any [tower-mcp] router.
//!
//! A router stays as it is: [`with_extensions`] gives it back with the extensions declared, and a `tower` layer that
//! answers their methods and tools. The layer goes on whatever transport the router is served over.
//!
//! ```
//! use mcp_ext_core::ExtensionSet;
//! use mcp_ext_tower_mcp::with_extensions;
//! use tower_mcp::{McpRouter, StdioTransport};
//!
//! let router = McpRouter::new().server_info("my-server", "1.0.0");
//! let extensions = ExtensionSet::builder().build()?;
//! let (router, layer) = with_extensions(router, extensions)?;
//! let mut transport = StdioTransport::new(router).layer(layer);
//! // transport.run().await?
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What tower-mcp leaves out
//!
//! - Of `_meta` of a `tools/call` only the members that the protocol itself defines arrive here: those of extensions are
//!   gone. Methods of extensions keep theirs.
//! - Notifications of extensions cannot be sent, about a request or on `subscriptions/listen`. Progress
//!   can; in a legacy session over HTTP it goes to the stream of the session.
//! - A call that its client has cancelled is stopped, and still answered with an error.
//! - The header `Mcp-Name` is not compared for methods of extensions.

#[cfg(feature = "client")]
mod client;
mod service;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use mcp_ext_core::protocol::Era;
use mcp_ext_core::{Carries, ExtensionSet, Gap, Principal};
use tokio::sync::OnceCell;
use tower_mcp::context::Extensions;
use tower_mcp::{ExtensionDeclaration, McpRouter};

#[cfg(feature = "client")]
pub use client::{TowerMcpCaller, declare};
pub use service::ExtensionsService;

/// What this adapter can carry, for [`ExtensionSet::report`].
pub const CARRIES: Carries = Carries {
    adapter: "tower-mcp",
    request_notifications: false,
    listen_notifications: false,
    mcp_name: false,
    stateless_legacy_declarations: true,
};

/// Says who calls, from what middleware has put beside a request.
type PrincipalOf = dyn Fn(&Extensions) -> Option<Principal> + Send + Sync;

/// What all clones share.
struct Shared {
    set: ExtensionSet,
    principal: Box<PrincipalOf>,
    /// Tools of the router that have names of ours.
    taken: OnceCell<BTreeSet<String>>,
    /// The set with the router's own name on it.
    stamping: OnceCell<ExtensionSet>,
}

impl Shared {
    fn new(set: ExtensionSet, principal: Box<PrincipalOf>) -> Arc<Self> {
        Arc::new(Self {
            set,
            principal,
            taken: OnceCell::new(),
            stamping: OnceCell::new(),
        })
    }
}

/// Answers the methods and tools of extensions in front of a router; made by [`with_extensions`].
#[derive(Clone)]
pub struct ExtensionsLayer {
    shared: Arc<Shared>,
}

impl ExtensionsLayer {
    /// Says how a caller is known. Without it, who calls is a [`Principal`] among the extensions of the request, where
    /// a layer further out may have put it.
    #[must_use]
    pub fn principal(
        self,
        of: impl Fn(&Extensions) -> Option<Principal> + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Shared::new(self.shared.set.clone(), Box::new(of)),
        }
    }

    /// The extensions.
    pub fn extensions(&self) -> &ExtensionSet {
        &self.shared.set
    }

    /// What tower-mcp cannot carry for these extensions, in words.
    pub fn report(&self) -> Vec<Gap> {
        self.shared.set.report(&CARRIES)
    }
}

impl fmt::Debug for ExtensionsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtensionsLayer")
            .field("set", &self.shared.set)
            .finish_non_exhaustive()
    }
}

impl tower_layer::Layer<McpRouter> for ExtensionsLayer {
    type Service = ExtensionsService;

    fn layer(&self, router: McpRouter) -> ExtensionsService {
        ExtensionsService::new(self.shared.clone(), router)
    }
}

/// Why extensions cannot be put in front of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterError {
    /// tower-mcp refuses the identifier or the settings.
    Declaration {
        /// The extension.
        extension: String,
        /// tower-mcp's words.
        why: String,
    },
}

impl AdapterError {
    fn declaration(extension: &str, error: &dyn fmt::Display) -> Self {
        Self::Declaration {
            extension: extension.chars().take(256).collect(),
            why: error.to_string(),
        }
    }
}

impl fmt::Display for AdapterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declaration { extension, why } => {
                write!(
                    f,
                    "tower-mcp does not take the extension {extension}: {why}"
                )
            }
        }
    }
}

impl std::error::Error for AdapterError {}

/// Declares the extensions on the router, so that its own handlers see what was negotiated
/// (`RequestContext::negotiated_extensions`), and gives the layer that answers their methods and tools.
///
/// Where the router has a tool of a name in the set, the router's stays: ours is withheld, and the set's observer is
/// told. An extension that the router itself declares under the same identifier is replaced.
///
/// # Errors
/// [`AdapterError::Declaration`] when tower-mcp refuses an identifier.
pub fn with_extensions(
    mut router: McpRouter,
    set: ExtensionSet,
) -> Result<(McpRouter, ExtensionsLayer), AdapterError> {
    let mut declared = set.advertisement(Era::Legacy, None);
    declared.extend(set.advertisement(Era::Modern, None));
    for contract in set.contracts() {
        let Some(settings) = declared.remove(contract.id.as_str()) else {
            continue;
        };
        let declaration = ExtensionDeclaration::new(contract.id.as_str(), settings)
            .map_err(|error| AdapterError::declaration(contract.id.as_str(), &error))?;
        router = router.with_protocol_extension(declaration);
    }
    let layer = ExtensionsLayer {
        shared: Shared::new(
            set,
            Box::new(|extensions| extensions.get::<Principal>().cloned()),
        ),
    };
    Ok((router, layer))
}
