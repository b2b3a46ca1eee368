//! Typed clients over Streamable HTTP.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use mcp_ext_core::client::{Caller, CallerError, Outgoing, Stopped};
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::wire::{JsonObject, code};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tower_service::Service;

use super::open::{Link, initialize, open};
use super::params::Mirrored;
use super::stdio::{closed, within};
use super::{
    ClientOptions, ConnectError, Session, answer_to, core_name, listen_request, own_id, params_of,
    read_answer, request_frame,
};
use crate::http::headers::{METHOD, NAME, PROTOCOL_VERSION, SESSION};
use crate::http::sse::{Events, data};
use crate::http::{BoxError, WireBody, is_events, is_json};
use crate::message::{Message, notification_frame, trimmed};

/// Most requests of a server that are answered at once.
const ANSWERS: usize = 16;

/// Most pages of `tools/list` that are read.
const PAGES: usize = 32;

/// How long after its end the stream of a session is opened again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Sends what typed clients of extensions ask for over Streamable HTTP.
///
/// Its clones share connections and, towards a legacy server that gives one, a session; the session is ended when the last
/// one is dropped.
///
/// ```no_run
/// use http::header::AUTHORIZATION;
/// use mcp_ext_wire::{ClientOptions, HttpCaller};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let options = ClientOptions::default().header(AUTHORIZATION, "Bearer ..".parse()?);
/// let caller = HttpCaller::connect("http://127.0.0.1:8080/mcp", options).await?;
/// // GradingExtension::client(caller).negotiate().await?
/// # Ok(())
/// # }
/// ```
///
/// # What it does and does not
///
/// Each request carries the headers of its era: `MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name`, `Mcp-Session-Id`; and
/// `Mcp-Param-*` once a tool has refused a call for the lack of them, which is then made again.
/// Answers are taken as JSON and as event streams; with the latter come notifications about the call. A session that the
/// server has forgotten is opened anew, once for each call. A call whose future is dropped is cancelled: its stream is
/// closed, and a legacy server told. With [`ClientOptions::on_notification`] it also listens to the stream of a legacy
/// session.
///
/// It follows no redirects, since they would take credentials elsewhere, and does not resume a stream that was cut: the
/// call fails with [`Stopped::Closed`], and whoever made it knows whether it can be repeated. There is no TLS in it:
/// [`over`](Self::over) takes a client that has it.
#[derive(Clone)]
pub struct HttpCaller(Arc<Inner>);

struct Inner {
    connection: Arc<Connection>,
    state: Mutex<Arc<Opened>>,
    reopening: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for HttpCaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpCaller")
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

impl HttpCaller {
    /// Opens a connection to the server at an `http` URL.
    ///
    /// # Errors
    /// [`ConnectError`] when the URL cannot be called, or the server cannot be spoken to.
    pub async fn connect(url: &str, options: ClientOptions) -> Result<Self, ConnectError> {
        let target = target(url)?;
        if target.scheme_str() != Some("http") {
            return Err(ConnectError::Url {
                why: "is https, and there is no TLS here: bring a client that has it to HttpCaller::over",
            });
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(options.open_timeout));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self::open(Http(client), target, options).await
    }

    /// Opens a connection to the server at a URL through any HTTP client that is a service of `tower`: one with TLS, one
    /// that goes through a proxy, or a server within this process.
    ///
    /// # Errors
    /// [`ConnectError`] when the URL cannot be called, or the server cannot be spoken to.
    pub async fn over<S, B>(
        service: S,
        url: &str,
        options: ClientOptions,
    ) -> Result<Self, ConnectError>
    where
        S: Service<Request<WireBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::open(Http(service), target(url)?, options).await
    }

    async fn open(
        http: impl Sends,
        target: Uri,
        options: ClientOptions,
    ) -> Result<Self, ConnectError> {
        let connection = Arc::new(Connection::new(Box::new(http), target, options));
        let session = open(&connection, &connection.options).await?;
        let opened = Opened::new(session, &connection);
        Ok(Self(Arc::new(Inner {
            connection,
            state: Mutex::new(Arc::new(opened)),
            reopening: tokio::sync::Mutex::default(),
        })))
    }

    /// Listens for the notifications that `filter` names, until the server ends the stream or this future is dropped.
    /// They arrive at [`ClientOptions::on_notification`]; [`ClientOptions::timeout`] does not count here. `declare` is
    /// what the request declares, as [`declaration`](mcp_ext_core::client::declaration) makes it. Legacy servers have no
    /// such streams, and refuse.
    ///
    /// # Errors
    /// [`CallerError`] when the server refuses, or the connection ends.
    pub async fn listen(
        &self,
        filter: JsonObject,
        declare: JsonObject,
    ) -> Result<Value, CallerError> {
        self.send(listen_request(filter, declare), None).await
    }

    async fn send(&self, request: Outgoing, time: Option<Duration>) -> Result<Value, CallerError> {
        let inner = &*self.0;
        let limit = inner.connection.options.max_in_flight;
        let Ok(_place) = inner.connection.places.try_acquire() else {
            return Err(Stopped::Busy { limit }.into());
        };
        let call = async {
            let opened = inner.opened();
            match inner.connection.call(&opened, &request).await {
                // The session is gone, and with it nothing was done.
                Err(CallerError::Stopped(Stopped::Status { status: 404 }))
                    if opened.id.is_some() =>
                {
                    let opened = inner.reopen(&opened).await?;
                    inner.connection.call(&opened, &request).await
                }
                // Nothing was done: the tool wants arguments repeated in headers (HDR-19).
                Err(CallerError::Rpc(error))
                    if error.code == code::HEADER_MISMATCH && request.method == "tools/call" =>
                {
                    if inner.connection.learn(&opened, &request).await? {
                        inner.connection.call(&opened, &request).await
                    } else {
                        Err(CallerError::Rpc(error))
                    }
                }
                answer => answer,
            }
        };
        within(time, call).await
    }

    /// The version of the protocol that is spoken.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.0.opened().session.version
    }

    /// What the server said when the connection was opened: the result of `initialize` or `server/discover`.
    #[must_use]
    pub fn server(&self) -> JsonObject {
        self.0.opened().session.server.clone()
    }
}

/// The URL, if it is one that can be called. It is not shown, since it may hold a secret.
fn target(url: &str) -> Result<Uri, ConnectError> {
    let bad = |why| Err(ConnectError::Url { why });
    let Ok(uri) = url.parse::<Uri>() else {
        return bad("cannot be read");
    };
    let Some(authority) = uri.authority() else {
        return bad("has no host");
    };
    if authority.as_str().contains('@') {
        return bad("holds credentials, which would be lost: give them with ClientOptions::header");
    }
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        _ => bad("is not of the scheme http"),
    }
}

impl Caller for HttpCaller {
    fn era(&self) -> Era {
        self.version().era()
    }

    async fn server_extensions(&self) -> Result<JsonObject, CallerError> {
        Ok(self.0.opened().session.extensions())
    }

    async fn call(&self, request: Outgoing) -> Result<Value, CallerError> {
        self.send(request, self.0.connection.options.timeout).await
    }
}

/// What was agreed, and the session it holds for.
struct Opened {
    session: Session,
    id: Option<HeaderValue>,
    _listening: Option<Listening>,
}

impl Opened {
    fn new(session: Session, connection: &Arc<Connection>) -> Self {
        let id = connection.issued();
        let version = session.version;
        // Servers with sessions send there what they do not count to a call.
        let listens = connection.options.on_notification.is_some();
        let listening = id.clone().filter(|_| listens).map(|id| {
            let connection = connection.clone();
            Listening(tokio::spawn(async move {
                connection.listen(version, &id).await;
            }))
        });
        Self {
            session,
            id,
            _listening: listening,
        }
    }
}

/// The stream of notifications of a session, read until this is dropped.
struct Listening(tokio::task::JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Inner {
    fn opened(&self) -> Arc<Opened> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    /// A new session in place of one that the server has forgotten.
    async fn reopen(&self, forgotten: &Arc<Opened>) -> Result<Arc<Opened>, CallerError> {
        let _alone = self.reopening.lock().await;
        let opened = self.opened();
        if !Arc::ptr_eq(&opened, forgotten) {
            // Another call was faster.
            return Ok(opened);
        }
        let connection = &self.connection;
        let session = match initialize(connection, &connection.options).await {
            Ok(session) => session,
            Err(ConnectError::Failed { error, .. }) => return Err(error),
            Err(other) => return Err(closed(other.to_string())),
        };
        let opened = Arc::new(Opened::new(session, connection));
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = opened.clone();
        Ok(opened)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let opened = self.opened();
        let Some(id) = opened.id.clone() else { return };
        let connection = self.connection.clone();
        self.connection.runtime.spawn(async move {
            let mut request = connection.request(opened.session.version, Some(&id), String::new());
            *request.method_mut() = Method::DELETE;
            request.headers_mut().remove(CONTENT_TYPE);
            let ended = connection.http.send(request);
            let _ = tokio::time::timeout(connection.options.open_timeout, ended).await;
        });
    }
}

/// Where requests go, and what all of them share.
struct Connection {
    http: Box<dyn Sends>,
    target: Uri,
    options: ClientOptions,
    runtime: Handle,
    last: AtomicU64,
    places: Semaphore,
    answers: Arc<Semaphore>,
    /// The session that the last `initialize` was given.
    issued: Mutex<Option<HeaderValue>>,
    /// What tools want repeated in headers, once one has refused a call for that.
    tools: Mutex<Mirrored>,
}

/// One request on its way.
struct Asking<'a> {
    id: u64,
    method: &'a str,
    mcp_name: Option<&'a str>,
    mirrored: Vec<(HeaderName, String)>,
    version: ProtocolVersion,
    session: Option<&'a HeaderValue>,
}

impl Connection {
    fn new(http: Box<dyn Sends>, target: Uri, options: ClientOptions) -> Self {
        Self {
            http,
            target,
            runtime: Handle::current(),
            last: AtomicU64::new(0),
            places: Semaphore::new(options.max_in_flight.min(Semaphore::MAX_PERMITS)),
            answers: Arc::new(Semaphore::new(ANSWERS)),
            issued: Mutex::default(),
            tools: Mutex::default(),
            options,
        }
    }

    fn issued(&self) -> Option<HeaderValue> {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.take()
    }

    /// An id that was never used before (REQ-1).
    fn next_id(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What a tool call repeats in headers, as far as that is known.
    fn mirrored(&self, method: &str, params: &JsonObject) -> Vec<(HeaderName, String)> {
        let (Some(Value::String(tool)), Some(arguments)) =
            (params.get("name"), params.get("arguments"))
        else {
            return Vec::new();
        };
        if method != "tools/call" {
            return Vec::new();
        }
        let tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        tools.of(tool, arguments).collect()
    }

    /// Looks up what tools want repeated in headers; whether this call would now repeat something else than before.
    async fn learn(
        self: &Arc<Self>,
        opened: &Opened,
        refused: &Outgoing,
    ) -> Result<bool, CallerError> {
        let before = self.mirrored(&refused.method, &refused.params);
        let mut all = Mirrored::default();
        let mut cursor = None;
        for _ in 0..PAGES {
            let mut params = JsonObject::new();
            if let Some(cursor) = cursor.take() {
                params.insert("cursor".into(), Value::String(cursor));
            }
            let list = Outgoing {
                method: "tools/list".to_owned(),
                params,
                declare: refused.declare.clone(),
                mcp_name: None,
            };
            let page = self.call(opened, &list).await?;
            cursor = all.take(&page);
            if cursor.is_none() {
                break;
            }
        }
        *self.tools.lock().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(self.mirrored(&refused.method, &refused.params) != before)
    }

    async fn call(
        self: &Arc<Self>,
        opened: &Opened,
        request: &Outgoing,
    ) -> Result<Value, CallerError> {
        let id = self.next_id();
        let version = opened.session.version;
        let mut meta = self.options.meta(version, id);
        request.declare_into(&mut meta);
        let mut params = request.params.clone();
        let named = core_name(&request.method, &params);
        params.insert("_meta".into(), Value::Object(meta));
        let mirrored = self.mirrored(&request.method, &params);
        let asking = Asking {
            id,
            method: &request.method,
            mirrored,
            mcp_name: request.mcp_name.as_deref().or(named.as_deref()),
            version,
            session: opened.id.as_ref(),
        };
        let mut place = Place {
            connection: self,
            asking: Some(&asking),
        };
        let frame = request_frame(id, &request.method, params);
        let answer = self.exchange(&asking, frame).await;
        place.asking = None;
        answer
    }

    /// A POST with the headers that all have.
    fn request(
        &self,
        version: ProtocolVersion,
        session: Option<&HeaderValue>,
        frame: String,
    ) -> Request<WireBody> {
        let mut request = Request::new(WireBody::from(Bytes::from(frame)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        let headers = request.headers_mut();
        *headers = self.options.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(version.as_str()));
        for name in [METHOD, NAME, SESSION] {
            headers.remove(name);
        }
        if let Some(session) = session {
            headers.insert(SESSION, session.clone());
        }
        request
    }

    async fn exchange(
        self: &Arc<Self>,
        asking: &Asking<'_>,
        frame: String,
    ) -> Result<Value, CallerError> {
        let mut request = self.request(asking.version, asking.session, frame);
        let headers = request.headers_mut();
        if asking.version.era() == Era::Modern {
            put(headers, METHOD, asking.method)?;
            if let Some(name) = asking.mcp_name {
                put(headers, NAME, name)?;
            }
            for (header, value) in &asking.mirrored {
                put(headers, header.clone(), value)?;
            }
        }
        if asking.method == "initialize" {
            // Nothing has been agreed yet.
            headers.remove(PROTOCOL_VERSION);
        }
        let response = self.http.send(request).await?;
        if asking.method == "initialize" && response.status().is_success() {
            *self.issued.lock().unwrap_or_else(PoisonError::into_inner) =
                response.headers().get(SESSION).cloned();
        }
        let status = response.status();
        if is_events(response.headers()) && status == StatusCode::OK {
            return self.events(asking, response).await;
        }
        let json = is_json(response.headers());
        if !json && !status.is_success() {
            return Err(refused(status));
        }
        if !json {
            return Err(malformed("it is neither JSON nor an event stream"));
        }
        let limit = self.options.max_frame_bytes;
        let body = Limited::new(response.into_body(), limit).collect().await;
        let body = body.map_err(|error| broken(&*error, limit))?.to_bytes();
        let message = Message::read(trimmed(&body)).filter(Message::is_response);
        let Some(message) = message else {
            return Err(if status.is_success() {
                malformed("its body is no answer")
            } else {
                refused(status)
            });
        };
        let id = message.id();
        // A session that is gone: servers say so in an error that answers no request, or one with an id of their own.
        if status == StatusCode::NOT_FOUND
            && asking.session.is_some()
            && id.as_ref().and_then(own_id) != Some(asking.id)
        {
            return Err(refused(status));
        }
        let ours = match id {
            Some(id) => own_id(&id) == Some(asking.id),
            // The server may not have come as far as the id.
            None => !status.is_success() && message.error.is_some(),
        };
        if !ours {
            return Err(malformed("its id is not that of the request"));
        }
        read_answer(&message)
    }

    /// Takes what a session sends beside its calls, for as long as the server has a stream for that.
    async fn listen(self: &Arc<Self>, version: ProtocolVersion, session: &HeaderValue) {
        // No request has this id.
        let asking = Asking {
            id: 0,
            method: "",
            mcp_name: None,
            mirrored: Vec::new(),
            version,
            session: Some(session),
        };
        loop {
            let mut request = self.request(version, Some(session), String::new());
            *request.method_mut() = Method::GET;
            let headers = request.headers_mut();
            headers.remove(CONTENT_TYPE);
            headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
            match self.http.send(request).await {
                Ok(response)
                    if response.status() == StatusCode::OK && is_events(response.headers()) =>
                {
                    let _ = self.events(&asking, response).await;
                }
                _ => return,
            }
            // The server closed the stream, as it may.
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }

    /// Reads events until the answer.
    async fn events(
        self: &Arc<Self>,
        asking: &Asking<'_>,
        response: Response<WireBody>,
    ) -> Result<Value, CallerError> {
        let limit = self.options.max_frame_bytes;
        let mut body = response.into_body();
        let mut events = Events::default();
        let mut first = true;
        loop {
            let mut ended = false;
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        events.push(&bytes);
                    }
                }
                Some(Err(error)) => return Err(broken(&error, limit)),
                None => {
                    ended = true;
                    events.finish();
                }
            }
            while let Some(event) = events.next_event() {
                let mut event = &event[..];
                // A byte order mark may stand at the start of a stream, and is no part of its first line.
                if std::mem::take(&mut first) {
                    event = event.strip_prefix(b"\xef\xbb\xbf").unwrap_or(event);
                }
                if event.len() > limit {
                    return Err(Stopped::TooLarge { limit }.into());
                }
                if let Some(answer) = data(event).and_then(|data| self.take(asking, &data)) {
                    return answer;
                }
            }
            if events.held() > limit {
                return Err(Stopped::TooLarge { limit }.into());
            }
            if ended {
                return Err(closed("the event stream ended without the answer"));
            }
        }
    }

    /// Takes one message of an event stream; the answer, if it is that.
    fn take(
        self: &Arc<Self>,
        asking: &Asking<'_>,
        data: &[u8],
    ) -> Option<Result<Value, CallerError>> {
        let message = Message::read(trimmed(data))?;
        let Some(method) = message.method() else {
            let id = message.id()?;
            return (own_id(&id) == Some(asking.id)).then(|| read_answer(&message));
        };
        match (message.id, message.id()) {
            (None, _) => {
                if let Some(notified) = &self.options.on_notification {
                    notified(&method, params_of(&message));
                }
            }
            // Modern servers ask nothing, and modern clients answer nothing (REQ-9).
            (Some(raw), Some(_)) if asking.version.era() == Era::Legacy => {
                let answer = answer_to(raw.get(), &method);
                let places = self.answers.clone();
                // A server that asks for more at once gets no answer.
                if let Ok(place) = places.try_acquire_owned() {
                    self.tell(asking, answer, place);
                }
            }
            _ => {}
        }
        None
    }

    /// Sends what gets no answer, behind the back of the call it belongs to.
    fn tell<T: Send + 'static>(self: &Arc<Self>, asking: &Asking<'_>, frame: String, place: T) {
        let request = self.request(asking.version, asking.session, frame);
        let told = self.http.send(request);
        let limit = self.options.open_timeout;
        self.runtime.spawn(async move {
            let _ = tokio::time::timeout(limit, told).await;
            drop(place);
        });
    }
}

impl Link for Arc<Connection> {
    async fn ask(
        &self,
        method: &'static str,
        mut params: JsonObject,
        version: ProtocolVersion,
    ) -> Result<Value, CallerError> {
        let id = self.next_id();
        let asking = Asking {
            id,
            method,
            mcp_name: None,
            mirrored: Vec::new(),
            version,
            session: None,
        };
        let frame = request_frame(id, method, std::mem::take(&mut params));
        let limit = Some(self.options.open_timeout);
        within(limit, self.exchange(&asking, frame)).await
    }

    async fn initialized(&self, version: ProtocolVersion) -> Result<(), CallerError> {
        let session = {
            let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
            issued.clone()
        };
        let ready = notification_frame("notifications/initialized", JsonObject::new());
        let request = self.request(version, session.as_ref(), ready);
        let limit = self.options.open_timeout;
        let response = tokio::time::timeout(limit, self.http.send(request)).await;
        let response = response.map_err(|_| Stopped::TimedOut { after: limit })??;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(refused(status)),
        }
    }
}

/// A call that waits. Dropped before its answer came, it tells a legacy server; a modern one sees its stream closed.
struct Place<'a> {
    connection: &'a Arc<Connection>,
    asking: Option<&'a Asking<'a>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(asking) = self.asking.take() else {
            return;
        };
        if asking.version.era() == Era::Legacy {
            let params = JsonObject::from_iter([
                ("requestId".to_owned(), json!(asking.id)),
                ("reason".to_owned(), json!("the caller stopped waiting")),
            ]);
            let frame = notification_frame("notifications/cancelled", params);
            self.connection.tell(asking, frame, ());
        }
    }
}

/// Puts a value that the protocol fixes into a header.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), CallerError> {
    let value = HeaderValue::from_str(value).map_err(|_| {
        CallerError::Transport(format!(
            "{name} cannot be sent as a header: it is no plain text"
        ))
    })?;
    headers.insert(name, value);
    Ok(())
}

fn malformed(why: &str) -> CallerError {
    let why = why.to_owned();
    CallerError::Stopped(Stopped::Malformed { why })
}

fn refused(status: StatusCode) -> CallerError {
    let status = status.as_u16();
    CallerError::Stopped(Stopped::Status { status })
}

/// What the HTTP client says. Not its words, which may hold the URL.
fn unreachable(error: &BoxError) -> CallerError {
    let hyper: Option<&hyper_util::client::legacy::Error> = error.downcast_ref();
    if hyper.is_some_and(hyper_util::client::legacy::Error::is_connect) {
        return CallerError::Transport("no connection can be made to the server".to_owned());
    }
    closed("it was cut, or what came over it is not HTTP")
}

/// An HTTP client, whatever its type.
trait Sends: Send + Sync + 'static {
    fn send(&self, request: Request<WireBody>) -> Sent;
}

type Sent = Pin<Box<dyn Future<Output = Result<Response<WireBody>, CallerError>> + Send>>;

struct Http<S>(S);

impl<S, B> Sends for Http<S>
where
    S: Service<Request<WireBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn send(&self, request: Request<WireBody>) -> Sent {
        let mut service = self.0.clone();
        Box::pin(async move {
            let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
            ready.map_err(|error| unreachable(&error.into()))?;
            let sent = service.call(request).await;
            sent.map(|response| response.map(WireBody::new))
                .map_err(|error| unreachable(&error.into()))
        })
    }
}

fn broken(error: &(dyn std::error::Error + 'static), limit: usize) -> CallerError {
    if error.is::<LengthLimitError>() {
        return Stopped::TooLarge { limit }.into();
    }
    closed("it was cut within the answer")
}
