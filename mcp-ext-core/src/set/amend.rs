//! What a set adds to the wrapped server's own answers.

use serde_json::{Value, json};

use super::{Enabled, ExtensionSet, ToolEntry};
use crate::protocol::{Era, ProtocolVersion};
use crate::request::{Declared, Incoming};
use crate::wire::{JsonObject, RpcError};

/// What is known of the request whose answer is amended.
pub struct AmendCx<'a> {
    /// Its era.
    pub era: Era,
    /// Its core revision, where it is known.
    pub version: Option<ProtocolVersion>,
    /// What its client declared; matters only for filtered lists.
    pub declared: Declared<'a>,
    /// For a list: whether it is the first page.
    pub first_page: bool,
}

impl<'a> AmendCx<'a> {
    /// What `incoming` says.
    ///
    /// # Errors
    /// -32602 when its declaration is malformed.
    pub fn of(
        incoming: &'a Incoming<'_>,
        first_page: bool,
        max_declared: usize,
    ) -> Result<Self, RpcError> {
        Ok(Self {
            era: incoming.era,
            version: incoming.version,
            declared: incoming.declared(max_declared)?,
            first_page,
        })
    }
}

/// What to add to one page of `tools/list`.
#[derive(Debug)]
pub struct Listing<'a> {
    /// The tools, sorted by name; none after the first page.
    pub tools: Vec<&'a ToolEntry>,
    /// Whether the list depends on what the client declared: `cacheScope` must be `private` and `ttlMs` 0 then,
    /// on every page.
    pub per_client: bool,
}

impl ExtensionSet {
    /// The `extensions` object to merge into a server's capabilities, for one core revision.
    ///
    /// It does not depend on the caller, so that the answer may be cached by anyone (NEG-14).
    pub fn advertisement(&self, era: Era, version: Option<ProtocolVersion>) -> JsonObject {
        self.inner
            .extensions
            .iter()
            .filter(|e| e.covers(era, version))
            .map(|e| {
                (
                    e.contract.id.to_string(),
                    Value::Object(e.advertised.clone()),
                )
            })
            .collect()
    }

    /// Whether the set contributes tools under a core revision, so that `tools` must be advertised (REQ-16).
    pub fn has_tools(&self, era: Era, version: Option<ProtocolVersion>) -> bool {
        self.inner
            .tools
            .iter()
            .any(|t| self.enabled(t).covers(era, version))
    }

    /// Every contributed tool, sorted by name.
    pub fn tools(&self) -> &[ToolEntry] {
        &self.inner.tools
    }

    /// A contributed tool by name.
    pub fn tool(&self, name: &str) -> Option<&ToolEntry> {
        self.inner.tools.iter().find(|t| t.name() == name)
    }

    fn enabled(&self, tool: &ToolEntry) -> &Enabled {
        &self.inner.extensions[tool.extension]
    }

    /// Whether the tool list depends on what the client declared.
    pub fn filters_lists(&self) -> bool {
        self.inner.filter_lists && !self.inner.tools.is_empty()
    }

    /// What to add to one page of `tools/list`.
    pub fn listing(&self, cx: &AmendCx<'_>) -> Listing<'_> {
        let filter = self.filters_lists();
        let listed = |tool: &&ToolEntry| {
            let extension = self.enabled(tool);
            if filter {
                extension
                    .effective(cx.era, cx.version, &cx.declared)
                    .is_some()
            } else {
                extension.covers(cx.era, cx.version)
            }
        };
        let tools = if cx.first_page {
            self.inner.tools.iter().filter(listed).collect()
        } else {
            Vec::new()
        };
        Listing {
            tools,
            per_client: filter,
        }
    }

    /// Merges what the set adds into the wrapped server's answer to `method`. Other members stay as they are.
    ///
    /// `initialize` and `server/discover` gain `capabilities.extensions` and, if needed, `capabilities.tools`;
    /// `tools/list` gains tools, and cache hints where the list is filtered. Where a name is taken by the wrapped
    /// server, it keeps it and ours is withheld.
    pub fn amend(&self, method: &str, result: &mut JsonObject, cx: &AmendCx<'_>) {
        match method {
            "initialize" | "server/discover" => {
                let extensions = self.advertisement(cx.era, cx.version);
                if extensions.is_empty() {
                    return;
                }
                let tools = self.has_tools(cx.era, cx.version);
                let Some(capabilities) = result
                    .entry("capabilities")
                    .or_insert_with(|| json!({}))
                    .as_object_mut()
                else {
                    return;
                };
                if tools {
                    capabilities.entry("tools").or_insert_with(|| json!({}));
                }
                if let Some(theirs) = capabilities
                    .entry("extensions")
                    .or_insert_with(|| json!({}))
                    .as_object_mut()
                {
                    for (id, settings) in extensions {
                        if theirs.contains_key(&id) {
                            self.withheld_extension(&id);
                        } else {
                            theirs.insert(id, settings);
                        }
                    }
                }
            }
            "tools/list" => {
                let listing = self.listing(cx);
                if let Some(tools) = result
                    .entry("tools")
                    .or_insert_with(|| json!([]))
                    .as_array_mut()
                {
                    for tool in listing.tools {
                        if tools
                            .iter()
                            .any(|t| t.get("name").and_then(Value::as_str) == Some(tool.name()))
                        {
                            self.withheld_tool(tool.name());
                        } else {
                            tools.push(Value::Object(tool.listing().clone()));
                        }
                    }
                }
                if listing.per_client && cx.era == Era::Modern {
                    result.insert("cacheScope".into(), "private".into());
                    result.insert("ttlMs".into(), 0.into());
                }
            }
            _ => {}
        }
    }

    /// Tells the observer that a tool of ours was withheld, since the wrapped server has one of its name.
    pub fn withheld_tool(&self, name: &str) {
        if let Some(observer) = &self.inner.observer {
            observer.withheld(&format!("tool {name}: the server has one of this name"));
        }
    }

    /// Tells the observer that an extension of ours was withheld, since the wrapped server advertises it too.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// use mcp_ext_core::{ExtensionSet, Observer};
    ///
    /// struct Log(Arc<Mutex<Vec<String>>>);
    ///
    /// impl Observer for Log {
    ///     fn withheld(&self, what: &str) {
    ///         self.0.lock().unwrap().push(what.to_owned());
    ///     }
    /// }
    ///
    /// let log = Arc::default();
    /// let set = ExtensionSet::builder().observer(Log(Arc::clone(&log))).build().unwrap();
    /// set.withheld_extension("com.example/grading");
    /// set.withheld_tool("grade");
    /// assert_eq!(
    ///     *log.lock().unwrap(),
    ///     ["extension com.example/grading: the server advertises it itself", "tool grade: the server has one of this name"],
    /// );
    /// ```
    pub fn withheld_extension(&self, id: &str) {
        if let Some(observer) = &self.inner.observer {
            observer.withheld(&format!("extension {id}: the server advertises it itself"));
        }
    }
}
