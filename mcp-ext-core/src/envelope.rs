//! The envelope of a raw JSON-RPC request: era, version, `_meta` and headers, for adapters that read frames
//! themselves. SDKs do this on their own.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::protocol::{Era, ProtocolRange, ProtocolVersion};
use crate::request::{Incoming, Input, Params, SessionDeclaration, Target};
use crate::wire::{JsonObject, RpcError, code, kind_of, meta, shown};

/// What HTTP says about a request beside its body. Names are case-insensitive; values are given as received.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `MCP-Protocol-Version`
    pub protocol_version: Option<&'a str>,
    /// `Mcp-Method`
    pub method: Option<&'a str>,
    /// `Mcp-Name`
    pub name: Option<&'a str>,
    /// Whether an issued `Mcp-Session-Id` came along.
    pub session: bool,
}

/// The era of a request, decided before anything else (facts of the protocol, order of evaluation, step 0).
///
/// `initialize`, an issued session, or no version in `_meta` and no modern header: legacy. All else is modern.
pub fn era_of(method: &str, request_meta: &JsonObject, headers: Option<&Headers<'_>>) -> Era {
    let modern_header = headers
        .and_then(|h| h.protocol_version)
        .is_some_and(|v| v.trim() >= ProtocolVersion::V2026_07_28.as_str());
    let legacy = method == "initialize"
        || headers.is_some_and(|h| h.session)
        || (!request_meta.contains_key(meta::PROTOCOL_VERSION) && !modern_header);
    if legacy { Era::Legacy } else { Era::Modern }
}

/// The body of a request, its params still as text.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The method.
    pub method: &'a str,
    /// The target: the method, or the tool that `tools/call` names.
    pub tool: Option<String>,
    /// `_meta`, shared with what [`open`](Self::open) gives.
    pub meta: Arc<JsonObject>,
    /// Params without `_meta`, or the arguments of a tool call.
    pub params: Option<Box<RawValue>>,
    /// The answers of a repeated tool call.
    pub input: Option<Box<Input>>,
}

impl<'a> Frame<'a> {
    /// Reads the params of a request.
    ///
    /// # Errors
    /// -32602 when params or `_meta` are not objects, or a tool call names no tool.
    pub fn read(method: &'a str, params: Option<&RawValue>) -> Result<Self, RpcError> {
        let members = match params {
            None => Members::default(),
            Some(raw) if raw.get() == "null" => Members::default(),
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| unreadable(method, raw))?,
        };
        let Members { meta, rest } = members;
        let meta = match meta {
            None => Arc::default(),
            Some(Value::Object(meta)) => Arc::new(meta),
            Some(other) => return Err(malformed_meta("/_meta", kind_of(&other))),
        };
        Self::of(method, meta, rest)
    }

    /// The same for params whose members an adapter has read itself: `_meta`, and the others as text.
    ///
    /// # Errors
    /// -32602 when a tool call names no tool.
    pub fn of(
        method: &'a str,
        meta: Arc<JsonObject>,
        mut rest: Vec<(Cow<'_, str>, &RawValue)>,
    ) -> Result<Self, RpcError> {
        // Of a name that comes twice the last one counts.
        rest.sort_by(|(a, _), (b, _)| a.cmp(b));
        rest.reverse();
        rest.dedup_by(|(a, _), (b, _)| a == b);
        rest.reverse();
        let member = |name: &str| {
            rest.binary_search_by(|(key, _)| (**key).cmp(name))
                .ok()
                .map(|at| rest[at].1)
        };
        if method != "tools/call" {
            let params = serde_json::value::to_raw_value(&Rest(&rest))
                .map_err(|_| RpcError::new(code::INVALID_PARAMS, "the params cannot be read"))?;
            return Ok(Self {
                method,
                tool: None,
                meta,
                params: Some(params),
                input: None,
            });
        }
        #[derive(Deserialize)]
        struct Name(String);
        let name = member("name").and_then(|raw| serde_json::from_str::<Name>(raw.get()).ok());
        let Some(Name(name)) = name else {
            return Err(RpcError::new(code::INVALID_PARAMS, "tools/call must name a tool: params.name, a string")
                .with_data(json!({ "kind": "malformed_params", "pointer": "/params/name", "expected": "a string" })));
        };
        let read = |name: &str| {
            let raw = member(name)?;
            Some(serde_json::from_str(raw.get()).unwrap_or(Value::Null))
        };
        // Beside name and arguments a call that is no repetition has nothing.
        let input = match (rest.len() > 2).then(|| (read("inputResponses"), read("requestState"))) {
            None | Some((None, None)) => None,
            Some((responses, state)) => Some(Box::new(Input::read(responses, state)?)),
        };
        Ok(Self {
            method,
            tool: Some(name),
            meta,
            params: member("arguments").map(RawValue::to_owned),
            input,
        })
    }

    /// The request as the set takes it, once the envelope has been found in order.
    ///
    /// # Errors
    /// See [`check`].
    pub fn open(
        &self,
        protocol: ProtocolRange,
        session: SessionDeclaration,
        headers: Option<&Headers<'_>>,
    ) -> Result<Incoming<'_>, RpcError> {
        let (era, version) = check(self.method, &self.meta, protocol, headers)?;
        let target = self
            .tool
            .as_deref()
            .map_or(Target::Method(self.method), Target::Tool);
        let mut incoming = Incoming::new(era, target)
            .meta(self.meta.clone())
            .session(session);
        incoming.version = version;
        incoming.mcp_name = headers.map(|h| h.name.map(str::to_owned));
        if let Some(params) = &self.params {
            incoming.params = Params::Raw(params);
        }
        incoming.input.clone_from(&self.input);
        Ok(incoming)
    }
}

/// The members of params: `_meta` read, the others as text.
#[derive(Default)]
struct Members<'a> {
    meta: Option<Value>,
    rest: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Read<'a>(Members<'a>);
        impl<'de: 'a, 'a> Visitor<'de> for Read<'a> {
            type Value = Members<'a>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Members<'a>, M::Error> {
                while let Some(Key(key)) = map.next_key()? {
                    if key == "_meta" {
                        self.0.meta = Some(map.next_value()?);
                    } else {
                        self.0.rest.push((key, map.next_value()?));
                    }
                }
                Ok(self.0)
            }
        }
        from.deserialize_map(Read(Members::default()))
    }
}

struct Rest<'a>(&'a [(Cow<'a, str>, &'a RawValue)]);

impl Serialize for Rest<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Why params that are well-formed JSON cannot be read: they are no object, or a value in `_meta` is out of bounds.
fn unreadable(method: &str, params: &RawValue) -> RpcError {
    if params.get().starts_with('{') {
        return malformed_meta("/_meta", "something else");
    }
    RpcError::new(
        code::INVALID_PARAMS,
        format!("the params of {} must be an object", shown(method)),
    )
    .with_data(json!({ "kind": "malformed_params", "pointer": "/params", "expected": "an object" }))
}

/// Checks the envelope of a request; gives its era and version.
///
/// # Errors
/// In the order of evaluation: -32020 for a missing header, -32602 for incomplete `_meta`, -32020 for a header that
/// differs from the body, -32022 for a version that is not served here. Legacy requests pass.
pub fn check(
    method: &str,
    request_meta: &JsonObject,
    protocol: ProtocolRange,
    headers: Option<&Headers<'_>>,
) -> Result<(Era, Option<ProtocolVersion>), RpcError> {
    if era_of(method, request_meta, headers) == Era::Legacy {
        return Ok((Era::Legacy, None));
    }
    let header = |name: &str, what: String| {
        RpcError::new(code::HEADER_MISMATCH, format!("the header {name} {what}"))
            .with_data(json!({ "header": name }))
            .in_envelope()
    };
    if let Some(headers) = headers {
        for (name, value) in [
            ("MCP-Protocol-Version", headers.protocol_version),
            ("Mcp-Method", headers.method),
        ] {
            if value.is_none() {
                return Err(header(name, "is missing".to_owned()));
            }
        }
    }
    let version = match request_meta.get(meta::PROTOCOL_VERSION) {
        Some(Value::String(version)) => version.as_str(),
        Some(other) => return Err(malformed_meta(meta::PROTOCOL_VERSION, kind_of(other))),
        None => return Err(malformed_meta(meta::PROTOCOL_VERSION, "nothing")),
    };
    match request_meta.get(meta::CLIENT_CAPABILITIES) {
        Some(Value::Object(_)) => {}
        Some(other) => return Err(malformed_meta(meta::CLIENT_CAPABILITIES, kind_of(other))),
        None => return Err(malformed_meta(meta::CLIENT_CAPABILITIES, "nothing")),
    }
    if let Some(headers) = headers {
        for (name, value, body) in [
            ("MCP-Protocol-Version", headers.protocol_version, version),
            ("Mcp-Method", headers.method, method),
        ] {
            if value.map(|v| v.trim_matches([' ', '\t'])) != Some(body) {
                return Err(header(name, "differs from the body".to_owned()));
            }
        }
    }
    let served = |v: &ProtocolVersion| v.era() == Era::Modern && protocol.covers(*v);
    match ProtocolVersion::parse(version).filter(served) {
        Some(version) => Ok((Era::Modern, Some(version))),
        None => {
            let supported: Vec<_> = ProtocolVersion::ALL
                .iter()
                .filter(|v| served(v))
                .map(|v| v.as_str())
                .collect();
            let requested: String = version.chars().take(64).collect();
            Err(RpcError::new(
                code::UNSUPPORTED_PROTOCOL_VERSION,
                format!("protocol version {} is not served here", shown(version)),
            )
            .with_data(json!({ "supported": supported, "requested": requested })))
        }
    }
}

fn malformed_meta(key: &str, seen: &str) -> RpcError {
    let expected = if key == meta::PROTOCOL_VERSION {
        "a string"
    } else {
        "an object"
    };
    RpcError::new(
        code::INVALID_PARAMS,
        format!("_meta is incomplete: {key} must be {expected}, saw {seen}"),
    )
    .with_data(json!({ "kind": "malformed_meta", "key": key, "expected": expected, "seen": seen }))
    .in_envelope()
}
