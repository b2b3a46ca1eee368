//! The set's tools among those of the wrapped server.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{Declared, Incoming, Target};
use mcp_ext_core::{AmendCx, ToolEntry};
use rmcp::model::{CacheScope, ErrorCode, ListToolsResult, PaginatedRequestParams, Tool};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;

use super::{WithExtensions, incoming};
use crate::convert::to_rmcp;

/// Tools of the set whose names the wrapped server turned out to have too: from then on they are its own.
#[derive(Default)]
pub(super) struct Taken(RwLock<BTreeSet<&'static str>>);

impl Taken {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(name)
    }

    fn insert(&self, name: &'static str) -> bool {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name)
    }
}

impl<S: ServerHandler> WithExtensions<S> {
    /// Whether a tool is the set's, and not one of the wrapped server's that came to light later.
    pub(super) fn owns_tool(&self, name: &str) -> bool {
        self.shared.set.owns(Target::Tool(name)) && !self.shared.taken.contains(name)
    }

    /// The wrapped server's page with the set's tools merged in.
    pub(super) async fn merged_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let set = &self.shared.set;
        let (era, version) = incoming::era(&context);
        if !set.has_tools(era, version) {
            return self.inner.list_tools(request, context).await;
        }
        let first_page = request.as_ref().is_none_or(|r| r.cursor.is_none());
        let declaration = set.filters_lists().then(|| {
            let mut seen = Incoming::new(era, Target::Method("tools/list"))
                .session(incoming::session(&context, era));
            seen.version = version;
            seen.meta(context.meta.0.0.clone())
        });
        let mut page = match self.inner.list_tools(request, context).await {
            // A server without tools has one empty page.
            Err(error) if error.code == ErrorCode::METHOD_NOT_FOUND && first_page => {
                ListToolsResult::default()
            }
            Err(error) if error.code == ErrorCode::METHOD_NOT_FOUND => {
                return Err(ErrorData::invalid_params(
                    "no cursor of this name was given out",
                    None,
                ));
            }
            other => other?,
        };
        let declared = match &declaration {
            Some(seen) => seen.declared(set.limits().max_declared).map_err(to_rmcp)?,
            None => Declared::Known(None),
        };
        // Theirs wins, on whatever page it turns up.
        for tool in &page.tools {
            if let Some(ours) = set.tool(&tool.name)
                && self.shared.taken.insert(ours.name())
            {
                set.withheld(&format!(
                    "tool {}: the server has one of this name",
                    tool.name
                ));
            }
        }
        let listing = set.listing(&AmendCx {
            era,
            version,
            declared,
            first_page,
        });
        page.tools.extend(
            listing
                .tools
                .into_iter()
                .filter(|t| !self.shared.taken.contains(t.name()))
                .filter_map(rendered),
        );
        if listing.per_client && era == Era::Modern {
            page.cache_scope = Some(CacheScope::Private);
            page.ttl_ms = Some(0);
        }
        Ok(page)
    }

    /// A tool by name: the set's, else the wrapped server's.
    pub(super) fn find_tool(&self, name: &str) -> Option<Tool> {
        if self.owns_tool(name) {
            self.shared.set.tool(name).and_then(rendered)
        } else {
            self.inner.get_tool(name)
        }
    }
}

/// The listing of a tool as rmcp's type.
fn rendered(tool: &ToolEntry) -> Option<Tool> {
    serde_json::from_value(Value::Object(tool.listing().clone())).ok()
}
