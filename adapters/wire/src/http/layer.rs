//! The layer, and the way of one HTTP request through it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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
        let service = self.inner.clone();
        let inner = Inner(Box::new(move |request| {
            Box::pin(send(service.clone(), request))
        }));
        let request = request.map(WireBody::new);
        Box::pin(handle(self.state.clone(), inner, request))
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

async fn handle<E>(
    state: Arc<State>,
    inner: Inner<E>,
    request: Request<WireBody>,
) -> Result<Response<WireBody>, E> {
    let (parts, body) = request.into_parts();
    if state.server.set().is_empty() {
        return inner.send(Request::from_parts(parts, body)).await;
    }
    if parts.method != Method::POST {
        let ended = (parts.method == Method::DELETE)
            .then(|| value(&parts.headers, &SESSION))
            .flatten()
            .map(str::to_owned);
        let response = inner.send(Request::from_parts(parts, body)).await?;
        if let Some(session) = ended.filter(|_| response.status().is_success()) {
            state.close_session(&session);
        }
        return Ok(response);
    }
    let body = Limited::new(body, state.options.max_body_bytes).collect();
    let bytes = match tokio::time::timeout(state.options.timeout, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let error = too_large(state.options.max_body_bytes);
            return Ok(json(413, error_frame("null", &error)));
        }
        Ok(Err(_)) => return Ok(empty(StatusCode::BAD_REQUEST)),
        Err(_) => return Ok(empty(StatusCode::REQUEST_TIMEOUT)),
    };
    match plan(&state, &parts, &bytes) {
        Plan::Forward => inner.forward(parts, bytes).await,
        Plan::Accepted => Ok(empty(StatusCode::ACCEPTED)),
        // In boxes of their own, so that they do not weigh on every request.
        Plan::Amend(amended) => {
            Box::pin(amend::forward(&state, &inner, parts, bytes, *amended)).await
        }
        Plan::Answer(call) => answer::own(state, inner, parts, bytes, call).await,
        Plan::Listen(call) => Box::pin(listen::listen(state, inner, parts, bytes, call)).await,
    }
}

/// What is done with a POST.
enum Plan {
    Forward,
    /// A notification that ends here.
    Accepted,
    Amend(Box<Amended>),
    Answer(Box<Call>),
    Listen(Box<Call>),
}

fn plan(state: &State, parts: &Parts, bytes: &[u8]) -> Plan {
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
