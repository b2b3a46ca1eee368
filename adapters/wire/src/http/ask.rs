//! Questions of ours to the wrapped server, with the caller's own headers: does it take this caller, and in this era?

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::wire::meta;
use serde_json::{Value, json};

use super::amend::discovered;
use super::headers::{METHOD, NAME, PROTOCOL_VERSION, SESSION};
use super::layer::{Inner, bad_gateway};
use super::sse::{Events, data};
use super::state::State;
use super::{BoxError, WireBody, empty, full, is_events, is_json};
use crate::merge::Splice;
use crate::message::{Message, text, trimmed};

/// The id of every question.
const ID: &str = "mcp-ext-wire/question";

/// What the server says.
pub(super) enum Asked {
    /// It takes the caller, in this era.
    Yes,
    /// It does not serve this era, or says something that cannot be read: it is to answer the request itself.
    No,
    /// It does not take the caller, or fails; the client gets this, as it came.
    Relay(Box<Response<WireBody>>),
}

/// Asks whether the server takes whoever sent `parts`.
///
/// Modern: `server/discover`. In a session: `ping`, which makes no session of its own. Without sessions: `initialize`.
pub(super) async fn ask<E>(
    state: &State,
    inner: &Inner<E>,
    parts: &Parts,
    era: Era,
) -> Result<Asked, E> {
    let caller = state.asked_as(&parts.headers);
    let in_session = era == Era::Legacy && parts.headers.contains_key(SESSION);
    let question = match era {
        Era::Modern => json!({
            "jsonrpc": "2.0", "id": ID, "method": "server/discover",
            "params": { "_meta": {
                meta::PROTOCOL_VERSION: ProtocolVersion::V2026_07_28.as_str(),
                meta::CLIENT_CAPABILITIES: {},
                meta::CLIENT_INFO: client_info(),
            }},
        }),
        Era::Legacy if in_session => json!({ "jsonrpc": "2.0", "id": ID, "method": "ping" }),
        Era::Legacy => json!({
            "jsonrpc": "2.0", "id": ID, "method": "initialize",
            "params": {
                "protocolVersion": ProtocolVersion::V2025_11_25.as_str(),
                "capabilities": {}, "clientInfo": client_info(),
            },
        }),
    };
    let exchange = async {
        let mut response = inner.send(request(parts, era, &question)).await?;
        // A kept connection that the server was just closing, as often as not. What is only asked can be asked again.
        if response.status() == StatusCode::BAD_GATEWAY {
            response = inner.send(request(parts, era, &question)).await?;
        }
        let status = response.status();
        // A server that fails says nothing about what it serves.
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            || (in_session && status == StatusCode::NOT_FOUND)
            || status.is_server_error()
        {
            return Ok(Err(Asked::Relay(Box::new(response))));
        }
        if !status.is_success() {
            return Ok(Err(Asked::No));
        }
        let issued = response.headers().get(SESSION).cloned();
        Ok(
            match message(response, state.options.max_amended_bytes).await {
                Ok(message) => Ok((issued, message)),
                Err(_) => Err(Asked::Relay(Box::new(bad_gateway(
                    "null",
                    "the server's answer to a question of the extensions' was cut off, or is larger than what is read here",
                )))),
            },
        )
    };
    let (issued, message) = match tokio::time::timeout(state.options.timeout, exchange).await {
        Ok(exchanged) => match exchanged? {
            Ok(answer) => answer,
            Err(asked) => return Ok(asked),
        },
        Err(_) => return Ok(Asked::Relay(Box::new(empty(StatusCode::GATEWAY_TIMEOUT)))),
    };
    let message = message.as_deref().map(trimmed).and_then(Message::read);
    let result = message.as_ref().and_then(|message| message.result);
    let taken = match (era, result) {
        (Era::Modern, Some(result)) => {
            // What it offers is noted; nobody gets this answer.
            discovered(state, caller, result, &mut Splice::of(&[]))
        }
        (Era::Legacy, Some(_)) if in_session => true,
        // A server that gives out sessions answers who has none by itself.
        (Era::Legacy, Some(_)) => match issued {
            None => true,
            Some(session) => {
                let ended = end_session(inner, parts, session);
                if let Ok(ended) = tokio::time::timeout(state.options.timeout, ended).await {
                    ended?;
                }
                false
            }
        },
        // A session whose server does not know `ping` has still been let in.
        (Era::Legacy, None) => in_session && message.is_some(),
        (Era::Modern, None) => false,
    };
    if !taken {
        return Ok(Asked::No);
    }
    state.remember(caller, era);
    Ok(Asked::Yes)
}

fn client_info() -> Value {
    json!({ "name": "mcp-ext-wire", "version": env!("CARGO_PKG_VERSION") })
}

/// A POST with the caller's headers, but for those that describe another body.
fn request(parts: &Parts, era: Era, question: &Value) -> Request<WireBody> {
    let mut asked = Request::new(full(question.to_string()));
    *asked.method_mut() = Method::POST;
    *asked.uri_mut() = parts.uri.clone();
    *asked.version_mut() = parts.version;
    *asked.extensions_mut() = parts.extensions.clone();
    let headers = asked.headers_mut();
    for (name, value) in &parts.headers {
        let describes = name.as_str().starts_with("mcp-param-")
            || [
                header::CONTENT_LENGTH,
                header::TRANSFER_ENCODING,
                header::ACCEPT_ENCODING,
                header::EXPECT,
                HeaderName::from_static("last-event-id"),
                NAME,
                METHOD,
            ]
            .contains(name);
        if !describes {
            headers.append(name, value.clone());
        }
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("application/json, text/event-stream"),
    );
    if era == Era::Modern {
        headers.remove(SESSION);
        headers.insert(
            PROTOCOL_VERSION,
            HeaderValue::from_static(ProtocolVersion::V2026_07_28.as_str()),
        );
        headers.insert(METHOD, HeaderValue::from_static("server/discover"));
    }
    asked
}

async fn end_session<E>(inner: &Inner<E>, parts: &Parts, session: HeaderValue) -> Result<(), E> {
    let mut delete = request(parts, Era::Legacy, &Value::Null).map(|_| full(Bytes::new()));
    *delete.method_mut() = Method::DELETE;
    delete.headers_mut().remove(header::CONTENT_TYPE);
    delete.headers_mut().insert(SESSION, session);
    inner.send(delete).await.map(|_| ())
}

/// The answer in a response, be it JSON or a stream of events; `None` when there is none.
///
/// # Errors
/// The body was cut off, or an answer is larger than `limit`.
async fn message(response: Response<WireBody>, limit: usize) -> Result<Option<Vec<u8>>, BoxError> {
    let (parts, body) = response.into_parts();
    if is_json(&parts.headers) {
        let body = Limited::new(body, limit).collect().await?;
        return Ok(Some(body.to_bytes().to_vec()));
    }
    if !is_events(&parts.headers) {
        return Ok(None);
    }
    let mut body = body;
    let mut events = Events::default();
    let is_answer = |data: &Vec<u8>| {
        Message::read(trimmed(data)).is_some_and(|message| {
            message.is_response() && message.id.and_then(text).as_deref() == Some(ID)
        })
    };
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame?.into_data() {
            events.push(&bytes);
        }
        while let Some(event) = events.next_event() {
            if let Some(data) = data(&event).filter(is_answer) {
                return Ok(Some(data));
            }
        }
        if events.held() > limit {
            return Err("an event is too large".into());
        }
    }
    Ok(None)
}
