//! The layer, and the way of one HTTP request through it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use mcp_ext_core::envelope::Frame;
use mcp_ext_core::listen::METHOD;
use mcp_ext_core::request::Target;
use mcp_ext_core::wire::code;
use mcp_ext_core::{Carries, ExtensionSet, Gap, RpcError};
use tower_layer::Layer;
use tower_service::Service;

use super::amend::{self, Amended};
use super::answer::{self, Call};
use super::glance::Seen;
use super::headers::{SESSION, value};
use super::state::State;
use super::{BodyError, BoxError, HttpOptions, WireBody, empty, full, json, listen};
use crate::listen::asked;
use crate::message::{Id, Members, Message, error_frame, member, text, trimmed};
use crate::own::too_large;

/// Puts a set of extensions in front of any service that speaks Streamable HTTP.
///
/// The wrapped service stays the one that authenticates callers, checks `Origin`, and keeps sessions.
///
/// ```
/// use mcp_ext_core::ExtensionSet;
/// use mcp_ext_wire::WireLayer;
/// use tower_layer::Layer;
///
/// # #[derive(Clone)] struct TheirService;
/// let layer = WireLayer::new(ExtensionSet::builder().build().unwrap());
/// let service = layer.layer(TheirService);
/// ```
#[derive(Clone)]
pub struct WireLayer {
    set: ExtensionSet,
    options: HttpOptions,
}

impl WireLayer {
    /// What this layer can carry.
    pub const CARRIES: Carries = Carries {
        adapter: "wire over HTTP",
        stateless_legacy_declarations: false,
        ..crate::CARRIES
    };

    /// A layer with the bounds of [`HttpOptions::default`].
    pub fn new(set: ExtensionSet) -> Self {
        Self {
            set,
            options: HttpOptions::default(),
        }
    }

    /// Sets the bounds.
    #[must_use]
    pub fn options(mut self, options: HttpOptions) -> Self {
        self.options = options;
        self
    }

    /// What cannot be carried for this set.
    pub fn report(&self) -> Vec<Gap> {
        self.set.report(&Self::CARRIES)
    }
}

impl std::fmt::Debug for WireLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WireLayer")
            .field("set", &self.set)
            .field("options", &self.options)
            .finish()
    }
}

impl<S> Layer<S> for WireLayer {
    type Service = WireService<S>;

    fn layer(&self, inner: S) -> WireService<S> {
        WireService {
            inner: Arc::new(inner),
            state: Arc::new(State::new(self.set.clone(), self.options)),
        }
    }
}

/// A service with extensions in front of it. Clones share what is known of sessions and callers.
pub struct WireService<S> {
    /// Cloned once it is known that it is needed: some clone much.
    inner: Arc<S>,
    state: Arc<State>,
}

impl<S> Clone for WireService<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            state: self.state.clone(),
        }
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for WireService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WireService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<WireBody>, E>> + Send>>;

impl<S, B, RB> Service<Request<B>> for WireService<S>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    S: Service<Request<WireBody>, Response = Response<RB>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    type Response = Response<WireBody>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // Whether the wrapped service is ready matters once it is known that it is needed.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (service, state) = (self.inner.clone(), self.state.clone());
        Box::pin(async move {
            match take(&state, request.map(WireBody::new)).await {
                Taken::Forward(request) => send(S::clone(&service), request).await,
                Taken::Answered(response) => Ok(*response),
                Taken::Planned(parts, bytes, plan) => {
                    let inner = Inner(Box::new(move |request| {
                        Box::pin(send(S::clone(&service), request))
                    }));
                    match plan {
                        Plan::Answer(call) => answer::own(state, inner, parts, bytes, call).await,
                        // In boxes of their own, so that they do not weigh on every request.
                        plan => carry_out(state, inner, parts, bytes, plan).await,
                    }
                }
            }
        })
    }
}

/// The wrapped service, whatever its type.
pub(super) struct Inner<E>(Box<dyn Fn(Request<WireBody>) -> Answer<E> + Send + Sync>);

impl<E> Inner<E> {
    pub async fn send(&self, request: Request<WireBody>) -> Result<Response<WireBody>, E> {
        (self.0)(request).await
    }

    pub async fn forward(&self, parts: Parts, body: Bytes) -> Result<Response<WireBody>, E> {
        self.send(Request::from_parts(parts, full(body))).await
    }
}

/// One request to a service of its own.
async fn send<S, RB>(
    mut service: S,
    request: Request<WireBody>,
) -> Result<Response<WireBody>, S::Error>
where
    S: Service<Request<WireBody>, Response = Response<RB>>,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    let response = service.call(request).await?;
    Ok(response.map(WireBody::new))
}

/// What a request turned out to be.
enum Taken {
    Forward(Request<WireBody>),
    Answered(Box<Response<WireBody>>),
    Planned(Parts, Bytes, Plan),
}

async fn take(state: &State, request: Request<WireBody>) -> Taken {
    let answered = |response| Taken::Answered(Box::new(response));
    if state.server.set().is_empty() {
        return Taken::Forward(request);
    }
    if request.method() != Method::POST {
        let ended = (request.method() == Method::DELETE)
            .then(|| value(request.headers(), &SESSION))
            .flatten()
            .map(str::to_owned);
        let Some(session) = ended else {
            return Taken::Forward(request);
        };
        let (parts, body) = request.into_parts();
        return Taken::Planned(parts, Bytes::new(), Plan::End(session, body));
    }
    let (parts, body) = request.into_parts();
    let body = whole(body, state.options.max_body_bytes);
    let bytes = match in_time(state.options.timeout, body).await {
        Some(Ok(Some(bytes))) => bytes,
        Some(Ok(None)) => {
            let error = too_large(state.options.max_body_bytes);
            return answered(json(413, error_frame("null", &error)));
        }
        Some(Err(_)) => return answered(empty(StatusCode::BAD_REQUEST)),
        None => return answered(empty(StatusCode::REQUEST_TIMEOUT)),
    };
    match plan(state, &parts, &bytes) {
        Plan::Forward => Taken::Forward(Request::from_parts(parts, full(bytes))),
        plan => Taken::Planned(parts, bytes, plan),
    }
}

/// A whole body; `None` when it is larger than `limit`. Most come in one piece, which is not copied.
async fn whole(mut body: WireBody, limit: usize) -> Result<Option<Bytes>, BodyError> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else {
            continue;
        };
        if first.len() + all.len() + piece.len() > limit {
            return Ok(None);
        }
        if first.is_empty() && all.is_empty() {
            first = piece;
            if body.is_end_stream() {
                break;
            }
            continue;
        }
        all.extend_from_slice(&std::mem::take(&mut first));
        all.extend_from_slice(&piece);
    }
    Ok(Some(if first.is_empty() {
        all.freeze()
    } else {
        first
    }))
}

/// The output of a future that is done in time. Most are when they are looked at for the second time: those need no timer.
async fn in_time<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut looks = 0;
    let soon = poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        looks += 1;
        if looks > 1 {
            return Poll::Ready(None);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    match soon.await {
        Some(output) => Some(output),
        None => tokio::time::timeout(limit, future).await.ok(),
    }
}

/// Does what was planned.
fn carry_out<E: Send + 'static>(
    state: Arc<State>,
    inner: Inner<E>,
    parts: Parts,
    bytes: Bytes,
    plan: Plan,
) -> Answer<E> {
    match plan {
        Plan::Forward => Box::pin(async move { inner.forward(parts, bytes).await }),
        Plan::End(session, body) => Box::pin(async move {
            let response = inner.send(Request::from_parts(parts, body)).await?;
            if response.status().is_success() {
                state.close_session(&session);
            }
            Ok(response)
        }),
        Plan::Accepted => Box::pin(async { Ok(empty(StatusCode::ACCEPTED)) }),
        Plan::Amend(amended) => {
            Box::pin(async move { amend::forward(&state, &inner, parts, bytes, *amended).await })
        }
        Plan::Answer(call) => Box::pin(answer::own(state, inner, parts, bytes, call)),
        Plan::Listen(call) => Box::pin(listen::listen(state, inner, parts, bytes, call)),
    }
}

/// What is done with a request.
pub(super) enum Plan {
    Forward,
    /// The end of a session.
    End(String, WireBody),
    /// A notification that ends here.
    Accepted,
    Amend(Box<Amended>),
    Answer(Box<Call>),
    Listen(Box<Call>),
}

fn plan(state: &State, parts: &Parts, bytes: &[u8]) -> Plan {
    match state.glance.at(bytes, &state.server) {
        Seen::Theirs => Plan::Forward,
        Seen::MaybeOurs(ours) => read(state, parts, bytes, ours),
    }
}

/// The plan for a message, found by reading it. `ours`: a method that is known to be ours.
pub(super) fn read(state: &State, parts: &Parts, bytes: &[u8], ours: Option<&str>) -> Plan {
    let text = trimmed(bytes);
    let owns = |method: &str| ours == Some(method) || state.server.owns_method(method);
    match Message::read_owned(text, owns) {
        Some((message, Some(params))) => {
            if let Some(call) = call(state, &message, params) {
                return Plan::Answer(Box::new(call));
            }
        }
        Some((message, None)) => return planned(state, parts, text, &message),
        None => {}
    }
    // What is wrong with it is said by whoever reads it as a whole.
    match Message::read(text) {
        Some(message) => planned(state, parts, text, &message),
        None => Plan::Forward,
    }
}

/// A request of ours whose params were read on the way; `None` when something is wrong with it.
fn call(state: &State, message: &Message<'_>, mut params: Members<'_>) -> Option<Call> {
    message.id?;
    let method = message.method()?;
    let meta = match params.iter().rfind(|(name, _)| name == "_meta") {
        Some((_, meta)) => state.metas.read(meta)?,
        None => Arc::default(),
    };
    params.retain(|(name, _)| name != "_meta");
    Some(Call::of(message, &method, Frame::of(&method, meta, params)))
}

fn planned(state: &State, parts: &Parts, text: &[u8], message: &Message<'_>) -> Plan {
    let Some(method) = message.method() else {
        return Plan::Forward;
    };
    if message.id.is_none() {
        return notification(state, parts, message, &method);
    }
    if state.server.owns(target(message, &method, &mut None)) {
        let frame = Frame::read(&method, message.params);
        return Plan::Answer(Box::new(Call::of(message, &method, frame)));
    }
    if method == METHOD && asked(&state.server, text).is_some() {
        let frame = Frame::read(&method, message.params);
        return Plan::Listen(Box::new(Call::of(message, &method, frame)));
    }
    match Amended::of(state, parts, message, &method) {
        Some(amended) => Plan::Amend(Box::new(amended)),
        None => Plan::Forward,
    }
}

/// What a request is for; `name` holds the name of a tool.
pub(super) fn target<'a>(
    message: &Message<'a>,
    method: &'a str,
    name: &'a mut Option<String>,
) -> Target<'a> {
    if method == "tools/call" {
        *name = message
            .params
            .and_then(|params| member(params, "name"))
            .and_then(text)
            .map(Into::into);
    }
    match name {
        Some(name) => Target::Tool(name),
        None => Target::Method(method),
    }
}

fn notification(state: &State, parts: &Parts, message: &Message<'_>, method: &str) -> Plan {
    if method == "notifications/cancelled" {
        let id = message
            .params
            .and_then(|params| member(params, "requestId"))
            .and_then(Id::read);
        // Only who may make a request may cancel it.
        let known = state.remembers(
            state.asked_as(&parts.headers),
            mcp_ext_core::protocol::Era::Legacy,
        );
        if let (Some(session), Some(id), true) = (value(&parts.headers, &SESSION), id, known)
            && state.cancel(&(session.to_owned(), id))
        {
            return Plan::Accepted;
        }
        return Plan::Forward;
    }
    if state.server.set().notification(method) || state.server.owns_method(method) {
        return Plan::Accepted;
    }
    Plan::Forward
}

/// What is said when the wrapped server's answer cannot be read.
pub(super) fn bad_gateway(id: &str, what: &str) -> Response<WireBody> {
    let error = RpcError::new(code::INTERNAL_ERROR, what)
        .with_data(serde_json::json!({ "kind": "bad_gateway" }));
    json(502, error_frame(id, &error))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use http_body::Frame as BodyFrame;

    use super::*;

    struct Pieces(VecDeque<&'static str>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| match piece {
                "trailers" => Ok(BodyFrame::trailers(http::HeaderMap::new())),
                piece => Ok(BodyFrame::data(piece.into())),
            }))
        }
    }

    #[tokio::test]
    async fn a_body_is_whole_however_it_is_cut() {
        for pieces in [
            &["12345"][..],
            &["12345", "trailers"],
            &["", "12", "", "345"],
            &["1", "2", "3", "4", "5", ""],
            &["1234", "5"],
        ] {
            let body = || WireBody::new(Pieces(pieces.iter().copied().collect()));
            let all = whole(body(), 5).await.unwrap();
            assert_eq!(all.as_deref(), Some(&b"12345"[..]), "{pieces:?}");
            assert!(whole(body(), 4).await.unwrap().is_none(), "{pieces:?}");
        }
        let empty = whole(WireBody::from(Bytes::new()), 0).await.unwrap();
        assert_eq!(empty.as_deref(), Some(&b""[..]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_ends_in_time() {
        let limit = Duration::from_secs(30);
        let at = tokio::time::Instant::now();
        assert_eq!(in_time(limit, std::future::pending::<()>()).await, None);
        assert_eq!(at.elapsed(), limit);
        assert_eq!(in_time(limit, async { 5 }).await, Some(5));
        let later = async {
            tokio::time::sleep(limit / 2).await;
            6
        };
        assert_eq!(in_time(limit, later).await, Some(6));
        let yields = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(in_time(Duration::ZERO, yields).await, Some(7));
    }
}
