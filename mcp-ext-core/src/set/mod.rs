//! The enabled extensions of one server, checked and frozen.

mod amend;
mod answer;
mod builder;
mod cache;
mod gate;
pub mod listen;
mod nulls;
mod report;
mod route;
mod secrets;
mod tools;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

pub use amend::{AmendCx, Listing};
pub use builder::{BuildError, ExtensionSetBuilder};
pub use report::{Carries, Gap};
pub use route::{Pending, Reply, Route};
pub use tools::ToolEntry;

#[cfg(feature = "client")]
pub(crate) use gate::REVISION;

use crate::block::Chain;
use crate::contract::{Contract, Item};
use crate::extension::{AnySettings, Negotiator, Provider};
use crate::id::ExtensionId;
use crate::limits::Limits;
use crate::negotiated::Negotiated;
use crate::observe::Observer;
use crate::protocol::{Era, ProtocolRange, ProtocolVersion};
use crate::request::{Declaration, Declared, Incoming, SessionDeclaration, Target};
use crate::wire::JsonObject;

/// The enabled extensions of one server. Cheap to clone.
///
/// ```
/// use mcp_ext_core::ExtensionSet;
///
/// let set = ExtensionSet::builder().build().unwrap();
/// assert!(set.is_empty());
/// ```
#[derive(Clone)]
pub struct ExtensionSet {
    pub(crate) inner: Arc<SetInner>,
    server_info: Option<Arc<route::ServerInfo>>,
}

pub(crate) struct SetInner {
    pub(crate) extensions: Vec<Enabled>,
    pub(crate) by_method: HashMap<&'static str, (usize, usize)>,
    pub(crate) by_tool: HashMap<&'static str, (usize, usize)>,
    pub(crate) tools: Vec<ToolEntry>,
    pub(crate) limits: Limits,
    pub(crate) filter_lists: bool,
    pub(crate) protocol: ProtocolRange,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) declarations: cache::Declarations,
    pub(crate) hub: listen::Hub,
}

/// One enabled extension.
pub(crate) struct Enabled {
    pub(crate) contract: &'static Contract,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) provided: &'static [&'static str],
    pub(crate) negotiator: Box<dyn Negotiator>,
    /// What is advertised: settings, revision, and the flags of optional items.
    pub(crate) advertised: JsonObject,
    /// The smallest settings of a client that pass.
    pub(crate) passing: JsonObject,
    pub(crate) fallback: AnySettings,
    pub(crate) cache: cache::Cache,
    /// The indices in the set of the extensions it requires, directly or not.
    pub(crate) requires: Vec<usize>,
    /// The blocks of each item.
    pub(crate) chains: Vec<Chain>,
}

impl Enabled {
    pub(crate) fn provides(&self, item: &Item) -> bool {
        item.optional.is_none() || self.provided.contains(&item.name)
    }

    /// Whether the extension covers the core revision of a request.
    pub(crate) fn covers(&self, era: Era, version: Option<ProtocolVersion>) -> bool {
        match version {
            Some(version) => self.contract.protocol.covers(version),
            None => self.contract.protocol.covers_era(era),
        }
    }

    /// What is in force for a request, if anything.
    pub(crate) fn effective(
        &self,
        era: Era,
        version: Option<ProtocolVersion>,
        declared: &Declared<'_>,
    ) -> Option<AnySettings> {
        if !self.covers(era, version) {
            return None;
        }
        match declared.state(&self.contract.id) {
            Declaration::Yes(settings) => self.negotiate(settings).ok(),
            Declaration::No | Declaration::Unknown => None,
        }
    }
}

impl SetInner {
    pub(crate) fn extension(&self, id: &ExtensionId) -> Option<&Enabled> {
        self.extensions
            .binary_search_by(|e| e.contract.id.cmp(id))
            .ok()
            .and_then(|i| self.extensions.get(i))
    }

    pub(crate) fn output_schema(&self, tool: &str) -> Option<&serde_json::Value> {
        self.tools
            .binary_search_by_key(&tool, |t| t.name())
            .ok()
            .and_then(|i| self.tools[i].listing().get("outputSchema"))
    }

    fn find(&self, target: Target<'_>) -> Option<(usize, usize)> {
        match target {
            Target::Method(name) => self.by_method.get(name).copied(),
            Target::Tool(name) => self.by_tool.get(name).copied(),
        }
    }
}

impl ExtensionSet {
    /// Starts a set. Nothing is enabled until [`enable`](ExtensionSetBuilder::enable) is called.
    pub fn builder() -> ExtensionSetBuilder {
        ExtensionSetBuilder::default()
    }

    /// The same set, stamping `server_info` (an `Implementation` object) on its own modern answers.
    #[must_use]
    pub fn with_server_info(mut self, server_info: serde_json::Value) -> Self {
        self.server_info = Some(Arc::new(route::ServerInfo::new(server_info)));
        self
    }

    /// Whether nothing is enabled.
    pub fn is_empty(&self) -> bool {
        self.inner.extensions.is_empty()
    }

    /// The contracts of the enabled extensions, sorted by identifier.
    pub fn contracts(&self) -> impl Iterator<Item = &'static Contract> + '_ {
        self.inner.extensions.iter().map(|e| e.contract)
    }

    /// The bounds in force.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The core revisions this server offers.
    pub fn protocol(&self) -> ProtocolRange {
        self.inner.protocol
    }

    /// Whether `target` belongs to an enabled extension, so that [`Self::route`] will answer it.
    pub fn owns(&self, target: Target<'_>) -> bool {
        self.inner.find(target).is_some()
    }

    /// What is in force for a request with this `_meta`, for handlers of the wrapped server.
    pub fn negotiated(
        &self,
        era: Era,
        version: Option<ProtocolVersion>,
        meta: &JsonObject,
        session: SessionDeclaration,
    ) -> Negotiated {
        Negotiated::of_request(self.inner.clone(), era, version, meta, session)
    }

    /// Takes a notification of the client. `true`: it is one of an enabled extension's, and must not be forwarded.
    ///
    /// Extensions define no notifications from client to server, since HTTP cannot carry them reliably (SUB-14): what
    /// arrives in an extension's name space is dropped.
    pub fn notification(&self, method: &str) -> bool {
        method.strip_prefix("notifications/").is_some_and(|rest| {
            self.inner.extensions.iter().any(|e| {
                rest.strip_prefix(e.contract.id.as_str())
                    .is_some_and(|tail| tail.is_empty() || tail.starts_with('/'))
            })
        })
    }

    /// The blocks around each item of each extension, outermost first: `(extension, item, blocks)`.
    pub fn chains(&self) -> Vec<(&'static Contract, &'static Item, Vec<&'static str>)> {
        let mut all = Vec::new();
        for e in &self.inner.extensions {
            for (item, chain) in e.contract.items.iter().zip(&e.chains) {
                all.push((
                    e.contract,
                    item,
                    chain.blocks.iter().map(|b| b.name()).collect(),
                ));
            }
        }
        all
    }

    /// Routes one request: answers it if it is one of an enabled extension's, else gives it back.
    pub fn route<'a>(&self, incoming: Incoming<'a>) -> Route<'a> {
        route::route(self, incoming)
    }
}

impl std::fmt::Debug for ExtensionSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.contracts().map(|c| &c.id))
            .finish()
    }
}
