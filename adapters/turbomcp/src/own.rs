//! A request of ours, taken apart, and how it is answered.

use std::sync::Arc;

use mcp_ext_core::request::{
    BoxFuture, Input, Notifier, NotifyError, Params, SessionDeclaration, Target,
};
use mcp_ext_core::wire::{JsonObject, code, meta};
use mcp_ext_core::{ExtensionSet, RpcError};
use serde_json::{Value, json};
use turbomcp_core::meta::{extract_identity, internal};
use turbomcp_core::{Identity, JsonRpcNotification, RequestId};
use turbomcp_service::outbound;

use crate::state::Key;

/// What turbomcp says of a message in its `_meta`, beside what the client says there. Its transports take such keys out of
/// what clients send.
#[derive(Default)]
pub(crate) struct Asserted {
    pub session: Option<String>,
    pub connection: Option<String>,
    pub identity: Identity,
    /// The `Mcp-Param-*` headers that came, without that prefix and in small letters, where there are headers.
    mirrors: Option<Value>,
    /// Who calls and in which session, as the server reads it.
    caller: JsonObject,
}

impl Asserted {
    pub fn of(params: Option<&Value>) -> Self {
        let meta = params.and_then(|p| p.get("_meta"));
        let Some(meta) = meta.and_then(Value::as_object) else {
            return Self::default();
        };
        let text = |key: &str| meta.get(key).and_then(Value::as_str).map(str::to_owned);
        let caller = [internal::SESSION_ID, internal::IDENTITY];
        let caller = caller.into_iter().filter_map(|key| meta.get_key_value(key));
        Self {
            session: text(internal::SESSION_ID),
            connection: text(internal::CONNECTION_ID),
            identity: extract_identity(meta),
            mirrors: meta.get(internal::OBSERVED_HEADER_PARAMS).cloned(),
            caller: caller.map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }

    /// The `_meta` of a question of ours in this caller's name.
    pub fn asks(&self, meta: &JsonObject) -> JsonObject {
        let mut asked = meta.clone();
        asked.remove(meta::PROGRESS_TOKEN);
        asked.extend(self.caller.clone());
        asked
    }

    /// Whether each argument that a header must repeat has one. What it says cannot be seen here; turbomcp has compared it
    /// if the header has the name of the argument.
    ///
    /// # Errors
    /// -32020 for a header that is missing.
    pub fn check_mirrors(&self, schema: Option<&Value>, value: &Value) -> Result<(), RpcError> {
        let Some(Value::Array(came)) = &self.mirrors else {
            return Ok(());
        };
        let properties = schema.and_then(|schema| schema.get("properties"));
        for (name, schema) in properties.and_then(Value::as_object).into_iter().flatten() {
            let value = match value.get(name) {
                // What is no scalar is the arguments' fault, said later.
                None | Some(Value::Null | Value::Array(_)) => continue,
                Some(value) => value,
            };
            self.check_mirrors(Some(schema), value)?;
            let header = schema.get("x-mcp-header").and_then(Value::as_str);
            let Some(header) = header.filter(|_| !value.is_object()) else {
                continue;
            };
            let small = header.to_ascii_lowercase();
            if !came.iter().any(|name| *name == small) {
                let header = format!("Mcp-Param-{header}");
                return Err(RpcError::new(
                    code::HEADER_MISMATCH,
                    format!("the header {header} is missing"),
                )
                .with_data(json!({ "header": header }))
                .in_envelope());
            }
        }
        Ok(())
    }

    /// Who opens sessions, or may use them: the key that turbomcp itself compares.
    pub fn owner(&self) -> Option<String> {
        self.identity.principal_key()
    }

    /// What a call is known by to the one who cancels it. Over HTTP each message has a connection of its own, so that
    /// the session must tell.
    pub fn key(&self, legacy: bool, id: &RequestId) -> Option<Key> {
        let place = match (&self.session, &self.connection) {
            (Some(session), _) if legacy => session,
            (_, Some(connection)) => connection,
            (_, None) => return None,
        };
        Some((place.clone(), id.clone()))
    }
}

/// The `_meta` of a request, without what turbomcp says there, and the rest of its params.
///
/// # Errors
/// -32602 when one of them is not an object.
pub(crate) fn take_meta(params: Option<Value>) -> Result<(JsonObject, JsonObject), RpcError> {
    let malformed = |pointer: &str| {
        RpcError::new(
            code::INVALID_PARAMS,
            format!("the request is malformed: {pointer} must be an object"),
        )
        .with_data(
            json!({ "kind": "malformed_params", "pointer": pointer, "expected": "an object" }),
        )
        .in_envelope()
    };
    let mut params = match params {
        None | Some(Value::Null) => JsonObject::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(malformed("/params")),
    };
    let meta = match params.remove("_meta") {
        None => JsonObject::new(),
        Some(Value::Object(meta)) => meta
            .into_iter()
            .filter(|(key, _)| !internal::is_internal_key(key))
            .collect(),
        Some(_) => return Err(malformed("/params/_meta")),
    };
    Ok((meta, params))
}

/// Params of a method, or arguments and answers of a call of a tool.
///
/// # Errors
/// -32602 when the answers are malformed.
pub(crate) fn open<'a>(
    target: Target<'_>,
    mut params: JsonObject,
) -> Result<(Params<'a>, Option<Box<Input>>), RpcError> {
    if matches!(target, Target::Method(_)) {
        return Ok((Params::Value(Value::Object(params)), None));
    }
    let input = match (
        params.remove("inputResponses"),
        params.remove("requestState"),
    ) {
        (None, None) => None,
        (responses, state) => Some(Box::new(Input::read(responses, state)?)),
    };
    let arguments = match params.remove("arguments") {
        None | Some(Value::Null) => Params::None,
        Some(arguments) => Params::Value(arguments),
    };
    Ok((arguments, input))
}

/// A request of the legacy era, or of none, without a session.
pub(crate) fn no_session() -> RpcError {
    RpcError::new(
        code::INVALID_PARAMS,
        format!(
            "the request has no session and _meta has no {}: send initialize first, or say the version on each request",
            meta::PROTOCOL_VERSION
        ),
    )
    .with_data(json!({ "kind": "malformed_meta", "key": meta::PROTOCOL_VERSION, "expected": "a string", "seen": "nothing" }))
    .in_envelope()
}

/// What a client declares in the params of `initialize`.
///
/// # Errors
/// -32602 when it is malformed or larger than the bound.
pub(crate) fn declared_in_initialize(
    set: &ExtensionSet,
    params: Option<&Value>,
) -> Result<SessionDeclaration, RpcError> {
    let Some(capabilities) = params.and_then(|params| params.get("capabilities")) else {
        return Ok(SessionDeclaration::none());
    };
    let limits = set.limits();
    let declared = mcp_ext_core::request::declared_in(capabilities, limits.max_declared)?;
    let Some(declared) = declared else {
        return Ok(SessionDeclaration::none());
    };
    let most = limits.max_params_bytes;
    if serde_json::to_string(declared).map_or(true, |text| text.len() > most) {
        return Err(RpcError::new(
            code::INVALID_PARAMS,
            format!("the extensions in initialize have more than {most} bytes"),
        )
        .with_data(json!({ "kind": "too_large", "limit": most })));
    }
    Ok(SessionDeclaration::Known(Some(Arc::new(declared.clone()))))
}

/// The way back to the client of a call: the connection that it came on. Over HTTP that is the call's own stream.
pub(crate) struct Stream(pub String);

impl Notifier for Stream {
    fn notify<'a>(
        &'a self,
        method: &'a str,
        params: JsonObject,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(async move {
            let writer = outbound::writer(&self.0).ok_or(NotifyError::Closed)?;
            let note = JsonRpcNotification::new(method, Some(Value::Object(params)));
            writer
                .send(note.into())
                .await
                .map_err(|_| NotifyError::Closed)
        })
    }
}
