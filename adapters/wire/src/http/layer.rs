//! The layer, and the way of one HTTP request through it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mcp_ext_core::envelope::Frame;
use mcp_ext_core::listen::METHOD;
use mcp_ext_core::request::Target;
use mcp_ext_core::wire::code;
use mcp_ext_core::{Carries, ExtensionSet, Gap, RpcError};
use tower_layer::Layer;
use tower_service::Service;

use super::amend::{self, Amended};
use super::answer::{self, Call};
use super::headers::{SESSION, value};
use super::state::State;
use super::{BoxError, HttpOptions, WireBody, empty, full, json, listen};
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
            inner,
            state: Arc::new(State::new(self.set.clone(), self.options)),
        }
    }
}

/// A service with extensions in front of it. Clones share what is known of sessions and callers.
#[derive(Clone)]
pub struct WireService<S> {
    inner: S,
    state: Arc<State>,
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
                Taken::Forward(request) => send(service, request).await,
                Taken::Answered(response) => Ok(*response),
                // In a box of its own, so that it does not weigh on every request.
                Taken::Planned(parts, bytes, plan) => {
                    let inner = Inner(Box::new(move |request| {
                        Box::pin(send(service.clone(), request))
                    }));
                    Box::pin(carry_out(state, inner, *parts, bytes, plan)).await
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
    Planned(Box<Parts>, Bytes, Plan),
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
        return Taken::Planned(Box::new(parts), Bytes::new(), Plan::End(session, body));
    }
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, state.options.max_body_bytes).collect();
    let bytes = match in_time(state.options.timeout, body).await {
        Some(Ok(body)) => body.to_bytes(),
        Some(Err(error)) if error.is::<LengthLimitError>() => {
            let error = too_large(state.options.max_body_bytes);
            return answered(json(413, error_frame("null", &error)));
        }
        Some(Err(_)) => return answered(empty(StatusCode::BAD_REQUEST)),
        None => return answered(empty(StatusCode::REQUEST_TIMEOUT)),
    };
    match plan(state, &parts, &bytes) {
        Plan::Forward => Taken::Forward(Request::from_parts(parts, full(bytes))),
        plan => Taken::Planned(Box::new(parts), bytes, plan),
    }
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

async fn carry_out<E>(
    state: Arc<State>,
    inner: Inner<E>,
    parts: Parts,
    bytes: Bytes,
    plan: Plan,
) -> Result<Response<WireBody>, E> {
    match plan {
        Plan::Forward => inner.forward(parts, bytes).await,
        Plan::End(session, body) => {
            let response = inner.send(Request::from_parts(parts, body)).await?;
            if response.status().is_success() {
                state.close_session(&session);
            }
            Ok(response)
        }
        Plan::Accepted => Ok(empty(StatusCode::ACCEPTED)),
        Plan::Amend(amended) => amend::forward(&state, &inner, parts, bytes, *amended).await,
        Plan::Answer(call) => answer::own(state, inner, parts, bytes, call).await,
        Plan::Listen(call) => listen::listen(state, inner, parts, bytes, call).await,
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
    if state.glance.is_theirs(bytes, &state.server) {
        return Plan::Forward;
    }
    read(state, parts, bytes)
}

/// The plan for a message, found by reading it.
pub(super) fn read(state: &State, parts: &Parts, bytes: &[u8]) -> Plan {
    let text = trimmed(bytes);
    let owns = |method: &str| state.server.owns_method(method);
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
