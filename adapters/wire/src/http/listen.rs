//! Listen streams that are answered here, alone or together with the server.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode, header};
use http_body::{Body, Frame as BodyFrame};
use http_body_util::{BodyExt, Limited};
use mcp_ext_core::envelope::Frame;
use mcp_ext_core::listen::METHOD;
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::SessionDeclaration;
use mcp_ext_core::{RpcError, Subscription};
use tokio::time::{Instant, Interval};

use super::answer::{Admitted, Asking, Call, admit, events, taken, takes_events};
use super::layer::{Inner, bad_gateway};
use super::sse::{Events, data, event, with_data};
use super::state::State;
use super::{BodyError, HttpOptions, WireBody, empty, full, is_events, is_json, json};
use crate::listen::{
    CANCELLED, acknowledge, asked, frame, given_up, is_acknowledgement, result_frame,
};
use crate::merge::Splice;
use crate::message::{Id, Message, error_frame, is_method_not_found, trimmed};

/// Most bytes of our notifications that are handed on at once.
const BATCH: usize = 16 * 1024;

/// A stream before anything was sent on it.
struct Opened {
    subscription: Subscription,
    id: Id,
    /// The id as it was written.
    raw_id: Box<str>,
}

pub(super) async fn listen<E>(
    state: Arc<State>,
    inner: Inner<E>,
    parts: Parts,
    bytes: Bytes,
    call: Box<Call>,
) -> Result<Response<WireBody>, E> {
    let asking = match admit(&state, &inner, parts, bytes, call).await? {
        Admitted::Yes(asking) => asking,
        Admitted::No(response) => return Ok(*response),
    };
    let frame = trimmed(&asking.bytes);
    // There are no listen streams in the legacy era; and only now is it known which extensions the server has itself.
    let modern = asking.era == Era::Modern;
    let (Some(message), Some(asked)) = (
        Message::read(frame),
        asked(&state.server, frame).filter(|_| modern),
    ) else {
        return inner.forward(asking.parts, asking.bytes).await;
    };
    let raw_id = message.id.map_or("null", |id| id.get());
    let refuse = |id: &str, error: RpcError| {
        let status = error.http_status(Era::Modern);
        Ok(json(status, error_frame(id, &error)))
    };
    let id = match taken(&message) {
        Ok(id) => id,
        Err((shown, error)) => return refuse(shown, error),
    };
    let subscription = match subscribe(&state, &asking, &message, raw_id, &asked.ours) {
        Ok(subscription) => subscription,
        Err(error) => return refuse(raw_id, error),
    };
    if !takes_events(&asking.parts.headers) {
        return Ok(empty(StatusCode::NOT_ACCEPTABLE));
    }
    let opened = Opened {
        subscription,
        id,
        raw_id: raw_id.into(),
    };
    match asked.theirs {
        None => Ok(events(WireBody::new(Stream::alone(opened, &state.options)))),
        Some(theirs) => together(&state, &inner, asking.parts, theirs.into(), opened).await,
    }
}

fn subscribe(
    state: &State,
    asking: &Asking,
    message: &Message<'_>,
    raw_id: &str,
    ours: &mcp_ext_core::wire::JsonObject,
) -> Result<Subscription, RpcError> {
    let request = Frame::read(METHOD, message.params)?;
    let set = state.server.stamping();
    let headers = asking.headers();
    let incoming = request
        .open(set.protocol(), SessionDeclaration::none(), Some(&headers))?
        .principal(asking.principal.clone());
    set.listen(&incoming, raw_id, ours)
}

/// Asks the server for the rest, and puts its stream together with ours.
async fn together<E>(
    state: &Arc<State>,
    inner: &Inner<E>,
    mut parts: Parts,
    theirs: Bytes,
    opened: Opened,
) -> Result<Response<WireBody>, E> {
    let limit = state.options.max_amended_bytes;
    // What is looked into must be readable, and its length is another.
    parts.headers.remove(header::ACCEPT_ENCODING);
    parts.headers.remove(header::CONTENT_LENGTH);
    let response = inner.forward(parts, theirs).await?;
    let (mut parts, body) = response.into_parts();
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Ok(Response::from_parts(parts, body));
    }
    if is_events(&parts.headers) && parts.status.is_success() {
        parts.headers.remove(header::CONTENT_LENGTH);
        let body = Stream::together(opened, &state.options, body);
        return Ok(Response::from_parts(parts, WireBody::new(body)));
    }
    if !is_json(&parts.headers) {
        return Ok(Response::from_parts(parts, body));
    }
    let whole = Limited::new(body, limit).collect();
    let body = match tokio::time::timeout(state.options.timeout, whole).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return Ok(bad_gateway(
                &opened.raw_id,
                "the server's answer was cut off, or is larger than what is read here",
            ));
        }
        Err(_) => {
            let what = "the server's answer does not end in time";
            let mut response = bad_gateway(&opened.raw_id, what);
            *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
            return Ok(response);
        }
    };
    let unknown = Message::read(trimmed(&body))
        .and_then(|message| message.error)
        .is_some_and(is_method_not_found);
    if unknown {
        return Ok(events(WireBody::new(Stream::alone(opened, &state.options))));
    }
    Ok(Response::from_parts(parts, full(body)))
}

/// The events of a listen stream. Dropping it closes the stream, the server's too.
struct Stream {
    /// Ours; gone once we send nothing more.
    ours: Option<Opened>,
    /// Whether the acknowledgement has passed: before it nothing of ours does.
    open: bool,
    theirs: Option<Box<Theirs>>,
    out: VecDeque<Bytes>,
    /// Whose turn it is to be asked first.
    theirs_first: bool,
    keep_alive: Interval,
    until: Option<Instant>,
}

/// The server's part of a stream.
struct Theirs {
    body: WireBody,
    events: Events,
    limit: usize,
    /// Whether no event has passed yet.
    first: bool,
}

impl Stream {
    fn new(ours: Opened, options: &HttpOptions, theirs: Option<Box<Theirs>>) -> Self {
        let mut keep_alive =
            tokio::time::interval(options.keep_alive.max(Duration::from_millis(1)));
        keep_alive.reset();
        Self {
            ours: Some(ours),
            open: false,
            theirs,
            out: VecDeque::new(),
            theirs_first: true,
            keep_alive,
            until: Instant::now().checked_add(options.max_listen),
        }
    }

    fn alone(ours: Opened, options: &HttpOptions) -> Self {
        let mut stream = Self::new(ours, options, None);
        stream.begin_alone();
        stream
    }

    fn together(ours: Opened, options: &HttpOptions, body: WireBody) -> Self {
        let theirs = Theirs {
            body,
            events: Events::default(),
            limit: options.max_amended_bytes,
            first: true,
        };
        Self::new(ours, options, Some(Box::new(theirs)))
    }

    fn begin_alone(&mut self) {
        if let Some(ours) = &self.ours {
            let acknowledgement = frame(&ours.subscription.acknowledgement());
            self.out.push_back(event(&acknowledgement));
        }
        self.open = true;
    }

    /// Ends the stream from our side: with its result, and the server is told by its connection.
    fn end(&mut self) {
        // Nothing may come before the acknowledgement, the result neither: without one the stream breaks off.
        if let Some(ours) = self.ours.take().filter(|_| self.open) {
            let result = result_frame(&ours.raw_id, &ours.subscription);
            self.out.push_back(event(&result));
        }
        self.theirs = None;
    }

    /// Takes what waits on our side; whether there was anything.
    fn poll_ours(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.open {
            return false;
        }
        let Some(ours) = &mut self.ours else {
            return false;
        };
        let mut batch = Vec::new();
        let ended = loop {
            match ours.subscription.poll_next(cx) {
                Poll::Ready(Some(note)) => batch.extend_from_slice(&event(&frame(&note))),
                Poll::Ready(None) => break true,
                Poll::Pending => break false,
            }
            if batch.len() >= BATCH {
                break false;
            }
        };
        let any = ended || !batch.is_empty();
        if !batch.is_empty() {
            self.out.push_back(batch.into());
        }
        if ended {
            self.end();
        }
        any
    }

    /// Takes what the server has sent; whether there was anything.
    fn poll_theirs(&mut self, cx: &mut Context<'_>) -> Result<bool, BodyError> {
        let Some(theirs) = &mut self.theirs else {
            return Ok(false);
        };
        match Pin::new(&mut theirs.body).poll_frame(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Some(Err(error))) => return Err(error),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) if self.ours.is_none() => self.out.push_back(bytes),
                Ok(bytes) => theirs.events.push(&bytes),
                Err(_) => {}
            },
            Poll::Ready(None) => {
                theirs.events.finish();
                self.pass_events();
                if let Some(mut theirs) = self.theirs.take() {
                    self.out.push_back(theirs.events.rest());
                    // A stream that breaks off has no result, and the client listens again.
                    self.ours = None;
                }
                return Ok(true);
            }
        }
        self.pass_events();
        Ok(true)
    }

    fn pass_events(&mut self) {
        while let (Some(theirs), Some(_)) = (&mut self.theirs, &self.ours) {
            let Some(event) = theirs.events.next_event() else {
                if theirs.events.held() > theirs.limit {
                    self.end();
                }
                return;
            };
            let mut bare = &event[..];
            // A byte order mark may stand at the start of a stream, and is no part of its first line.
            if std::mem::take(&mut theirs.first) {
                bare = bare.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bare);
            }
            match self.decide(bare) {
                Passes::AsItIs => self.out.push_back(event),
                Passes::With(data) => self.out.push_back(with_data(bare, &data).into()),
                Passes::Last => {
                    self.ours = None;
                    self.out.push_back(event);
                    if let Some(theirs) = &mut self.theirs {
                        self.out.push_back(theirs.events.rest());
                    }
                }
                Passes::Alone => {
                    self.theirs = None;
                    self.begin_alone();
                }
            }
        }
    }

    fn decide(&mut self, event: &[u8]) -> Passes {
        let (Some(data), Some(ours)) = (data(event), &self.ours) else {
            return Passes::AsItIs;
        };
        let Some(message) = Message::read(trimmed(&data)) else {
            return Passes::AsItIs;
        };
        if message.is_response() {
            let unknown = message.error.is_some_and(is_method_not_found);
            return match message.id() == Some(ours.id.clone()) {
                true if unknown && !self.open => Passes::Alone,
                true => Passes::Last,
                false => Passes::AsItIs,
            };
        }
        if message.method().as_deref() == Some(CANCELLED)
            && given_up(&message).as_ref() == Some(&ours.id)
        {
            return Passes::Last;
        }
        if self.open || !is_acknowledgement(&message) {
            return Passes::AsItIs;
        }
        self.open = true;
        let mut splice = Splice::of(&data);
        acknowledge(&mut splice, &message, ours.subscription.accepted());
        Passes::With(splice.finish())
    }
}

/// What becomes of an event of the server.
enum Passes {
    AsItIs,
    /// With other data.
    With(Vec<u8>),
    /// It ends the stream.
    Last,
    /// The server knows no listen streams: ours goes on without it.
    Alone,
}

impl Body for Stream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            while let Some(bytes) = this.out.pop_front() {
                if !bytes.is_empty() {
                    this.keep_alive.reset();
                    return Poll::Ready(Some(Ok(BodyFrame::data(bytes))));
                }
            }
            if this.ours.is_none() && this.theirs.is_none() {
                return Poll::Ready(None);
            }
            // Looked at when something happens, the keep-alive at least: a stream has one timer.
            if this.ours.is_some() && this.until.is_some_and(|until| Instant::now() >= until) {
                this.end();
                continue;
            }
            // Neither side may keep the other from being heard.
            this.theirs_first = !this.theirs_first;
            let first = this.theirs_first;
            if (first && this.poll_theirs(cx)?)
                || this.poll_ours(cx)
                || (!first && this.poll_theirs(cx)?)
            {
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
