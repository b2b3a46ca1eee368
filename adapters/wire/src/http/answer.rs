//! A request that is answered here: who asks, in which era, and the answer as JSON or as a stream.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use http_body::{Body, Frame as BodyFrame};
use mcp_ext_core::envelope::{Frame, Headers, era_of};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{Input, SessionDeclaration};
use mcp_ext_core::wire::{JsonObject, code};
use mcp_ext_core::{Principal, RpcError};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Interval;

use super::ask::{Asked, ask};
use super::headers::{PROTOCOL_VERSION, SESSION, check_tool, said, value};
use super::layer::Inner;
use super::notes::{Notes, Reader};
use super::sse::event;
use super::state::{Running, Session, State};
use super::{Auth, WireBody, empty, json as json_response};
use crate::message::{Id, Message, answer_frame, error_frame, text};
use crate::own;

/// A request that is answered here, read once; its parts are its own, so that it outlives the body.
pub(super) struct Call {
    method: String,
    /// The id as it was written.
    raw_id: String,
    /// Or why the request cannot be taken, and the id to answer with.
    id: Result<Id, (String, RpcError)>,
    /// What the params hold, or why they cannot be read.
    params: Result<Params, RpcError>,
}

/// A [`Frame`] without the method that it borrows.
struct Params {
    tool: Option<String>,
    meta: Arc<JsonObject>,
    params: Option<Box<RawValue>>,
    input: Option<Box<Input>>,
}

impl Call {
    pub fn of(message: &Message<'_>, method: &str, frame: Result<Frame<'_>, RpcError>) -> Self {
        Self {
            method: method.to_owned(),
            raw_id: message.id.map_or("null", |id| id.get()).to_owned(),
            id: taken(message).map_err(|(shown, error)| (shown.to_owned(), error)),
            params: frame.map(|frame| Params {
                tool: frame.tool,
                meta: frame.meta,
                params: frame.params,
                input: frame.input,
            }),
        }
    }

    fn era(&self, headers: &HeaderMap, session: bool) -> Era {
        let none = JsonObject::new();
        // Params that are malformed are refused later, in the era that the headers say.
        let meta = self.params.as_ref().map_or(&none, |params| &params.meta);
        let headers = Headers {
            protocol_version: value(headers, &PROTOCOL_VERSION),
            session,
            ..Headers::default()
        };
        era_of(&self.method, meta, Some(&headers))
    }
}

pub(super) async fn own<E>(
    state: Arc<State>,
    inner: Inner<E>,
    parts: Parts,
    bytes: Bytes,
    call: Box<Call>,
) -> Result<Response<WireBody>, E> {
    match admit(&state, &inner, parts, bytes, call).await? {
        Admitted::Yes(asking) => Ok(respond(state, *asking).await),
        Admitted::No(response) => Ok(*response),
    }
}

/// Whether a request is answered here.
pub(super) enum Admitted {
    Yes(Box<Asking>),
    /// What the client gets instead.
    No(Box<Response<WireBody>>),
}

/// Finds out who asks, in which era, and whether the server takes them.
pub(super) async fn admit<E>(
    state: &Arc<State>,
    inner: &Inner<E>,
    parts: Parts,
    bytes: Bytes,
    call: Box<Call>,
) -> Result<Admitted, E> {
    let no = |response| Ok(Admitted::No(Box::new(response)));
    let session_id = value(&parts.headers, &SESSION);
    let session = session_id.and_then(|id| state.session(id));
    let era = call.era(&parts.headers, session.is_some());
    // A session that was not opened through here, and a request that belongs to none where the server has sessions,
    // are the server's to answer.
    let orphan =
        era == Era::Legacy && session.is_none() && (session_id.is_some() || !state.is_stateless());
    if orphan {
        return no(inner.forward(parts, bytes).await?);
    }
    if state.options.auth == Auth::None && !loopback_origin(&parts.headers) {
        return no(empty(StatusCode::FORBIDDEN));
    }
    if !state.remembers(state.asked_as(&parts.headers), era) {
        match Box::pin(ask(state, inner, &parts, era)).await? {
            Asked::Yes => {}
            Asked::No => return no(inner.forward(parts, bytes).await?),
            Asked::Relay(response) => {
                if let (StatusCode::NOT_FOUND, Some(id)) = (response.status(), session_id) {
                    state.close_session(id);
                }
                return Ok(Admitted::No(response));
            }
        }
    }
    Ok(Admitted::Yes(Box::new(Asking {
        principal: state.principal(&parts),
        session: session_id.map(str::to_owned).zip(session),
        parts,
        bytes,
        call,
        era,
    })))
}

/// Whether `Origin` is absent or of this machine.
fn loopback_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let uri = origin.to_str().ok().and_then(|o| o.parse::<Uri>().ok());
    uri.as_ref().and_then(Uri::host).is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    })
}

/// A request that is answered here, and what is known of who asks.
pub(super) struct Asking {
    pub parts: Parts,
    pub principal: Option<Principal>,
    pub bytes: Bytes,
    call: Box<Call>,
    pub era: Era,
    session: Option<(String, Session)>,
}

impl Asking {
    pub fn headers(&self) -> Headers<'_> {
        said(&self.parts.headers, self.session.is_some())
    }
}

/// A finished answer. `None` stands for a request that was cancelled.
type Outcome = Option<(u16, String)>;
type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

async fn respond(state: Arc<State>, asking: Asking) -> Response<WireBody> {
    let streams = takes_events(&asking.parts.headers);
    let keep_alive = state.options.keep_alive;
    let mut notes = Reader::default();
    let mut work: Work = Box::pin(work(state, asking, notes.notes()));
    // Whatever is refused is refused before a stream is opened, so that the status can say it.
    let first = loop {
        tokio::select! {
            biased;
            outcome = &mut work => return match outcome {
                Some((status, frame)) => json_response(status, frame),
                None => empty(StatusCode::ACCEPTED),
            },
            note = poll_fn(|cx| notes.poll(cx)) => {
                if streams {
                    break note;
                }
            }
        }
    };
    let mut keep_alive = tokio::time::interval(keep_alive.max(std::time::Duration::from_millis(1)));
    keep_alive.reset();
    let body = Stream {
        work: Some(work),
        notes,
        out: VecDeque::from([event(&first)]),
        keep_alive,
    };
    events(WireBody::new(body))
}

/// Whether the client takes a stream of events.
pub(super) fn takes_events(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|accept| {
        accept
            .to_str()
            .is_ok_and(|accept| accept.contains("text/event-stream") || accept.contains("*/*"))
    })
}

/// An answer that is a stream of events.
pub(super) fn events(body: WireBody) -> Response<WireBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A request of a session that is under way; over when this is dropped.
struct UnderWay {
    state: Arc<State>,
    key: (String, Id),
    running: Arc<Running>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.running.cancelled.set();
        self.state.finish(&self.key, &self.running);
    }
}

fn invalid(what: &str, kind: &str) -> RpcError {
    RpcError::new(code::INVALID_REQUEST, what).with_data(json!({ "kind": kind }))
}

/// The id of a request that is answered here.
///
/// # Errors
/// Why it cannot be taken, and the id to answer with.
pub(super) fn taken<'a>(message: &Message<'a>) -> Result<Id, (&'a str, RpcError)> {
    let Some(id) = message.id() else {
        let what = "the id of a request must be a short string or an integer";
        return Err(("null", invalid(what, "invalid_id")));
    };
    if message.jsonrpc.and_then(text).as_deref() != Some("2.0") {
        let error = invalid("jsonrpc must be \"2.0\"", "not_json_rpc");
        return Err((message.id.map_or("null", |id| id.get()), error));
    }
    Ok(id)
}

/// Owns all that the call borrows, so that dropping it drops the call.
async fn work(state: Arc<State>, mut asking: Asking, notes: Arc<Notes>) -> Outcome {
    let era = asking.era;
    let raw_id = std::mem::take(&mut asking.call.raw_id);
    let refuse =
        |id: &str, error: RpcError| Some((error.http_status(era), error_frame(id, &error)));
    let id = match asking.call.id.clone() {
        Ok(id) => id,
        Err((shown, error)) => return refuse(&shown, error),
    };
    let under_way = match &asking.session {
        None => None,
        Some((session, _)) => {
            let key = (session.clone(), id);
            let Some(running) = state.start(key.clone()) else {
                let error = invalid("a request with this id is still under way", "duplicate_id");
                return refuse(&raw_id, error);
            };
            Some(UnderWay {
                state: state.clone(),
                key,
                running,
            })
        }
    };
    let call = call(&state, asking, under_way.as_ref(), notes);
    let answer = match &under_way {
        None => call.await,
        Some(under_way) => tokio::select! {
            biased;
            () = under_way.running.stop.notified() => return None,
            answer = call => answer,
        },
    };
    let status = answer
        .as_ref()
        .err()
        .map_or(200, |error| error.http_status(era));
    Some((status, answer_frame(&raw_id, &answer)))
}

async fn call(
    state: &State,
    asking: Asking,
    under_way: Option<&UnderWay>,
    notes: Arc<Notes>,
) -> Result<String, RpcError> {
    let Asking {
        parts,
        principal,
        call,
        session,
        ..
    } = asking;
    let said = said(&parts.headers, session.is_some());
    let session = session.map(|(_, session)| session);
    let params = call.params?;
    let frame = Frame {
        method: &call.method,
        tool: params.tool,
        meta: params.meta,
        params: params.params,
        input: params.input,
    };
    let version = session.as_ref().and_then(|session| session.version);
    let declared = match session {
        Some(session) => session.declared?,
        // No session: what `initialize` said is gone. Modern requests do not look at it.
        None => SessionDeclaration::Unknown,
    };
    let set = state.server.stamping();
    let opened = frame.open(set.protocol(), declared, Some(&said));
    // Headers that differ come before a version that is not served.
    let comparable = match &opened {
        Ok(incoming) => incoming.era == Era::Modern,
        Err(error) => error.code == code::UNSUPPORTED_PROTOCOL_VERSION,
    };
    if let (Some(tool), true) = (&frame.tool, comparable) {
        let schema = set
            .tool(tool)
            .and_then(|tool| tool.listing().get("inputSchema"));
        let arguments: Value = frame
            .params
            .as_ref()
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        check_tool(&parts.headers, tool, &arguments, schema)?;
    }
    let mut incoming = opened?.principal(principal);
    incoming.version = incoming.version.or(version);
    incoming.notify = Some(notes);
    if let Some(under_way) = under_way {
        incoming.cancel = Some(under_way.running.cancelled.clone());
    }
    own::answer(&set, incoming).await
}

/// Notifications, then the answer, then the end. Dropping it drops the call.
struct Stream {
    work: Option<Work>,
    notes: Reader,
    out: VecDeque<Bytes>,
    keep_alive: Interval,
}

impl Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.out.pop_front() {
                this.keep_alive.reset();
                return Poll::Ready(Some(Ok(BodyFrame::data(bytes))));
            }
            let Some(work) = &mut this.work else {
                return Poll::Ready(None);
            };
            if let Poll::Ready(note) = this.notes.poll(cx) {
                this.out.push_back(event(&note));
                continue;
            }
            if let Poll::Ready(outcome) = work.as_mut().poll(cx) {
                this.work = None;
                while let Some(note) = this.notes.try_next() {
                    this.out.push_back(event(&note));
                }
                this.out.extend(outcome.map(|(_, frame)| event(&frame)));
                continue;
            }
            if this.keep_alive.poll_tick(cx).is_ready() {
                this.out.push_back(Bytes::from_static(b":\n\n"));
                continue;
            }
            return Poll::Pending;
        }
    }
}
