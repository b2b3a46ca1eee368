//! One message on its way through the layer.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::{
    BoxFuture, Declared, Incoming, Params, SessionDeclaration, Target, declared_in,
};
use mcp_ext_core::wire::{JsonObject, code, meta};
use mcp_ext_core::{AmendCx, RpcError, Subscription, envelope};
use serde_json::{Value, json};
use tower_service::Service;
use turbomcp_core::meta::{internal, set_request_meta};
use turbomcp_core::{
    JsonRpcError, JsonRpcMessage, JsonRpcNotification, JsonRpcRequest, JsonRpcResponse, RequestId,
};
use turbomcp_service::ProtocolError;

use crate::listen::{self, Theirs};
use crate::merge;
use crate::own::{self, Asserted, Stream, no_session, take_meta};
use crate::state::{Known, Running, Session, State, Tracked};

/// Most pages of the server's own tools that are looked through for names of ours.
const MAX_PAGES: usize = 100;

/// A turbomcp server with extensions in front of it. Clones share what is known of sessions and calls.
#[derive(Clone)]
pub struct ExtensionsService<S> {
    inner: S,
    state: Arc<State>,
}

impl<S: std::fmt::Debug> std::fmt::Debug for ExtensionsService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExtensionsService")
            .field("inner", &self.inner)
            .field("set", &self.state.set)
            .finish_non_exhaustive()
    }
}

type Reply = Result<Option<JsonRpcMessage>, ProtocolError>;

impl<S> Service<JsonRpcMessage> for ExtensionsService<S>
where
    S: Service<JsonRpcMessage, Response = Option<JsonRpcMessage>, Error = ProtocolError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    type Response = Option<JsonRpcMessage>;
    type Error = ProtocolError;
    type Future = BoxFuture<'static, Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProtocolError>> {
        // Whether the server is ready matters once it is known that it is needed.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, message: JsonRpcMessage) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { service.handle(message).await })
    }
}

/// The era of a request, its revision, and what its client declared for the session.
struct Client {
    era: Era,
    version: Option<ProtocolVersion>,
    session: SessionDeclaration,
}

/// Why a request of ours is not served.
enum Refusal {
    Rpc(RpcError),
    /// The server's own refusal of its session.
    Session(ProtocolError),
}

impl From<RpcError> for Refusal {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

impl<S> ExtensionsService<S> {
    pub(crate) fn new(inner: S, state: Arc<State>) -> Self {
        Self { inner, state }
    }
}

impl<S> ExtensionsService<S>
where
    S: Service<JsonRpcMessage, Response = Option<JsonRpcMessage>, Error = ProtocolError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    async fn handle(self, message: JsonRpcMessage) -> Reply {
        // What is no JSON-RPC 2.0 is the server's to refuse.
        if self.state.set.is_empty() || !message.has_valid_version() {
            return self.forward(message).await;
        }
        match message {
            JsonRpcMessage::Request(request) => self.request(request).await,
            JsonRpcMessage::Notification(notification) if self.ends_here(&notification) => Ok(None),
            other => self.forward(other).await,
        }
    }

    async fn forward(&self, message: impl Into<JsonRpcMessage>) -> Reply {
        let mut server = self.inner.clone();
        poll_fn(|cx| server.poll_ready(cx)).await?;
        server.call(message.into()).await
    }

    async fn request(&self, request: JsonRpcRequest) -> Reply {
        let params = request.params.as_ref();
        let own = match request.method.as_str() {
            "initialize" => return self.initialize(request).await,
            "server/discover" => return self.discover(request).await,
            "tools/list" => return self.tools(request).await,
            "subscriptions/listen" => return self.listen(request).await,
            "tools/call" => match params.and_then(|p| p.get("name")).and_then(Value::as_str) {
                Some(name) => self.owns(Target::Tool(name), params).await,
                None => false,
            },
            method => self.owns(Target::Method(method), params).await,
        };
        if own {
            self.own(request).await
        } else {
            self.forward(request).await
        }
    }

    /// Whether a request is answered here, once it is known what the server has itself.
    async fn owns(&self, target: Target<'_>, params: Option<&Value>) -> bool {
        if !self.state.owns(target) {
            return false;
        }
        self.known().await;
        if matches!(target, Target::Tool(_)) {
            self.look_through(params).await;
        }
        self.state.owns(target)
    }

    /// Whether a notification is about a call that is answered here, or in an extension's name.
    fn ends_here(&self, notification: &JsonRpcNotification) -> bool {
        let method = notification.method.as_str();
        if method != "notifications/cancelled" {
            // A request of ours without an id asks for no answer, and a handler without a caller does nothing.
            return self.state.set.notification(method) || self.state.owns(Target::Method(method));
        }
        let params = notification.params.as_ref();
        let asserted = Asserted::of(params);
        let id = params.and_then(|p| p.get("requestId")).cloned();
        let Some(id) = id.and_then(|id| serde_json::from_value::<RequestId>(id).ok()) else {
            return false;
        };
        // Only who opened a session may cancel its calls.
        let owner = asserted.owner();
        let session = asserted.session.as_deref();
        let legacy = session.is_some_and(|id| self.state.session(id, owner.as_deref()).is_some());
        [legacy, false]
            .into_iter()
            .filter_map(|legacy| asserted.key(legacy, &id))
            .any(|key| self.state.cancel(&key))
    }

    async fn own(&self, request: JsonRpcRequest) -> Reply {
        let JsonRpcRequest {
            id, method, params, ..
        } = request;
        match self.answer(&id, &method, params).await {
            Ok(Some(result)) => Ok(Some(respond(id, Ok(result)))),
            Ok(None) => Ok(None),
            Err(Refusal::Rpc(error)) => Ok(Some(respond(id, Err(error)))),
            Err(Refusal::Session(error)) => Err(error),
        }
    }

    /// The result of a request of ours; `None` when it was cancelled.
    async fn answer(
        &self,
        id: &RequestId,
        method: &str,
        params: Option<Value>,
    ) -> Result<Option<JsonObject>, Refusal> {
        let asserted = Asserted::of(params.as_ref());
        let (meta, params) = take_meta(params)?;
        let client = self.client(method, &meta, &asserted).await?;
        let key = asserted.key(client.era == Era::Legacy, id);
        let tracked = self.state.start(key).ok_or_else(duplicate_id)?;
        let running = &tracked.running;
        tokio::select! {
            biased;
            () = running.stop.notified() => Ok(None),
            result = self.run(method, meta, params, client, &asserted, running) => Ok(Some(result?)),
        }
    }

    async fn run(
        &self,
        method: &str,
        mut meta: JsonObject,
        params: JsonObject,
        client: Client,
        asserted: &Asserted,
        running: &Arc<Running>,
    ) -> Result<JsonObject, RpcError> {
        if client.era == Era::Legacy {
            // turbomcp has put it there.
            meta.remove(meta::PROTOCOL_VERSION);
        }
        let name = (method == "tools/call")
            .then(|| params.get("name").and_then(Value::as_str))
            .flatten()
            .map(str::to_owned);
        let target = name.as_deref().map_or(Target::Method(method), Target::Tool);
        let (params, input) = own::open(target, params)?;
        if let (Target::Tool(name), Params::Value(arguments)) = (target, &params) {
            let tool = self.state.set.tool(name);
            let schema = tool.and_then(|tool| tool.listing().get("inputSchema"));
            asserted.check_mirrors(schema, arguments)?;
        }
        let mut incoming = Incoming::new(client.era, target)
            .params(params)
            .session(client.session)
            .principal((self.state.principal)(&asserted.identity))
            .meta(meta);
        incoming.version = client.version;
        incoming.input = input;
        incoming.cancel = Some(running.clone());
        if let Some(connection) = &asserted.connection {
            incoming.notify = Some(Arc::new(Stream(connection.clone())));
        }
        let stamping = match client.era {
            Era::Modern => self.known().await.map(|known| &known.set),
            Era::Legacy => None,
        };
        let set = stamping.unwrap_or(&self.state.set);
        incoming.deadline = Instant::now().checked_add(set.limits().max_duration);
        // Whoever waits drops it when the call is cancelled.
        let answer = set
            .route(incoming)
            .answer(std::future::pending(), tokio::time::sleep);
        answer.await?.into_object()
    }

    /// The era and declaration of a request of ours, once its envelope has been found in order.
    async fn client(
        &self,
        method: &str,
        meta: &JsonObject,
        asserted: &Asserted,
    ) -> Result<Client, Refusal> {
        if is_stateful(meta) {
            return self.session(meta, asserted).await;
        }
        if !meta.contains_key(meta::PROTOCOL_VERSION) {
            return Err(no_session().into());
        }
        let (era, version) = envelope::check(method, meta, self.state.set.protocol(), None)?;
        if let (Some(version), Some(known)) = (version, self.known().await)
            && !known.serves(version)
        {
            return Err(RpcError::new(
                code::UNSUPPORTED_PROTOCOL_VERSION,
                format!("protocol version {} is not served here", version.as_str()),
            )
            .with_data(json!({ "supported": known.versions, "requested": version.as_str() }))
            .into());
        }
        Ok(Client {
            era,
            version,
            session: SessionDeclaration::none(),
        })
    }

    async fn session(&self, meta: &JsonObject, asserted: &Asserted) -> Result<Client, Refusal> {
        let Some(id) = &asserted.session else {
            return Err(no_session().into());
        };
        let (version, session) = match self.state.session(id, asserted.owner().as_deref()) {
            Some(session) => (session.version, session.declared?),
            // Of a session that was opened elsewhere, or forgotten, the server alone knows whether it is one.
            None => match self.ask("tools/list", asserted.asks(meta)).await {
                Err(NoAnswer::Protocol(error)) => return Err(Refusal::Session(error)),
                _ => (None, SessionDeclaration::Unknown),
            },
        };
        Ok(Client {
            era: Era::Legacy,
            version,
            session,
        })
    }

    /// The server's answer to a question of ours.
    async fn ask(&self, method: &str, meta: JsonObject) -> Result<JsonObject, NoAnswer> {
        self.ask_page(method, meta, None).await
    }

    async fn ask_page(
        &self,
        method: &str,
        meta: JsonObject,
        cursor: Option<Value>,
    ) -> Result<JsonObject, NoAnswer> {
        let mut params = json!({ "_meta": meta });
        if let Some(cursor) = cursor {
            params["cursor"] = cursor;
        }
        let id = format!("mcp-ext-turbomcp/{method}");
        let answer = self.forward(JsonRpcRequest::new(id, method, Some(params)));
        match answer.await.map_err(NoAnswer::Protocol)? {
            Some(JsonRpcMessage::Response(response)) => match (response.result, response.error) {
                (Some(Value::Object(result)), _) => Ok(result),
                (_, Some(error)) => Err(NoAnswer::Rpc(error)),
                _ => Err(NoAnswer::None),
            },
            _ => Err(NoAnswer::None),
        }
    }

    /// What the server says of itself; asked until it has answered once.
    async fn known(&self) -> Option<&Known> {
        let asked = self.state.known.get_or_try_init(|| async {
            let mut own = JsonObject::new();
            let version = ProtocolVersion::V2026_07_28.as_str();
            own.insert(meta::PROTOCOL_VERSION.to_owned(), version.into());
            own.insert(meta::CLIENT_CAPABILITIES.to_owned(), json!({}));
            let info = json!({ "name": "mcp-ext-turbomcp", "version": env!("CARGO_PKG_VERSION") });
            own.insert(meta::CLIENT_INFO.to_owned(), info);
            let found = self.ask("server/discover", own).await?;
            let theirs = found.get("capabilities").and_then(|c| c.get("extensions"));
            for (id, _) in theirs.and_then(Value::as_object).into_iter().flatten() {
                self.state.withhold_extension(id);
            }
            let info = found
                .get("_meta")
                .and_then(|m| m.get(meta::SERVER_INFO))
                .cloned();
            let set = self.state.set.clone();
            Ok::<_, NoAnswer>(Known {
                set: match &info {
                    Some(info) => set.with_server_info(info.clone()),
                    None => set,
                },
                info,
                versions: found
                    .get("supportedVersions")
                    .and_then(Value::as_array)
                    .cloned(),
            })
        });
        asked.await.ok()
    }

    async fn initialize(&self, request: JsonRpcRequest) -> Reply {
        // What the server has itself is advertised in the modern era alone, and ours must not be beside it.
        self.known().await;
        let params = request.params.as_ref();
        let asserted = Asserted::of(params);
        let declared = own::declared_in_initialize(&self.state.set, params);
        let mut answer = self.forward(request).await?;
        if let Some(result) = result(&mut answer) {
            let version = result.get("protocolVersion").and_then(Value::as_str);
            let version = version.and_then(ProtocolVersion::parse);
            merge::capabilities(&self.state, result, Era::Legacy, version);
            if let Some(id) = asserted.session.clone() {
                let session = Session::new(version, declared, asserted.owner());
                self.state.open_session(id, session);
            }
        }
        Ok(answer)
    }

    async fn discover(&self, request: JsonRpcRequest) -> Reply {
        let known = self.known().await;
        let mut answer = self.forward(request).await?;
        let version = ProtocolVersion::V2026_07_28;
        // No era is offered that the server does not serve.
        if let Some(result) = result(&mut answer)
            && known.is_none_or(|known| known.serves(version))
        {
            merge::capabilities(&self.state, result, Era::Modern, Some(version));
        }
        Ok(answer)
    }

    /// The server's page of tools with ours after its own on the first.
    async fn tools(&self, request: JsonRpcRequest) -> Reply {
        let asserted = Asserted::of(request.params.as_ref());
        let members = request.params.as_ref();
        let meta = members
            .and_then(|p| p.get("_meta"))
            .and_then(Value::as_object);
        let cursor = members.and_then(|p| p.get("cursor"));
        let first_page = cursor.is_none_or(Value::is_null);
        let session = match (meta, &asserted.session) {
            (Some(meta), Some(id)) if is_stateful(meta) => {
                self.state.session(id, asserted.owner().as_deref())
            }
            _ => None,
        };
        let (era, version) = match meta {
            Some(meta) if is_stateful(meta) => {
                (Era::Legacy, session.as_ref().and_then(|s| s.version))
            }
            _ => (Era::Modern, Some(ProtocolVersion::V2026_07_28)),
        };
        // What is malformed counts as nothing.
        let declared = if self.state.set.filters_lists() {
            let max = self.state.set.limits().max_declared;
            let own = meta
                .and_then(|meta| meta.get(meta::CLIENT_CAPABILITIES))
                .map(|own| declared_in(own, max).ok().flatten().cloned().map(Arc::new));
            own.unwrap_or_else(|| match session.and_then(|s| s.declared.ok()) {
                Some(SessionDeclaration::Known(map)) => map,
                _ => None,
            })
        } else {
            None
        };
        let cx = AmendCx {
            era,
            version,
            declared: Declared::Known(declared.as_deref()),
            first_page,
        };
        let mut answer = self.forward(request).await?;
        if let Some(page) = result(&mut answer) {
            merge::tools(&self.state, page, &cx);
            return Ok(answer);
        }
        if let Some(JsonRpcMessage::Response(response)) = &answer
            && response
                .error
                .as_ref()
                .is_some_and(|e| e.code == code::METHOD_NOT_FOUND)
            && first_page
            && self.state.set.has_tools(era, version)
        {
            // It has no tools, and so no list of them.
            let info = self.known().await.and_then(|known| known.info.as_ref());
            let page = merge::tools_alone(&self.state, info, &cx);
            return Ok(Some(respond(response.id.clone(), Ok(page))));
        }
        Ok(answer)
    }

    /// A listen stream: the server's, or one for it and us.
    async fn listen(&self, request: JsonRpcRequest) -> Reply {
        if !self.state.set.has_listen_notifications() {
            return self.forward(request).await;
        }
        self.known().await;
        let mut theirs = request.clone();
        let params = theirs.params.get_or_insert_with(|| json!({}));
        let filter = listen::take_filter(&self.state, params);
        let asserted = Asserted::of(request.params.as_ref());
        let Some(connection) = asserted.connection.clone().filter(|_| !filter.is_empty()) else {
            return self.forward(request).await;
        };
        let id = request.id.clone();
        let opened = self.open(request, &asserted, &filter).await;
        let (subscription, tracked) = match opened {
            Ok(Some(opened)) => opened,
            // There are no listen streams in sessions.
            Ok(None) => return self.forward(theirs).await,
            Err(Refusal::Rpc(error)) => return Ok(Some(respond(id, Err(error)))),
            Err(Refusal::Session(error)) => return Err(error),
        };
        let own = Theirs::new();
        let mut theirs = JsonRpcMessage::from(theirs);
        let key = internal::CONNECTION_ID;
        set_request_meta(&mut theirs, key, own.connection.as_str().into());
        if let Some(refused) = self.forward(theirs).await? {
            return Ok(Some(refused));
        }
        let stream = listen::Stream {
            id,
            connection,
            subscription,
            theirs: own,
            tracked,
        };
        tokio::spawn(stream.run());
        Ok(None)
    }

    /// A subscription to what is asked of us; `None` in a session.
    async fn open(
        &self,
        request: JsonRpcRequest,
        asserted: &Asserted,
        filter: &JsonObject,
    ) -> Result<Option<(Subscription, Tracked)>, Refusal> {
        let (meta, _) = take_meta(request.params)?;
        let client = self.client(&request.method, &meta, asserted).await?;
        if client.era == Era::Legacy {
            return Ok(None);
        }
        let mut incoming = Incoming::new(client.era, Target::Method(&request.method))
            .principal((self.state.principal)(&asserted.identity))
            .meta(meta);
        incoming.version = client.version;
        let known = self.known().await;
        let set = known.map_or(&self.state.set, |known| &known.set);
        let id = json!(request.id).to_string();
        let tracked = self.state.start(asserted.key(false, &request.id));
        let tracked = tracked.ok_or_else(duplicate_id)?;
        let subscription = set.listen(&incoming, &id, filter)?;
        Ok(Some((subscription, tracked)))
    }

    /// Notes which of our tools the server has itself: they stay its own. Done once, when the first of ours is called.
    async fn look_through(&self, params: Option<&Value>) {
        let looked = self.state.looked.get_or_try_init(|| async {
            let asserted = Asserted::of(params);
            let (meta, _) = take_meta(params.cloned()).map_err(|_| NoAnswer::None)?;
            let mut cursor = None;
            for _ in 0..MAX_PAGES {
                let page = self
                    .ask_page("tools/list", asserted.asks(&meta), cursor)
                    .await;
                let mut page = match page {
                    // It has no tools.
                    Err(NoAnswer::Rpc(error)) if error.code == code::METHOD_NOT_FOUND => break,
                    page => page?,
                };
                let tools = page.get("tools").and_then(Value::as_array);
                let names = tools.into_iter().flatten().map(|tool| &tool["name"]);
                for name in names.filter_map(Value::as_str) {
                    self.state.withhold_tool(name);
                }
                cursor = page.remove("nextCursor").filter(Value::is_string);
                if cursor.is_none() {
                    break;
                }
            }
            Ok::<_, NoAnswer>(())
        });
        // A caller whom the server refuses is refused where his call is opened; the next one asks again.
        let _ = looked.await;
    }
}

/// Why a question of ours got no result.
enum NoAnswer {
    Protocol(ProtocolError),
    Rpc(JsonRpcError),
    None,
}

fn duplicate_id() -> RpcError {
    RpcError::new(
        code::INVALID_REQUEST,
        "a request with this id is still under way",
    )
    .with_data(json!({ "kind": "duplicate_id" }))
}

/// Whether a request says, or turbomcp for it, that it belongs to a session.
fn is_stateful(meta: &JsonObject) -> bool {
    let version = meta.get(meta::PROTOCOL_VERSION).and_then(Value::as_str);
    version.is_some_and(|v| turbomcp_core::ProtocolVersion::from_wire(v).is_stateful())
}

fn result(answer: &mut Option<JsonRpcMessage>) -> Option<&mut JsonObject> {
    match answer {
        Some(JsonRpcMessage::Response(response)) => response.result.as_mut()?.as_object_mut(),
        _ => None,
    }
}

fn respond(id: RequestId, result: Result<JsonObject, RpcError>) -> JsonRpcMessage {
    match result {
        Ok(result) => JsonRpcResponse::success(id, Value::Object(result)).into(),
        Err(error) => {
            let error = JsonRpcError {
                code: error.code,
                message: error.message,
                data: error.data,
            };
            JsonRpcResponse::error(id, error).into()
        }
    }
}
