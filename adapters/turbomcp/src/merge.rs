//! What is merged into the wrapped server's answers.

use mcp_ext_core::AmendCx;
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::wire::{JsonObject, meta};
use serde_json::{Value, json};

use crate::state::State;

/// How long a list of nothing but ours may be kept.
const KEPT_MS: u64 = 3_600_000;

/// Merges capabilities into the result of `initialize` or `server/discover`, and notes what the server has itself.
pub(crate) fn capabilities(
    state: &State,
    result: &mut JsonObject,
    era: Era,
    version: Option<ProtocolVersion>,
) {
    let ours = state.set.advertisement(era, version);
    let capabilities = result.entry("capabilities").or_insert_with(|| json!({}));
    let Some(capabilities) = capabilities.as_object_mut() else {
        return;
    };
    if ours.is_empty() {
        return;
    }
    if state.set.has_tools(era, version) {
        capabilities.entry("tools").or_insert_with(|| json!({}));
    }
    let theirs = capabilities
        .entry("extensions")
        .or_insert_with(|| json!({}));
    let Some(theirs) = theirs.as_object_mut() else {
        return;
    };
    for (id, settings) in ours {
        if theirs.contains_key(&id) {
            state.withhold_extension(&id);
        } else if !state.is_withheld(&id) {
            theirs.insert(id, settings);
        }
    }
}

/// Merges tools into a page of `tools/list`. Where the server has a tool of the same name, ours is withheld, now and
/// later.
pub(crate) fn tools(state: &State, page: &mut JsonObject, cx: &AmendCx<'_>) {
    let listing = state.set.listing(cx);
    let tools = page.entry("tools").or_insert_with(|| json!([]));
    if let Some(tools) = tools.as_array_mut() {
        for name in tools.iter().filter_map(|tool| tool["name"].as_str()) {
            state.withhold_tool(name);
        }
        let ours = listing.tools.iter();
        let ours = ours.filter(|tool| !state.is_withheld(tool.name()));
        tools.extend(ours.map(|tool| Value::Object(tool.listing().clone())));
    }
    if listing.per_client && cx.era == Era::Modern {
        page.insert("cacheScope".into(), "private".into());
        page.insert("ttlMs".into(), 0.into());
    }
}

/// The whole result of `tools/list` for a server that has no tools.
pub(crate) fn tools_alone(
    state: &State,
    server_info: Option<&Value>,
    cx: &AmendCx<'_>,
) -> JsonObject {
    let mut page = JsonObject::new();
    if cx.era == Era::Modern {
        page.insert("resultType".into(), "complete".into());
        page.insert("cacheScope".into(), "public".into());
        page.insert("ttlMs".into(), KEPT_MS.into());
        if let Some(info) = server_info {
            page.insert("_meta".into(), json!({ meta::SERVER_INFO: info }));
        }
    }
    tools(state, &mut page, cx);
    page
}
