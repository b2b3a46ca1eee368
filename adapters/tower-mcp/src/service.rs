//! One request on its way through the layer.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::{
    BoxFuture, CancelSignal, Declared, Incoming, Input, Notifier, NotifyError, Params, Principal,
    SessionDeclaration, Target,
};
use mcp_ext_core::wire::{JsonObject, code, meta};
use mcp_ext_core::{AmendCx, ExtensionSet, RpcError};
use serde_json::{Value, json};
use tower_mcp::context::{Extensions, RequestContext};
use tower_mcp::protocol::{
    CacheScope, CallToolParams, ClientCapabilities, DiscoverParams, ListToolsParams, McpRequest,
    McpResponse, ProgressToken, RequestId, ServerCapabilities, ToolsCapability,
};
use tower_mcp::router::{RouterRequest, RouterResponse};
use tower_mcp::stateless::StatelessRequestMeta;
use tower_mcp::{JsonRpcError, McpRouter};
use tower_service::Service;

use crate::Shared;

/// Most pages of the router's own tools that are looked through for names of ours.
const MAX_PAGES: usize = 100;

/// How long a report of progress waits for tower-mcp to send it.
const OVERTAKEN: Duration = Duration::from_millis(1);

/// A router with extensions in front of it: a `tower` service of tower-mcp's requests.
#[derive(Clone)]
pub struct ExtensionsService {
    shared: Arc<Shared>,
    router: McpRouter,
}

impl std::fmt::Debug for ExtensionsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExtensionsService")
            .field("set", &self.shared.set)
            .finish_non_exhaustive()
    }
}

impl Service<RouterRequest> for ExtensionsService {
    type Response = RouterResponse;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<RouterResponse, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.router.poll_ready(cx)
    }

    fn call(&mut self, request: RouterRequest) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

/// The era of a request, its revision, and what its client declared for the session.
struct Client {
    era: Era,
    version: Option<ProtocolVersion>,
    session: SessionDeclaration,
}

impl Client {
    /// tower-mcp marks requests of the modern era by the `_meta` it has read. `None`: a legacy request without a
    /// session, which is the router's to refuse.
    fn of(extensions: &Extensions, router: &McpRouter) -> Option<Self> {
        let modern = extensions
            .get::<StatelessRequestMeta>()
            .and_then(|meta| meta.protocol_version.as_deref());
        if let Some(version) = modern {
            return Some(Self {
                era: Era::Modern,
                version: ProtocolVersion::parse(version),
                session: SessionDeclaration::none(),
            });
        }
        if !router.session().is_initialized() {
            return None;
        }
        let declared = router
            .session()
            .get::<ClientCapabilities>()
            .and_then(|capabilities| capabilities.extensions)
            .map(|extensions| Arc::new(extensions.into_iter().collect()));
        Some(Self {
            era: Era::Legacy,
            version: None,
            session: SessionDeclaration::Known(declared),
        })
    }
}

/// A request of ours, taken apart.
struct Own<'a> {
    target: Target<'a>,
    params: Params<'a>,
    meta: JsonObject,
    input: Option<Box<Input>>,
}

impl ExtensionsService {
    pub(crate) fn new(shared: Arc<Shared>, router: McpRouter) -> Self {
        Self { shared, router }
    }

    fn set(&self) -> &ExtensionSet {
        &self.shared.set
    }

    async fn answer(mut self, request: RouterRequest) -> RouterResponse {
        let client = Client::of(&request.extensions, &self.router);
        match (&request.inner, client) {
            (McpRequest::Unknown { method, .. }, Some(client))
                if self.set().owns(Target::Method(method)) =>
            {
                self.own_method(request, client).await
            }
            (McpRequest::CallTool(params), Some(client))
                if self.set().owns(Target::Tool(&params.name))
                    && !self.taken(&request.extensions).await.contains(&params.name) =>
            {
                self.own_tool(request, client).await
            }
            (McpRequest::ListTools(_), Some(client)) => self.tools(request, client).await,
            (McpRequest::Initialize(_) | McpRequest::Discover(_), _) => {
                self.capabilities(request).await
            }
            _ => self.forward(request).await,
        }
    }

    async fn forward(&mut self, request: RouterRequest) -> RouterResponse {
        match self.router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn own_method(&self, request: RouterRequest, client: Client) -> RouterResponse {
        let RouterRequest {
            id,
            inner,
            extensions,
        } = request;
        let McpRequest::Unknown { method, params } = inner else {
            return respond(id, Err(RpcError::method_not_found("")));
        };
        let opened = take_meta(params).map(|(params, meta)| Own {
            target: Target::Method(&method),
            params,
            meta,
            input: None,
        });
        let result = match opened {
            Ok(own) => self.run(&id, own, client, &extensions).await,
            Err(error) => Err(error),
        };
        respond(id, result)
    }

    async fn own_tool(&self, request: RouterRequest, client: Client) -> RouterResponse {
        let RouterRequest {
            id,
            inner,
            extensions,
        } = request;
        let McpRequest::CallTool(params) = inner else {
            return respond(id, Err(RpcError::method_not_found("")));
        };
        let CallToolParams {
            name,
            arguments,
            input_responses,
            request_state,
            meta,
            ..
        } = params;
        let input = match (input_responses, request_state) {
            (None, None) => Ok(None),
            (responses, state) => Input::read(
                responses.and_then(|r| serde_json::to_value(r).ok()),
                state.map(Value::String),
            )
            .map(|input| Some(Box::new(input))),
        };
        let result = match input {
            Ok(input) => {
                let own = Own {
                    target: Target::Tool(&name),
                    params: match arguments {
                        Value::Null => Params::None,
                        arguments => Params::Value(arguments),
                    },
                    // tower-mcp has kept what the protocol defines, and nothing else.
                    meta: object(meta.and_then(|meta| serde_json::to_value(meta).ok())),
                    input,
                };
                self.run(&id, own, client, &extensions).await
            }
            Err(error) => Err(error),
        };
        respond(id, result)
    }

    async fn run(
        &self,
        id: &RequestId,
        own: Own<'_>,
        client: Client,
        extensions: &Extensions,
    ) -> Result<JsonObject, RpcError> {
        let tracked = Tracked::start(&self.router, id, own.meta.get(meta::PROGRESS_TOKEN));
        let mut incoming = Incoming::new(client.era, own.target)
            .params(own.params)
            .session(client.session)
            .principal(self.principal(extensions))
            .meta(own.meta);
        incoming.version = client.version;
        incoming.input = own.input;
        incoming.cancel = Some(Arc::new(Sender(tracked.context.clone())));
        incoming.notify = Some(Arc::new(Sender(tracked.context.clone())));
        let set = self.stamping(client.era, extensions).await;
        incoming.deadline = Instant::now().checked_add(set.limits().max_duration);
        let answer = set
            .route(incoming)
            .answer(tracked.context.cancelled(), tokio::time::sleep);
        answer.await?.into_object()
    }

    fn principal(&self, extensions: &Extensions) -> Option<Principal> {
        (self.shared.principal)(extensions)
    }

    /// The set, stamping who the server is on modern answers as the router does on its own. The router tells it in its
    /// answer to `server/discover`; it is asked once.
    async fn stamping(&self, era: Era, extensions: &Extensions) -> &ExtensionSet {
        if era == Era::Legacy {
            return self.set();
        }
        self.shared
            .stamping
            .get_or_init(|| async {
                let request = RouterRequest {
                    id: RequestId::String("mcp-ext-discover".to_owned()),
                    inner: McpRequest::Discover(DiscoverParams { meta: None }),
                    extensions: extensions.clone(),
                };
                let Ok(answer) = self.router.clone().call(request).await;
                let info = match answer.inner {
                    Ok(McpResponse::Discover(found)) => {
                        found.meta.and_then(|meta| meta.server_info)
                    }
                    _ => None,
                };
                match info.and_then(|info| serde_json::to_value(info).ok()) {
                    Some(info) => self.set().clone().with_server_info(info),
                    None => self.set().clone(),
                }
            })
            .await
    }

    /// The router's answer with what we advertise. The router declares our extensions too, for its own handlers: that
    /// is taken back where an extension does not cover the client's revision.
    async fn capabilities(&mut self, request: RouterRequest) -> RouterResponse {
        let mut response = self.forward(request).await;
        match &mut response.inner {
            Ok(McpResponse::Initialize(result)) => {
                let version = ProtocolVersion::parse(&result.protocol_version);
                self.advertise(&mut result.capabilities, Era::Legacy, version);
            }
            Ok(McpResponse::Discover(result)) => {
                let version = Some(ProtocolVersion::V2026_07_28);
                self.advertise(&mut result.capabilities, Era::Modern, version);
            }
            _ => {}
        }
        response
    }

    fn advertise(
        &self,
        capabilities: &mut ServerCapabilities,
        era: Era,
        version: Option<ProtocolVersion>,
    ) {
        let set = self.set();
        let mut extensions = capabilities.extensions.take().unwrap_or_default();
        for contract in set.contracts() {
            extensions.remove(contract.id.as_str());
        }
        extensions.extend(set.advertisement(era, version));
        capabilities.extensions = (!extensions.is_empty()).then_some(extensions);
        if set.has_tools(era, version) {
            capabilities
                .tools
                .get_or_insert_with(ToolsCapability::default);
        }
    }

    /// The router's page of tools with ours after its own on the first.
    async fn tools(&mut self, request: RouterRequest, client: Client) -> RouterResponse {
        let (first_page, own_meta) = match &request.inner {
            McpRequest::ListTools(params) => (
                params.cursor.is_none(),
                params
                    .meta
                    .as_ref()
                    .and_then(|meta| serde_json::to_value(meta).ok()),
            ),
            _ => (true, None),
        };
        let asked = Incoming::new(client.era, Target::Method("tools/list"))
            .session(client.session)
            .meta(object(own_meta));
        let max = self.set().limits().max_declared;
        let declared = if self.set().filters_lists() {
            match asked.declared(max) {
                Ok(declared) => declared,
                Err(error) => return respond(request.id, Err(error)),
            }
        } else {
            Declared::Known(None)
        };
        let mut response = self.forward(request).await;
        let Ok(McpResponse::ListTools(page)) = &mut response.inner else {
            return response;
        };
        let listing = self.set().listing(&AmendCx {
            era: client.era,
            version: client.version,
            declared,
            first_page,
        });
        for tool in listing.tools {
            if page.tools.iter().any(|theirs| theirs.name == tool.name()) {
                self.set().withheld_tool(tool.name());
            } else if let Ok(tool) = serde_json::from_value(Value::Object(tool.listing().clone())) {
                page.tools.push(tool);
            }
        }
        if listing.per_client && client.era == Era::Modern {
            page.cache_scope = Some(CacheScope::Private);
            page.ttl_ms = Some(0);
        }
        response
    }

    /// The router's own tools that have names of ours: they stay its own. Asked for once, when the first tool of ours is
    /// called.
    async fn taken(&self, extensions: &Extensions) -> &BTreeSet<String> {
        self.shared
            .taken
            .get_or_init(|| async {
                let mut taken = BTreeSet::new();
                let mut cursor = None;
                let mut router = self.router.clone();
                for page in 0..MAX_PAGES {
                    let request = RouterRequest {
                        id: RequestId::String(format!("mcp-ext-tools-{page}")),
                        inner: McpRequest::ListTools(ListToolsParams { cursor, meta: None }),
                        extensions: extensions.clone(),
                    };
                    let Ok(RouterResponse {
                        inner: Ok(McpResponse::ListTools(found)),
                        ..
                    }) = router.call(request).await
                    else {
                        break;
                    };
                    let names = found.tools.into_iter().map(|tool| tool.name);
                    taken.extend(names.filter(|name| self.set().owns(Target::Tool(name))));
                    cursor = found.next_cursor;
                    if cursor.is_none() {
                        break;
                    }
                }
                for name in &taken {
                    self.set().withheld_tool(name);
                }
                taken
            })
            .await
    }
}

/// A call that tower-mcp can cancel and report progress for, for as long as this lives.
struct Tracked<'a> {
    router: &'a McpRouter,
    id: &'a RequestId,
    context: RequestContext,
}

impl<'a> Tracked<'a> {
    fn start(router: &'a McpRouter, id: &'a RequestId, token: Option<&Value>) -> Self {
        let token = match token {
            Some(Value::String(token)) => Some(ProgressToken::String(token.clone())),
            Some(Value::Number(token)) => token.as_i64().map(ProgressToken::Number),
            _ => None,
        };
        Self {
            router,
            id,
            context: router.create_context(id.clone(), token),
        }
    }
}

impl Drop for Tracked<'_> {
    fn drop(&mut self) {
        self.router.complete_request(self.id);
    }
}

struct Sender(RequestContext);

impl CancelSignal for Sender {
    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl Notifier for Sender {
    fn notify<'a>(
        &'a self,
        method: &'a str,
        params: JsonObject,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(async move {
            // tower-mcp sends notifications of its own types alone.
            let (Some(done), "notifications/progress") =
                (params.get("progress").and_then(Value::as_f64), method)
            else {
                return Err(NotifyError::Unsupported);
            };
            let total = params.get("total").and_then(Value::as_f64);
            let message = params.get("message").and_then(Value::as_str);
            self.0.report_progress(done, total, message).await;
            // tower-mcp sends it from a queue of its own, which an answer that is ready at once would overtake.
            tokio::time::sleep(OVERTAKEN).await;
            Ok(())
        })
    }
}

/// Splits `_meta` off the params of a method, which tower-mcp leaves in.
fn take_meta<'a>(params: Option<Value>) -> Result<(Params<'a>, JsonObject), RpcError> {
    match params {
        None | Some(Value::Null) => Ok((Params::None, JsonObject::new())),
        Some(Value::Object(mut params)) => match params.remove("_meta") {
            None => Ok((Params::Value(Value::Object(params)), JsonObject::new())),
            Some(Value::Object(meta)) => Ok((Params::Value(Value::Object(params)), meta)),
            Some(_) => Err(RpcError::new(
                code::INVALID_PARAMS,
                "_meta is malformed: expected an object",
            )
            .with_data(json!({ "kind": "malformed_meta", "pointer": "/params/_meta", "expected": "an object" }))
            .in_envelope()),
        },
        Some(other) => Ok((Params::Value(other), JsonObject::new())),
    }
}

fn object(value: Option<Value>) -> JsonObject {
    match value {
        Some(Value::Object(object)) => object,
        _ => JsonObject::new(),
    }
}

fn respond(id: RequestId, result: Result<JsonObject, RpcError>) -> RouterResponse {
    RouterResponse {
        id,
        inner: match result {
            Ok(result) => Ok(McpResponse::Raw(Value::Object(result))),
            Err(error) => Err(JsonRpcError {
                code: error.code,
                message: error.message,
                data: error.data,
            }),
        },
    }
}
