//! What has been seen of the wrapped server, and the set in front of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::Target;
use mcp_ext_core::wire::meta;
use mcp_ext_core::{ExtensionSet, ToolEntry};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::message::{member, text};

/// One wrapped server.
pub(crate) struct Server {
    set: ExtensionSet,
    /// The entry of each contributed tool in `tools/list`, as text.
    listings: HashMap<&'static str, String>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    info: Option<Value>,
    /// The set, stamping that.
    stamping: Option<ExtensionSet>,
    /// Names that the server turned out to have itself: it keeps them.
    withheld: HashSet<&'static str>,
    /// Extensions that it has itself, by identifier.
    theirs: HashSet<&'static str>,
    /// Whether it has tools of its own, in each era.
    tools: [Option<bool>; 2],
}

impl Server {
    pub fn new(set: ExtensionSet) -> Self {
        let listings = set
            .tools()
            .iter()
            .map(|tool| {
                let text = Value::Object(tool.listing().clone()).to_string();
                (tool.name(), text)
            })
            .collect();
        Self {
            set,
            listings,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self) -> &ExtensionSet {
        &self.set
    }

    /// The set, stamping what the server says it is.
    pub fn stamping(&self) -> ExtensionSet {
        let seen = self.seen();
        seen.stamping.as_ref().unwrap_or(&self.set).clone()
    }

    /// What the server says it is, once it has said so.
    pub fn info(&self) -> Option<Value> {
        self.seen().info.clone()
    }

    /// Whether `target` is answered here: it is of the set, and the server does not have it itself.
    pub fn owns(&self, target: Target<'_>) -> bool {
        self.set.owns(target) && !self.seen().withheld.contains(target.name())
    }

    /// Whether `method` is one of the set, whatever it is used as.
    pub fn owns_method(&self, method: &str) -> bool {
        self.owns(Target::Method(method))
    }

    /// Takes what the result of `initialize` or `server/discover` says about the server.
    pub fn note_info(&self, result: &RawValue) {
        let info = member(result, "serverInfo")
            .or_else(|| member(result, "_meta").and_then(|m| member(m, meta::SERVER_INFO)));
        if let Some(info) = info.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok())
            && info.is_object()
        {
            let mut seen = self.seen();
            if seen.info.as_ref() != Some(&info) {
                seen.stamping = Some(self.set.clone().with_server_info(info.clone()));
                seen.info = Some(info);
            }
        }
    }

    pub fn note_tools(&self, era: Era, has: bool) {
        self.seen().tools[usize::from(era == Era::Modern)] = Some(has);
    }

    /// Whether the server is known to have no tools while the set has some.
    #[cfg(feature = "stdio")]
    pub fn lacks_tools(&self, era: Era, version: Option<ProtocolVersion>) -> bool {
        self.seen().tools[usize::from(era == Era::Modern)] == Some(false)
            && self.set.has_tools(era, version)
    }

    /// The server advertises an extension itself: its methods and tools stay its own.
    pub fn withhold_extension(&self, id: &str) {
        let Some(contract) = self.set.contracts().find(|c| c.id.as_str() == id) else {
            return;
        };
        let mut seen = self.seen();
        let mut fresh = seen.theirs.insert(contract.id.as_str());
        for item in contract.items {
            let names = [item.method.map(|m| m.wire), item.tool.map(|t| t.name)];
            for name in names.into_iter().flatten() {
                fresh |= seen.withheld.insert(name);
            }
        }
        drop(seen);
        if fresh {
            self.set.withheld_extension(id);
        }
    }

    /// Whether the server has the extension of this identifier itself.
    pub fn withholds(&self, id: &str) -> bool {
        self.seen().theirs.contains(id)
    }

    /// The server has a tool of this name: if we have one too, ours is withheld.
    pub fn withhold_tool(&self, name: &str) {
        let Some(tool) = self.listings.get_key_value(name).map(|(name, _)| *name) else {
            return;
        };
        if self.seen().withheld.insert(tool) {
            self.set.withheld_tool(tool);
        }
    }

    /// The entries of these tools, without those that are withheld.
    pub fn listed(&self, tools: &[&ToolEntry]) -> Vec<String> {
        let seen = self.seen();
        tools
            .iter()
            .filter(|tool| !seen.withheld.contains(tool.name()))
            .filter_map(|tool| self.listings.get(tool.name()).cloned())
            .collect()
    }
}

/// Whether a discover result says that the server serves the modern era.
pub(crate) fn shows_modern(result: &RawValue) -> bool {
    member(result, "supportedVersions")
        .and_then(|versions| serde_json::from_str::<Vec<&RawValue>>(versions.get()).ok())
        .is_some_and(|versions| {
            versions.iter().any(|version| {
                text(version)
                    .and_then(|v| ProtocolVersion::parse(&v))
                    .is_some_and(|v| v.era() == Era::Modern)
            })
        })
}
