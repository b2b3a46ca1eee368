//! The tools a set contributes, rendered once for `tools/list`.

use serde_json::{Value, json};

use super::{BuildError, Enabled};
use crate::block::Property;
use crate::contract::{Item, ToolSpec};
use crate::prose::prose;
use crate::schema;
use crate::wire::{JsonObject, meta};

/// The member of a tool's structured result that says why there is none.
pub(super) const ERROR: &str = "error";

/// One contributed tool.
#[derive(Clone, Debug)]
pub struct ToolEntry {
    pub(super) extension: usize,
    name: &'static str,
    gated: bool,
    listing: JsonObject,
}

impl ToolEntry {
    pub(super) fn new(
        enabled: &Enabled,
        extension: usize,
        index: usize,
    ) -> Result<Self, BuildError> {
        let contract = enabled.contract;
        let item = &contract.items[index];
        let bad = |fault| BuildError::Schema {
            extension: contract.id.clone(),
            item: item.name,
            fault,
        };
        let Some(spec) = item.tool else {
            return Err(BuildError::NotAnObject {
                extension: contract.id.clone(),
                what: item.name.to_owned(),
            });
        };
        let chain = enabled.chains.get(index);
        let mut input = schema::tool_schema(&item.params).map_err(bad)?;
        add(&mut input, chain.map_or(&[], |chain| &chain.arguments));
        schema::check_mcp_headers(&input).map_err(bad)?;
        let mut output = schema::tool_output_schema(&item.result).map_err(bad)?;
        add(&mut output, chain.map_or(&[], |chain| &chain.members));
        let output = or_error(output);
        let mut listing = JsonObject::new();
        listing.insert("name".into(), json!(spec.name));
        if let Some(title) = spec.title {
            listing.insert("title".into(), json!(title));
        }
        if !item.docs.is_empty() {
            listing.insert("description".into(), json!(description(item)));
        }
        listing.insert("inputSchema".into(), input);
        listing.insert("outputSchema".into(), output);
        if let Some(annotations) = annotations(&spec) {
            listing.insert("annotations".into(), annotations);
        }
        let mut own = json!({ meta::EXTENSION: contract.id.as_str() });
        if spec.gated {
            own[meta::REQUIRED_CAPABILITIES] =
                json!({ "extensions": { contract.id.as_str(): enabled.passing } });
        }
        listing.insert("_meta".into(), own);
        Ok(Self {
            extension,
            name: spec.name,
            gated: spec.gated,
            listing,
        })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it may only be called when its extension was negotiated.
    pub fn gated(&self) -> bool {
        self.gated
    }

    /// Its entry in `tools/list`.
    pub fn listing(&self) -> &JsonObject {
        &self.listing
    }
}

/// Adds what the blocks of an item have in its params or results.
fn add(schema: &mut Value, properties: &[Property]) {
    let Some(root) = schema.as_object_mut() else {
        return;
    };
    for property in properties {
        root.entry("properties").or_insert_with(|| json!({}))[property.name] =
            property.schema.clone();
        if property.required
            && let Some(required) = root
                .entry("required")
                .or_insert_with(|| json!([]))
                .as_array_mut()
        {
            required.push(property.name.into());
        }
    }
}

/// Lets a tool's failure conform too: it has `error` and none of the members of a result, and some clients hold
/// `structuredContent` against the schema whether or not `isError` is set. A composition would say it exactly, but
/// hosts refuse one at the root.
fn or_error(mut schema: Value) -> Value {
    if let Some(root) = schema.as_object_mut() {
        root.remove("required");
        let properties = root.entry("properties").or_insert_with(|| json!({}));
        properties[ERROR] = json!({
            "type": "object",
            "description": "Why there is no result. Stands alone, when isError is true.",
        });
    }
    schema
}

fn description(item: &Item) -> String {
    match item.deprecated {
        Some(note) => format!("{}\n\nDeprecated: {note}", prose(item.docs)),
        None => prose(item.docs),
    }
}

fn annotations(spec: &ToolSpec) -> Option<Value> {
    let hints = [
        ("readOnlyHint", spec.hints.read_only),
        ("destructiveHint", spec.hints.destructive),
        ("idempotentHint", spec.hints.idempotent),
        ("openWorldHint", spec.hints.open_world),
    ];
    let object: JsonObject = hints
        .into_iter()
        .filter_map(|(k, v)| v.map(|v| (k.to_owned(), json!(v))))
        .collect();
    (!object.is_empty()).then_some(Value::Object(object))
}
