//! An `ExtensionSet` in front of an rmcp server.

mod advertise;
mod forward;
mod incoming;
mod own;
mod tools;

use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_ext_core::request::Target;
use mcp_ext_core::{ExtensionId, ExtensionSet, Gap};
use rmcp::ServerHandler;
use rmcp::model::{ClientCapabilities, Implementation, InitializeRequestParams, Tool};

use advertise::Advertisements;
use tools::Taken;

/// An rmcp server with extensions in front of it; again a [`ServerHandler`].
///
/// Cloning is cheap and shares everything, so it can be handed to the factory of a Streamable HTTP service, which is
/// called for each request: `StreamableHttpService::new(move || Ok(server.clone()), ..)`.
///
/// The wrapped server's own handlers read what was negotiated from the context of the request: as
/// `rmcp::handler::server::common::Extension<mcp_ext_core::Negotiated>` in a `#[tool]`, or
/// `context.extensions.get::<Negotiated>()`. Where wrappers are nested, the innermost one's is there.
///
/// Who calls is taken from a [`Principal`](mcp_ext_core::Principal) among the extensions of the HTTP request, where a
/// middleware that authenticates puts it, or of the rmcp message.
pub struct WithExtensions<S> {
    inner: Arc<S>,
    shared: Arc<Shared>,
}

/// What all clones share.
struct Shared {
    set: ExtensionSet,
    advertisements: Advertisements,
    /// The set's tools as rmcp lists them.
    rendered: BTreeMap<&'static str, Tool>,
    taken: Taken,
}

impl<S> Clone for WithExtensions<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: self.shared.clone(),
        }
    }
}

impl<S> std::fmt::Debug for WithExtensions<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WithExtensions")
            .field("set", &self.shared.set)
            .finish_non_exhaustive()
    }
}

impl<S> WithExtensions<S> {
    /// The wrapped server.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The extensions in front of it.
    pub fn extensions(&self) -> &ExtensionSet {
        &self.shared.set
    }

    /// What rmcp cannot carry for these extensions, in words.
    pub fn report(&self) -> Vec<Gap> {
        self.shared.set.report(&crate::CARRIES)
    }
}

/// Puts extensions in front of any rmcp server.
pub trait ServerExtensions: ServerHandler + Sized {
    /// Wraps the server, unchanged.
    ///
    /// ```
    /// use mcp_ext_core::ExtensionSet;
    /// use mcp_ext_rmcp::ServerExtensions;
    /// use rmcp::ServerHandler;
    ///
    /// struct MyServer;
    /// impl ServerHandler for MyServer {}
    ///
    /// let extensions = ExtensionSet::builder().build()?;
    /// let server = MyServer.with_extensions(extensions)?;
    /// // server.serve(rmcp::transport::stdio()).await?
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`AdapterError`] when the server itself has an extension or a tool of a name in the set. Tools are asked for with
    /// [`ServerHandler::get_tool`]; one that shows later, in `tools/list`, is the server's from then on, and the set's
    /// is withheld.
    fn with_extensions(self, set: ExtensionSet) -> Result<WithExtensions<Self>, AdapterError> {
        let info = self.get_info();
        let server = info.server_info.name.clone();
        let mut theirs = info.capabilities.extensions.unwrap_or_default();
        // A wrapped wrapper says what it adds only when a client asks.
        let hello =
            InitializeRequestParams::new(ClientCapabilities::default(), Implementation::default());
        if let Ok(answer) = self.negotiate_initialize(&hello) {
            theirs.extend(answer.capabilities.extensions.unwrap_or_default());
        }
        for contract in set.contracts() {
            let id = contract.id.as_str();
            if let Some(theirs) = theirs.keys().find(|key| key.eq_ignore_ascii_case(id)) {
                return Err(AdapterError::ExtensionClash {
                    extension: contract.id.clone(),
                    advertised: theirs.clone(),
                    server,
                });
            }
            for tool in contract.items.iter().filter_map(|item| item.tool) {
                if set.owns(Target::Tool(tool.name)) && self.get_tool(tool.name).is_some() {
                    return Err(AdapterError::ToolClash {
                        tool: tool.name.to_owned(),
                        extension: contract.id.clone(),
                        server,
                    });
                }
            }
        }
        let set = match serde_json::to_value(&info.server_info) {
            Ok(server_info) => set.with_server_info(server_info),
            Err(_) => set,
        };
        let shared = Shared {
            advertisements: Advertisements::of(&set),
            rendered: tools::rendered(&set)?,
            taken: Taken::default(),
            set,
        };
        Ok(WithExtensions {
            inner: Arc::new(self),
            shared: Arc::new(shared),
        })
    }
}

impl<S: ServerHandler> ServerExtensions for S {}

/// Why a set of extensions cannot stand in front of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterError {
    /// The server advertises the extension itself.
    ExtensionClash {
        /// The extension of the set.
        extension: ExtensionId,
        /// The identifier that the server advertises.
        advertised: String,
        /// The server's name.
        server: String,
    },
    /// The server has a tool of the same name.
    ToolClash {
        /// The tool.
        tool: String,
        /// The extension of the set that brings it.
        extension: ExtensionId,
        /// The server's name.
        server: String,
    },
    /// The listing of a tool is not one that rmcp can carry.
    ToolForm {
        /// The tool.
        tool: String,
        /// What rmcp says of it.
        why: String,
    },
}

impl std::fmt::Display for AdapterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ExtensionClash {
                extension,
                advertised,
                server,
            } => write!(
                f,
                "extension {extension} cannot be put in front of server {server}, which advertises {advertised} \
                 itself; enable it in one place only"
            ),
            Self::ToolClash {
                tool,
                extension,
                server,
            } => write!(
                f,
                "tool {tool} of extension {extension} cannot be put in front of server {server}, which has a tool of \
                 that name; rename one of them"
            ),
            Self::ToolForm { tool, why } => {
                write!(f, "tool {tool} cannot be listed through rmcp: {why}")
            }
        }
    }
}

impl std::error::Error for AdapterError {}
