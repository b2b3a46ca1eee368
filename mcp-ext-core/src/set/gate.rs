//! The gate: who may call an item of an extension, and what the others are told.

use serde_json::{Value, json};

use super::{Enabled, SetInner};
use crate::algebra::{Mismatch, MismatchRow, Rule, shown};
use crate::contract::Item;
use crate::extension::{AnySettings, NegotiationFailure};
use crate::faults::Fault;
use crate::protocol::Era;
use crate::request::{Declaration, Declared, Incoming};
use crate::wire::{JsonObject, RpcError, code, kind_of};

/// The member of the settings that both sides send.
pub(crate) const REVISION: &str = "revision";

/// What the gate found.
pub(crate) enum Gated {
    /// The extension is in force with these settings.
    Active(AnySettings),
    /// It is not; why, as the error a demanding item answers with.
    Inactive(Box<RpcError>),
}

impl Enabled {
    pub(crate) fn check_revision(&self, declared: &JsonObject) -> Result<(), NegotiationFailure> {
        match declared.get(REVISION) {
            None => Ok(()),
            Some(Value::String(revision)) if self.contract.understands(Some(revision)) => Ok(()),
            Some(Value::String(revision)) => Err(NegotiationFailure::Mismatch(Mismatch {
                rows: vec![MismatchRow {
                    field: REVISION.to_owned(),
                    rule: Rule::Revision,
                    server: json!(self.contract.revision),
                    client: json!(revision.chars().take(64).collect::<String>()),
                }],
            })),
            Some(other) => Err(NegotiationFailure::Invalid(vec![Fault {
                pointer: "/revision".to_owned(),
                expected: "a string".to_owned(),
                seen: kind_of(other).to_owned(),
                message: format!("revision: expected a string, saw {}", kind_of(other)),
            }])),
        }
    }
}

impl SetInner {
    /// Decides about one request to `item` of the extension at `index`.
    ///
    /// # Errors
    /// -32601 when the extension or the item is not offered in this request's era, -32602 when the declaration is
    /// malformed.
    pub(crate) fn gate(
        &self,
        index: usize,
        item: &Item,
        incoming: &Incoming<'_>,
    ) -> Result<Gated, RpcError> {
        let extension = &self.extensions[index];
        if !extension.covers(incoming.era, incoming.version) || !extension.provides(item) {
            return Err(not_offered(incoming));
        }
        self.negotiation(extension, incoming)
    }

    /// Whether an extension, and all it requires, is in force for a request.
    ///
    /// # Errors
    /// -32602 when the declaration is malformed.
    pub(super) fn negotiation(
        &self,
        extension: &Enabled,
        incoming: &Incoming<'_>,
    ) -> Result<Gated, RpcError> {
        let declared = incoming.declared(self.limits.max_declared)?;
        let mut missing = Missing {
            extensions: Vec::new(),
            mismatch: Vec::new(),
        };
        let settings = self.examine(extension, incoming, &declared, &mut missing)?;
        for required in extension.requires.iter().map(|i| &self.extensions[*i]) {
            self.examine(required, incoming, &declared, &mut missing)?;
        }
        match settings {
            Some(settings) if missing.extensions.is_empty() => Ok(Gated::Active(settings)),
            _ => Ok(Gated::Inactive(Box::new(missing.into_error(
                extension,
                incoming.era,
                &declared,
            )))),
        }
    }

    fn examine(
        &self,
        extension: &Enabled,
        incoming: &Incoming<'_>,
        declared: &Declared<'_>,
        missing: &mut Missing,
    ) -> Result<Option<AnySettings>, RpcError> {
        let id = extension.contract.id.as_str();
        let Declaration::Yes(settings) = declared.state(&extension.contract.id) else {
            missing.extensions.push((id, extension.passing.clone()));
            return Ok(None);
        };
        if !extension.covers(incoming.era, incoming.version) {
            return Ok(None);
        }
        match extension.negotiate(settings) {
            Ok(settings) => Ok(Some(settings)),
            Err(NegotiationFailure::Invalid(faults)) => Err(RpcError::new(
                code::INVALID_PARAMS,
                format!(
                    "the settings declared for {id} do not fit: {}",
                    faults.first().map_or("", |f| &f.message)
                ),
            )
            .with_data(json!({ "extension": id, "kind": "invalid_settings", "faults": faults }))),
            Err(NegotiationFailure::Mismatch(mismatch)) => {
                let mut passing = extension.passing.clone();
                for row in &mismatch.rows {
                    ask_for(&mut passing, row, &extension.advertised);
                }
                missing.extensions.push((id, passing));
                missing.mismatch.extend(mismatch.rows);
                Ok(None)
            }
        }
    }
}

/// Adds the server's value of a field that does not combine to the settings that would pass.
///
/// A row only describes a long value, and names a nested field by its path: what the server advertises has both. Where
/// the server has no value it takes any, and there is nothing to ask for.
pub(super) fn ask_for(passing: &mut JsonObject, row: &MismatchRow, advertised: &JsonObject) {
    let path: Vec<&str> = if advertised.contains_key(&row.field) {
        vec![&row.field]
    } else {
        row.field.split('.').collect()
    };
    let Some((last, outer)) = path.split_last() else {
        return;
    };
    if row.server.is_null() {
        return;
    }
    let mut whole = Some(advertised);
    let mut asked = passing;
    for name in outer {
        whole = whole.and_then(|w| w.get(*name)).and_then(Value::as_object);
        let inner = asked.entry(*name).or_insert_with(|| json!({}));
        let Value::Object(inner) = inner else { return };
        asked = inner;
    }
    let value = match whole.and_then(|w| w.get(*last)) {
        Some(value) if shown(value.clone()) == row.server => value,
        _ => &row.server,
    };
    asked.insert((*last).to_owned(), value.clone());
}

fn not_offered(incoming: &Incoming<'_>) -> RpcError {
    match incoming.target {
        crate::request::Target::Method(method) => RpcError::method_not_found(method),
        // An unknown tool is bad params of `tools/call`, not a missing method.
        crate::request::Target::Tool(tool) => RpcError::new(
            code::INVALID_PARAMS,
            format!("tool {} is not offered here", crate::wire::shown(tool)),
        )
        .with_data(json!({ "kind": "unknown_tool" })),
    }
}

/// Everything a client lacks for one call, over the extension and all it requires.
struct Missing {
    extensions: Vec<(&'static str, JsonObject)>,
    mismatch: Vec<MismatchRow>,
}

impl Missing {
    fn into_error(self, extension: &Enabled, era: Era, declared: &Declared<'_>) -> RpcError {
        let id = extension.contract.id.as_str();
        let required: JsonObject = self
            .extensions
            .into_iter()
            .map(|(id, settings)| (id.to_owned(), Value::Object(settings)))
            .collect();
        let unknown = matches!(declared, Declared::Unknown);
        if self.mismatch.is_empty() && era == Era::Legacy {
            let (kind, remedy) = if unknown {
                (
                    "declaration_unknown",
                    "this server keeps no sessions, so what was declared in initialize is gone; repeat it in \
                     _meta[\"io.modelcontextprotocol/clientCapabilities\"] of the request, or use a server with sessions",
                )
            } else {
                (
                    "not_declared",
                    "declare it under capabilities.extensions in initialize",
                )
            };
            let names = required
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            let mut data = json!({ "extension": id, "kind": kind });
            if unknown {
                data["remedy"] = remedy.into();
            }
            return RpcError::new(
                code::METHOD_NOT_FOUND,
                format!("this call needs {names}, which the client has not declared: {remedy}"),
            )
            .with_data(data);
        }
        let names = required
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let message = if self.mismatch.is_empty() {
            format!("this call needs {names} in the request's client capabilities")
        } else {
            Mismatch {
                rows: self.mismatch.clone(),
            }
            .to_string()
        };
        let mut data = json!({ "requiredCapabilities": { "extensions": required } });
        if !self.mismatch.is_empty() {
            data["extension"] = id.into();
            data["kind"] = "settings_mismatch".into();
            data["mismatch"] = json!(self.mismatch);
        }
        let code = match era {
            Era::Modern => code::MISSING_REQUIRED_CLIENT_CAPABILITY,
            Era::Legacy => code::METHOD_NOT_FOUND,
        };
        RpcError::new(code, message).with_data(data)
    }
}
