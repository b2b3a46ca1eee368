//! The set's tools among those of the wrapped server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{Declared, Incoming, Target};
use mcp_ext_core::{AmendCx, ExtensionSet, ToolEntry};
use rmcp::model::{CacheScope, ErrorCode, ListToolsResult, PaginatedRequestParams, Tool};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;

use super::{AdapterError, WithExtensions, incoming};
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
            return self
                .inner
                .list_tools(request, self.negotiated(context))
                .await;
        }
        let first_page = request.as_ref().is_none_or(|r| r.cursor.is_none());
        // Only a filtered list depends on what the client declared.
        let asked = set.filters_lists().then(|| {
            let mut asked = Incoming::new(era, Target::Method("tools/list"))
                .session(incoming::session(&context, era))
                .meta(context.meta.0.0.clone());
            asked.version = version;
            asked
        });
        let declared = match &asked {
            Some(asked) => asked.declared(set.limits().max_declared).map_err(to_rmcp)?,
            None => Declared::Known(None),
        };
        let mut page = match self
            .inner
            .list_tools(request, self.negotiated(context))
            .await
        {
            // A server without tools has one empty page.
            Err(error) if error.code == ErrorCode::METHOD_NOT_FOUND && first_page => {
                ListToolsResult::default()
            }
            Err(error) if error.code == ErrorCode::METHOD_NOT_FOUND => {
                return Err(ErrorData::invalid_params(
                    "this cursor was not given out here",
                    None,
                ));
            }
            other => other?,
        };
        // Theirs wins, on whatever page it turns up.
        for tool in &page.tools {
            if let Some(ours) = set.tool(&tool.name)
                && self.shared.taken.insert(ours.name())
            {
                set.withheld_tool(&tool.name);
            }
        }
        let listing = set.listing(&AmendCx {
            era,
            version,
            declared,
            first_page,
        });
        let ours = listing
            .tools
            .into_iter()
            .filter(|t| !self.shared.taken.contains(t.name()));
        page.tools
            .extend(ours.filter_map(|tool| self.shared.rendered.get(tool.name()).cloned()));
        if listing.per_client && era == Era::Modern {
            page.cache_scope = Some(CacheScope::Private);
            page.ttl_ms = Some(0);
        }
        Ok(page)
    }

    /// A tool by name: the set's, else the wrapped server's.
    pub(super) fn find_tool(&self, name: &str) -> Option<Tool> {
        if self.owns_tool(name) {
            self.shared.rendered.get(name).cloned()
        } else {
            self.inner.get_tool(name)
        }
    }
}

/// The listings of the set's tools as rmcp's type, by name.
pub(super) fn rendered(set: &ExtensionSet) -> Result<BTreeMap<&'static str, Tool>, AdapterError> {
    let one = |tool: &ToolEntry| match serde_json::from_value(Value::Object(tool.listing().clone()))
    {
        Ok(rendered) => Ok((tool.name(), rendered)),
        Err(error) => Err(AdapterError::ToolForm {
            tool: tool.name().to_owned(),
            why: error.to_string(),
        }),
    };
    set.tools().iter().map(one).collect()
}
