//! The fixed words of the wire: `_meta` keys, error codes, and the JSON-RPC error object.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::protocol::Era;

/// The prefix of everything that ships here: identifiers of extensions and `_meta` keys. A placeholder until the account
/// behind it is owned.
pub const VENDOR_PREFIX: &str = "io.github.mcp-ext/";

/// A JSON object.
pub type JsonObject = Map<String, Value>;

/// `_meta` keys that the core protocol reserves.
pub mod meta {
    /// The revision this request is made under.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// What the client can do, for this request alone.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Who the client says it is; for display and logs only.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// Who the server says it is; for display and logs only.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// The listen request a notification belongs to.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
    /// Names a request so that progress can be reported for it.
    pub const PROGRESS_TOKEN: &str = "progressToken";
    /// Where the tools we contribute say which extension they belong to.
    pub const EXTENSION: &str = "io.github.mcp-ext/extension";
    /// Where a gated tool says which client capabilities it needs.
    pub const REQUIRED_CAPABILITIES: &str = "io.github.mcp-ext/requiredCapabilities";
}

/// The JSON-RPC error codes that MCP defines and we emit.
pub mod code {
    /// The frame is not JSON.
    pub const PARSE_ERROR: i32 = -32700;
    /// The frame is not a JSON-RPC request.
    pub const INVALID_REQUEST: i32 = -32600;
    /// No such method here.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// The params do not fit the method.
    pub const INVALID_PARAMS: i32 = -32602;
    /// The server failed.
    pub const INTERNAL_ERROR: i32 = -32603;
    /// An HTTP header is missing, malformed, or says something else than the body.
    pub const HEADER_MISMATCH: i32 = -32020;
    /// The request needs a client capability that it does not declare.
    pub const MISSING_REQUIRED_CLIENT_CAPABILITY: i32 = -32021;
    /// The protocol version is not implemented here.
    pub const UNSUPPORTED_PROTOCOL_VERSION: i32 = -32022;
}

/// A JSON-RPC error object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    /// What kind of error, as a number.
    pub code: i32,
    /// One sentence for a person.
    pub message: String,
    /// Details for a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Whether the envelope itself (`_meta`, headers, version) was at fault, which HTTP answers with 400.
    #[serde(skip)]
    pub envelope: bool,
}

impl RpcError {
    /// An error without data.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
            envelope: false,
        }
    }

    /// Adds data.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// Marks the error as one of the envelope.
    #[must_use]
    pub fn in_envelope(mut self) -> Self {
        self.envelope = true;
        self
    }

    /// -32601 for `method`.
    pub fn method_not_found(method: &str) -> Self {
        Self::new(
            code::METHOD_NOT_FOUND,
            format!("method {} is not offered here", shown(method)),
        )
    }

    /// -32603 that says what limit stopped the call; `kind` is `busy` or `timeout`.
    pub fn limit(kind: &'static str, message: impl Into<String>, limit: u64) -> Self {
        Self::new(code::INTERNAL_ERROR, message)
            .with_data(json!({ "kind": kind, "limit": limit, "retryable": true }))
    }

    /// -32603 for a call that its caller gave up; `data.kind` is `cancelled`.
    ///
    /// ```
    /// use mcp_ext_core::RpcError;
    ///
    /// assert_eq!(RpcError::cancelled().data.unwrap()["kind"], "cancelled");
    /// ```
    pub fn cancelled() -> Self {
        Self::new(code::INTERNAL_ERROR, "the call was cancelled")
            .with_data(json!({ "kind": "cancelled" }))
    }

    /// -32603 for a call that was stopped when it had run for `limit`; `data.kind` is `timeout`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use mcp_ext_core::RpcError;
    ///
    /// let stopped = RpcError::timed_out(Duration::from_secs(60)).data.unwrap();
    /// assert_eq!((&stopped["kind"], &stopped["limit"]), (&"timeout".into(), &60_000.into()));
    /// ```
    pub fn timed_out(limit: Duration) -> Self {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Self::limit(
            "timeout",
            format!("the call was stopped after {millis} ms, the most this server allows"),
            millis,
        )
    }

    /// The HTTP status of an answer that carries this error as its only message.
    ///
    /// Legacy answers are always 200; in the modern era the fixed ones of the protocol apply.
    ///
    /// ```
    /// use mcp_ext_core::{RpcError, protocol::Era, wire::code};
    ///
    /// let missing = RpcError::new(code::MISSING_REQUIRED_CLIENT_CAPABILITY, "declare it");
    /// assert_eq!(missing.http_status(Era::Modern), 400);
    /// assert_eq!(missing.http_status(Era::Legacy), 200);
    /// assert_eq!(RpcError::method_not_found("x/y").http_status(Era::Modern), 404);
    /// assert_eq!(RpcError::new(code::INVALID_PARAMS, "bad cursor").http_status(Era::Modern), 200);
    /// ```
    pub fn http_status(&self, era: Era) -> u16 {
        match (self.code, era) {
            (code::PARSE_ERROR | code::INVALID_REQUEST, _) => 400,
            (_, Era::Legacy) => 200,
            (
                code::HEADER_MISMATCH
                | code::MISSING_REQUIRED_CLIENT_CAPABILITY
                | code::UNSUPPORTED_PROTOCOL_VERSION,
                Era::Modern,
            ) => 400,
            (code::METHOD_NOT_FOUND, Era::Modern) => 404,
            (code::INVALID_PARAMS, Era::Modern) if self.envelope => 400,
            _ => 200,
        }
    }
}

impl std::fmt::Display for RpcError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}

/// Leaves out members that are `null`, at every depth: settings have none on the wire, where absent means the same.
pub(crate) fn leave_out_nulls(object: &mut JsonObject) {
    fn within(value: &mut Value) {
        match value {
            Value::Object(object) => leave_out_nulls(object),
            Value::Array(items) => items.iter_mut().for_each(within),
            _ => {}
        }
    }
    object.retain(|_, value| !value.is_null());
    object.values_mut().for_each(within);
}

/// A name a peer sent, made fit for one line of a message: quoted, printable, at most 64 characters.
pub(crate) fn shown(name: &str) -> String {
    let mut out = String::from("`");
    for c in name.chars().take(64) {
        out.push(if c.is_control() { '\u{fffd}' } else { c });
    }
    if name.chars().nth(64).is_some() {
        out.push('…');
    }
    out.push('`');
    out
}

/// The JSON type of a value with its length, for messages that must not show the value.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
