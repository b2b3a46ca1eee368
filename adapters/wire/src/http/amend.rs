//! Forwarded requests whose answers are amended: `initialize`, `server/discover`, `tools/list`.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use mcp_ext_core::envelope::{Frame, era_of};
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::{Declared, SessionDeclaration, declared_in};
use mcp_ext_core::wire::{JsonObject, code, meta};
use mcp_ext_core::{AmendCx, RpcError};
use serde_json::value::RawValue;

use super::headers::{SESSION, said, value};
use super::layer::{Inner, bad_gateway};
use super::sse::AmendedEvents;
use super::state::{Caller, State};
use super::{WireBody, full, is_events, is_json};
use crate::merge::{self, Splice, tools_alone};
use crate::message::{Id, Message, member, result_frame, text, trimmed};
use crate::server::shows_modern;

/// A forwarded request whose answer is amended.
pub(super) struct Amended {
    id: Id,
    /// The id as it was written.
    raw_id: String,
    kind: Kind,
}

enum Kind {
    Initialize {
        declared: Result<SessionDeclaration, RpcError>,
    },
    Discover,
    Tools {
        era: Era,
        version: Option<ProtocolVersion>,
        declared: Option<Arc<JsonObject>>,
        first_page: bool,
    },
}

impl Amended {
    /// `None` for a request that is none of these, or that the server will refuse.
    pub fn of(state: &State, parts: &Parts, message: &Message<'_>, method: &str) -> Option<Self> {
        let kind = match method {
            "initialize" => Kind::Initialize {
                declared: declared_in_initialize(state, message.params),
            },
            "server/discover" => Kind::Discover,
            "tools/list" => tools(state, parts, message)?,
            _ => return None,
        };
        Some(Self {
            id: message.id()?,
            raw_id: message.id?.get().to_owned(),
            kind,
        })
    }
}

fn declared_in_initialize(
    state: &State,
    params: Option<&RawValue>,
) -> Result<SessionDeclaration, RpcError> {
    let Some(capabilities) = params.and_then(|params| member(params, "capabilities")) else {
        return Ok(SessionDeclaration::none());
    };
    let value = serde_json::from_str(capabilities.get()).map_err(|_| {
        RpcError::new(
            code::INVALID_PARAMS,
            "the capabilities in initialize cannot be read",
        )
    })?;
    let declared = declared_in(&value, state.server.set().limits().max_declared)?;
    Ok(SessionDeclaration::Known(
        declared.map(|map| Arc::new(map.clone())),
    ))
}

fn tools(state: &State, parts: &Parts, message: &Message<'_>) -> Option<Kind> {
    let frame = Frame::read("tools/list", message.params).ok()?;
    let session = value(&parts.headers, &SESSION).and_then(|id| state.session(id));
    let headers = said(&parts.headers, session.is_some());
    let era = era_of("tools/list", &frame.meta, Some(&headers));
    let cursor = message.params.and_then(|params| member(params, "cursor"));
    let declared = match (frame.meta.get(meta::CLIENT_CAPABILITIES), era) {
        _ if !state.server.set().filters_lists() => None,
        (Some(capabilities), _) => {
            declared_in(capabilities, state.server.set().limits().max_declared)
                .ok()
                .flatten()
                .map(|map| Arc::new(map.clone()))
        }
        (None, Era::Modern) => None,
        (None, Era::Legacy) => match session.as_ref().map(|s| &s.declared) {
            Some(Ok(SessionDeclaration::Known(map))) => map.clone(),
            _ => None,
        },
    };
    Some(Kind::Tools {
        era,
        version: match era {
            Era::Modern => Some(ProtocolVersion::V2026_07_28),
            Era::Legacy => session.and_then(|s| s.version),
        },
        declared,
        first_page: cursor.is_none_or(|cursor| cursor.get() == "null"),
    })
}

/// Forwards the request, and amends the answer where it passes.
pub(super) async fn forward<E>(
    state: &Arc<State>,
    inner: &Inner<E>,
    mut parts: Parts,
    body: Bytes,
    amended: Amended,
) -> Result<Response<WireBody>, E> {
    // What is amended must be readable.
    parts.headers.remove(header::ACCEPT_ENCODING);
    let mut headers = parts.headers.clone();
    let response = inner.forward(parts, body).await?;
    let issued = value(response.headers(), &SESSION).map(str::to_owned);
    // Whoever initialized may go on in the session.
    if let Some(id) = response.headers().get(SESSION) {
        headers.insert(SESSION, id.clone());
    }
    let caller = state.asked_as(&headers);
    let (mut parts, body) = response.into_parts();
    let limit = state.options.max_amended_bytes;
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Ok(Response::from_parts(parts, body));
    }
    if is_events(&parts.headers) {
        let state = state.clone();
        parts.headers.remove(header::CONTENT_LENGTH);
        let body = AmendedEvents::new(
            body,
            limit,
            Box::new(move |data| {
                let done = answer(&state, &amended, issued.as_deref(), caller, data)?;
                Some(done.0)
            }),
        );
        return Ok(Response::from_parts(parts, WireBody::new(body)));
    }
    let lists = matches!(amended.kind, Kind::Tools { .. });
    if !is_json(&parts.headers) || !(parts.status.is_success() || lists) {
        return Ok(Response::from_parts(parts, body));
    }
    let whole = Limited::new(body, limit).collect();
    let body = match tokio::time::timeout(state.options.timeout, whole).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return Ok(bad_gateway(
                &amended.raw_id,
                "the server's answer was cut off, or is larger than what is read here",
            ));
        }
        Err(_) => {
            let what = "the server's answer does not end in time";
            let mut response = bad_gateway(&amended.raw_id, what);
            *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
            return Ok(response);
        }
    };
    let Some((body, replaced)) = answer(state, &amended, issued.as_deref(), caller, &body) else {
        return Ok(Response::from_parts(parts, full(body)));
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    if replaced {
        parts.status = StatusCode::OK;
    }
    Ok(Response::from_parts(parts, full(body)))
}

/// Amends the answer; `None` when `data` is another message. The flag says that an error became a result.
fn answer(
    state: &State,
    amended: &Amended,
    issued: Option<&str>,
    caller: Caller,
    data: &[u8],
) -> Option<(Vec<u8>, bool)> {
    let frame = trimmed(data);
    let message = Message::read(frame)?;
    if !message.is_response() || message.id()? != amended.id {
        return None;
    }
    let mut splice = Splice::of(data);
    let mut replaced = false;
    match (&amended.kind, message.result) {
        (Kind::Initialize { declared }, Some(result)) => {
            let version = member(result, "protocolVersion")
                .and_then(text)
                .and_then(|version| ProtocolVersion::parse(&version))
                .filter(|version| version.era() == Era::Legacy);
            state.server.note_info(result);
            merge::capabilities(&mut splice, &state.server, result, Era::Legacy, version);
            match issued {
                Some(id) => state.open_session(id, version, declared.clone()),
                None => state.note_stateless(),
            }
            state.remember(caller, Era::Legacy);
        }
        (Kind::Discover, Some(result)) => {
            discovered(state, caller, result, &mut splice);
        }
        (
            Kind::Tools {
                era,
                version,
                declared,
                first_page,
            },
            result,
        ) => {
            let cx = AmendCx {
                era: *era,
                version: *version,
                declared: Declared::Known(declared.as_deref()),
                first_page: *first_page,
            };
            match result {
                Some(result) => merge::tools(&mut splice, &state.server, result, &cx),
                None if *first_page
                    && message
                        .error
                        .is_some_and(crate::message::is_method_not_found)
                    && state.server.set().has_tools(*era, *version) =>
                {
                    let result = tools_alone(&state.server, &cx);
                    splice.replace(frame, result_frame(&amended.raw_id, &result));
                    replaced = true;
                }
                None => {}
            }
        }
        (Kind::Initialize { .. } | Kind::Discover, None) => {}
    }
    Some((splice.finish(), replaced))
}

/// Takes a discover result; whether it shows the modern era.
pub(super) fn discovered(
    state: &State,
    caller: Caller,
    result: &RawValue,
    splice: &mut Splice<'_>,
) -> bool {
    state.server.note_info(result);
    let version = Some(ProtocolVersion::V2026_07_28);
    merge::capabilities(splice, &state.server, result, Era::Modern, version);
    let modern = shows_modern(result);
    if modern {
        state.remember(caller, Era::Modern);
    }
    modern
}
