//! One request as an adapter hands it over, in whatever form its SDK left it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::id::ExtensionId;
use crate::protocol::{Era, ProtocolVersion};
use crate::wire::{JsonObject, RpcError, code, kind_of, meta, shown};

/// A boxed future, for the object-safe edges.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// The JSON-RPC method of this name.
    Method(&'a str),
    /// `tools/call` for the tool of this name.
    Tool(&'a str),
}

impl Target<'_> {
    /// The method or tool name.
    pub fn name(&self) -> &str {
        match self {
            Target::Method(name) | Target::Tool(name) => name,
        }
    }
}

/// Params of a method, or arguments of a tool, in the form the adapter has. `_meta` is not part of them.
#[derive(Debug)]
pub enum Params<'a> {
    /// The text, under an adapter that reads frames itself.
    Raw(&'a RawValue),
    /// A value, under an SDK that has made one.
    Value(Value),
    /// There were none.
    None,
}

/// What a repeated `tools/call` brings back when the server asked for input (MRTR).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// `inputResponses`: the answers, by the keys that the requests had.
    pub responses: Option<JsonObject>,
    /// `requestState`, as it came: it passed through the client.
    pub state: Option<String>,
}

impl Input {
    /// What a request has that was not asked for anything.
    pub(crate) const NONE: &'static Self = &Self {
        responses: None,
        state: None,
    };

    /// Reads both members of the params of `tools/call`.
    ///
    /// # Errors
    /// -32602 when they are not an object of objects and a string (MR-8).
    pub fn read(responses: Option<Value>, state: Option<Value>) -> Result<Self, RpcError> {
        let malformed = |pointer: String, expected: &str| {
            RpcError::new(
                code::INVALID_PARAMS,
                format!("the answers to a request for input are malformed: {pointer} must be {expected}"),
            )
            .with_data(serde_json::json!({ "kind": "malformed_params", "pointer": pointer, "expected": expected }))
        };
        let responses = match responses {
            None => None,
            Some(Value::Object(responses)) => Some(responses),
            Some(_) => return Err(malformed("/params/inputResponses".into(), "an object")),
        };
        if let Some((key, _)) = responses.iter().flatten().find(|(_, v)| !v.is_object()) {
            let key = shown(key);
            let pointer = format!("/params/inputResponses/{}", key.trim_matches('`'));
            return Err(malformed(pointer, "an object"));
        }
        let state = match state {
            None => None,
            Some(Value::String(state)) => Some(state),
            Some(_) => return Err(malformed("/params/requestState".into(), "a string")),
        };
        Ok(Self { responses, state })
    }
}

/// One request of a client.
///
/// ```
/// use mcp_ext_core::protocol::Era;
/// use mcp_ext_core::request::{Incoming, Params, Target};
///
/// let incoming = Incoming::new(Era::Modern, Target::Method("com.example/grading/rubrics"))
///     .params(Params::Value(serde_json::json!({"course": "c-1"})));
/// assert_eq!(incoming.target.name(), "com.example/grading/rubrics");
/// ```
pub struct Incoming<'a> {
    /// The era the request is made in.
    pub era: Era,
    /// The revision of the core protocol, where it is known.
    pub version: Option<ProtocolVersion>,
    /// What it is for.
    pub target: Target<'a>,
    /// Its params, without `_meta`.
    pub params: Params<'a>,
    /// Its `_meta`, untouched.
    pub meta: Arc<JsonObject>,
    /// What the client declared for the whole session (legacy). Ignored in the modern era.
    pub session: SessionDeclaration,
    /// Who calls, if the transport authenticated anyone.
    pub principal: Option<Principal>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Tells whether the caller has given up.
    pub cancel: Option<Arc<dyn CancelSignal>>,
    /// Sends notifications about this request.
    pub notify: Option<Arc<dyn Notifier>>,
    /// The `Mcp-Name` header, where there are headers: `Some(None)` when it is absent.
    pub mcp_name: Option<Option<String>>,
    /// The answers of a repeated call. Boxed, since few calls have any.
    pub input: Option<Box<Input>>,
}

impl<'a> Incoming<'a> {
    /// A request with nothing but its era and target.
    pub fn new(era: Era, target: Target<'a>) -> Self {
        Self {
            era,
            version: match era {
                Era::Modern => Some(ProtocolVersion::V2026_07_28),
                Era::Legacy => None,
            },
            target,
            params: Params::None,
            meta: Arc::default(),
            session: SessionDeclaration::none(),
            principal: None,
            deadline: None,
            cancel: None,
            notify: None,
            mcp_name: None,
            input: None,
        }
    }

    /// Sets the params.
    #[must_use]
    pub fn params(mut self, params: Params<'a>) -> Self {
        self.params = params;
        self
    }

    /// Sets `_meta`.
    #[must_use]
    pub fn meta(mut self, meta: impl Into<Arc<JsonObject>>) -> Self {
        self.meta = meta.into();
        self
    }

    /// Sets what the session declared.
    #[must_use]
    pub fn session(mut self, session: SessionDeclaration) -> Self {
        self.session = session;
        self
    }

    /// Sets who calls.
    #[must_use]
    pub fn principal(mut self, principal: Option<Principal>) -> Self {
        self.principal = principal;
        self
    }

    /// What the client declared, as far as it can be known. `_meta` of this request comes before the session.
    ///
    /// # Errors
    /// -32602 when the declaration is not an object of objects (check NEG-11), naming the key, or names more than
    /// `max` extensions.
    pub fn declared(&self, max: usize) -> Result<Declared<'_>, RpcError> {
        declared(self.era, &self.meta, &self.session, max)
    }
}

/// What was declared for one request: in its `_meta`, or else in the legacy era for the session.
pub(crate) fn declared<'a>(
    era: Era,
    request_meta: &'a JsonObject,
    session: &'a SessionDeclaration,
    max: usize,
) -> Result<Declared<'a>, RpcError> {
    match (request_meta.get(meta::CLIENT_CAPABILITIES), era, session) {
        (Some(capabilities), ..) => declared_in(capabilities, max).map(Declared::Known),
        (None, Era::Modern, _) => Ok(Declared::Known(None)),
        (None, Era::Legacy, SessionDeclaration::Known(map)) => Ok(Declared::Known(map.as_deref())),
        (None, Era::Legacy, SessionDeclaration::Unknown) => Ok(Declared::Unknown),
    }
}

impl std::fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Params and `_meta` may hold personal data: they are left out.
        f.debug_struct("Incoming")
            .field("era", &self.era)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Reads and checks the `extensions` member of a capabilities object.
///
/// # Errors
/// -32602 with HTTP status 400, naming the member that is not an object, or the bound that is exceeded.
pub fn declared_in(capabilities: &Value, max: usize) -> Result<Option<&JsonObject>, RpcError> {
    let malformed = |pointer: String, seen: &str| {
        RpcError::new(
            code::INVALID_PARAMS,
            format!("client capabilities are malformed: {pointer} must be an object, saw {seen}"),
        )
        .with_data(serde_json::json!({ "kind": "malformed_capabilities", "pointer": pointer, "expected": "an object", "seen": seen }))
        .in_envelope()
    };
    let Some(capabilities) = capabilities.as_object() else {
        return Err(malformed(
            "/clientCapabilities".into(),
            kind_of(capabilities),
        ));
    };
    let Some(extensions) = capabilities.get("extensions") else {
        return Ok(None);
    };
    let Some(extensions) = extensions.as_object() else {
        return Err(malformed(
            "/clientCapabilities/extensions".into(),
            kind_of(extensions),
        ));
    };
    if extensions.len() > max {
        return Err(RpcError::new(
            code::INVALID_PARAMS,
            format!(
                "{} extensions are declared, at most {max} are read",
                extensions.len()
            ),
        )
        .with_data(serde_json::json!({ "kind": "too_many_extensions", "limit": max }))
        .in_envelope());
    }
    if let Some((key, value)) = extensions.iter().find(|(_, value)| !value.is_object()) {
        let key = shown(key);
        return Err(malformed(
            format!("/clientCapabilities/extensions/{}", key.trim_matches('`')),
            kind_of(value),
        ));
    }
    Ok(Some(extensions))
}

/// What the client declared in `initialize`, as the adapter knows it.
#[derive(Clone, Debug)]
pub enum SessionDeclaration {
    /// The `extensions` object, or none.
    Known(Option<Arc<JsonObject>>),
    /// The SDK has thrown the session's declaration away: an honest client may have declared.
    Unknown,
}

impl SessionDeclaration {
    /// The client declared nothing.
    pub const fn none() -> Self {
        Self::Known(None)
    }
}

/// What the client declared, for one request.
#[derive(Clone, Copy, Debug)]
pub enum Declared<'a> {
    /// The `extensions` object, or none.
    Known(Option<&'a JsonObject>),
    /// It cannot be known.
    Unknown,
}

impl<'a> Declared<'a> {
    /// The state of one extension.
    pub fn state(&self, id: &ExtensionId) -> Declaration<'a> {
        match self {
            Self::Unknown => Declaration::Unknown,
            Self::Known(map) => match map
                .and_then(|m| m.get(id.as_str()))
                .and_then(Value::as_object)
            {
                Some(settings) => Declaration::Yes(settings),
                None => Declaration::No,
            },
        }
    }
}

/// The three states of a declaration of one extension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Declaration<'a> {
    /// Declared, with these settings.
    Yes(&'a JsonObject),
    /// Not declared.
    No,
    /// The SDK has thrown the session's declaration away.
    Unknown,
}

/// Who calls, as the transport authenticated them. Every handle, cursor, key and confirmation is bound to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    id: Arc<str>,
    tenant: Option<Arc<str>>,
}

impl Principal {
    /// A caller, by an identifier that is stable and unique within the server.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self {
            id: id.into(),
            tenant: None,
        }
    }

    /// Names the tenant the caller belongs to.
    #[must_use]
    pub fn in_tenant(mut self, tenant: impl Into<Arc<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The tenant, if any.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }
}

/// Tells whether a caller has given up. Adapters wrap their SDK's token.
pub trait CancelSignal: Send + Sync {
    /// Whether the call was cancelled.
    fn is_cancelled(&self) -> bool;
}

/// Sends a notification on the response stream of one request. Adapters wrap their SDK's peer.
pub trait Notifier: Send + Sync {
    /// Sends `method` with `params`; returns when the transport has taken it.
    fn notify<'a>(
        &'a self,
        method: &'a str,
        params: JsonObject,
    ) -> BoxFuture<'a, Result<(), NotifyError>>;
}

/// Why a notification was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifyError {
    /// This adapter has no way to send one here.
    Unsupported,
    /// The request it is about has already been answered.
    Ended,
    /// The peer is gone.
    Closed,
    /// The params do not serialise to an object.
    NotAnObject,
    /// The extension is not enabled in this set.
    NotEnabled,
}

impl std::fmt::Display for NotifyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unsupported => "notifications cannot be sent on this transport",
            Self::Ended => {
                "the request has already been answered; nothing more may be sent about it"
            }
            Self::Closed => "the peer is gone",
            Self::NotAnObject => "the params of a notification must serialise to a JSON object",
            Self::NotEnabled => {
                "the extension is not enabled in this set, so nobody can listen to it"
            }
        })
    }
}

impl std::error::Error for NotifyError {}
