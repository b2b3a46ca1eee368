//! The handler: what the set answers or amends, and everything else handed on.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::{Declared, Incoming, SessionDeclaration, Target};
use mcp_ext_core::wire::{JsonObject, code, meta};
use mcp_ext_core::{AmendCx, ExtensionSet};
use rust_mcp_sdk::McpServer;
use rust_mcp_sdk::error::SdkResult;
use rust_mcp_sdk::mcp_server::McpServerHandler;
use rust_mcp_sdk::schema::schema_utils::{ClientJsonrpcNotification, ClientJsonrpcRequest};
use rust_mcp_sdk::schema::{
    CallToolRequest, ClientCapabilities, ClientRequest, DiscoverRequest, JsonrpcRequest,
    ListToolsRequest, PaginatedRequestParams, RequestId, RequestMetaObject, RpcError, ServerResult,
};
use rust_mcp_sdk::tool_param_headers::ToolParamHeader;
use serde_json::{Value, json};

use crate::{ExtensionsHandler, context, typed};

/// Most pages of the server's own tools that are looked through for names of ours.
const MAX_PAGES: usize = 100;

type Answer = Result<ServerResult, RpcError>;

#[async_trait]
impl McpServerHandler for ExtensionsHandler {
    async fn handle_request(
        &self,
        request: ClientJsonrpcRequest,
        runtime: Arc<dyn McpServer>,
    ) -> Answer {
        match request {
            ClientJsonrpcRequest::Standard(request) => self.known(request, None, runtime).await,
            ClientJsonrpcRequest::Custom(request) => self.unknown(request, runtime).await,
        }
    }

    async fn handle_error(&self, error: &RpcError, runtime: Arc<dyn McpServer>) -> SdkResult<()> {
        self.inner.handle_error(error, runtime).await
    }

    async fn handle_notification(
        &self,
        notification: ClientJsonrpcNotification,
        runtime: Arc<dyn McpServer>,
    ) -> SdkResult<()> {
        let ours = match &notification {
            ClientJsonrpcNotification::CancelledNotification(cancelled) => self
                .calls
                .cancel(&runtime, cancelled.params.request_id.clone()),
            ClientJsonrpcNotification::CustomNotification(custom) => {
                self.set.notification(&custom.method)
            }
        };
        if ours {
            return Ok(());
        }
        self.inner.handle_notification(notification, runtime).await
    }

    fn tool_header_annotations(&self, tool_name: &str) -> Vec<ToolParamHeader> {
        self.inner.tool_header_annotations(tool_name)
    }
}

impl ExtensionsHandler {
    fn set(&self) -> &ExtensionSet {
        &self.set
    }

    /// A request that rust-mcp-sdk has a type for. `own_meta` is its `_meta` where the type has lost some of it.
    async fn known(
        &self,
        request: ClientRequest,
        own_meta: Option<JsonObject>,
        runtime: Arc<dyn McpServer>,
    ) -> Answer {
        let own_meta = own_meta.unwrap_or_else(|| typed::object(typed::meta_of(&request)));
        match request {
            ClientRequest::CallToolRequest(request)
                if self.owns_tool(&request.params.name, &runtime).await =>
            {
                let CallToolRequest { id, params, .. } = request;
                let params = typed::object(&params);
                self.own(id, "tools/call", Some(params), runtime).await
            }
            ClientRequest::ListToolsRequest(request) => {
                self.tools(request, own_meta, runtime).await
            }
            ClientRequest::DiscoverRequest(request) => self.capabilities(request, runtime).await,
            other => {
                let other = ClientJsonrpcRequest::Standard(other);
                self.hand_on(other, &own_meta, runtime).await
            }
        }
    }

    /// A request that it has none for: a method of an extension, or one of the core protocol that its types cannot hold.
    async fn unknown(&self, request: JsonrpcRequest, runtime: Arc<dyn McpServer>) -> Answer {
        let params = request.params.as_ref();
        let ours = if request.method == "tools/call" {
            match params.and_then(|params| params.get("name")) {
                Some(Value::String(name)) => self.owns_tool(name, &runtime).await,
                _ => false,
            }
        } else {
            self.set().owns(Target::Method(&request.method))
        };
        if ours {
            let JsonrpcRequest {
                id, method, params, ..
            } = request;
            return self.own(id, &method, params, runtime).await;
        }
        match typed::read(request) {
            Ok((request, own_meta)) => self.known(request, Some(own_meta), runtime).await,
            Err(request) => {
                let own_meta = match request.params.as_ref().and_then(|p| p.get("_meta")) {
                    Some(Value::Object(own_meta)) => own_meta.clone(),
                    _ => JsonObject::new(),
                };
                let request = ClientJsonrpcRequest::Custom(request);
                self.hand_on(request, &own_meta, runtime).await
            }
        }
    }

    /// Has a request of the server's own answered by it, where it can read what was negotiated.
    async fn hand_on(
        &self,
        request: ClientJsonrpcRequest,
        own_meta: &JsonObject,
        runtime: Arc<dyn McpServer>,
    ) -> Answer {
        let version = match own_meta.get(meta::PROTOCOL_VERSION) {
            Some(Value::String(version)) => ProtocolVersion::parse(version),
            _ => None,
        };
        let session = SessionDeclaration::none();
        let negotiated = self.set.negotiated(Era::Modern, version, own_meta, session);
        let answer = self.inner.handle_request(request, runtime);
        context::with_negotiated(negotiated, answer).await
    }

    async fn forward(&self, request: ClientRequest, runtime: Arc<dyn McpServer>) -> Answer {
        let request = ClientJsonrpcRequest::Standard(request);
        self.inner.handle_request(request, runtime).await
    }

    /// The server's answer with what we advertise.
    async fn capabilities(&self, request: DiscoverRequest, runtime: Arc<dyn McpServer>) -> Answer {
        let cx = AmendCx {
            era: Era::Modern,
            version: ProtocolVersion::parse(&request.params.meta.protocol_version),
            declared: Declared::Known(None),
            first_page: true,
        };
        let answer = self
            .forward(ClientRequest::DiscoverRequest(request), runtime)
            .await?;
        Ok(self.amend("server/discover", answer, &cx))
    }

    /// The server's page of tools with ours after its own on the first.
    async fn tools(
        &self,
        request: ListToolsRequest,
        own_meta: JsonObject,
        runtime: Arc<dyn McpServer>,
    ) -> Answer {
        let version = ProtocolVersion::parse(&request.params.meta.protocol_version);
        let asked = Incoming::new(Era::Modern, Target::Method("tools/list")).meta(own_meta);
        let declared = if self.set().filters_lists() {
            asked
                .declared(self.set().limits().max_declared)
                .map_err(typed::error)?
        } else {
            Declared::Known(None)
        };
        let cx = AmendCx {
            era: Era::Modern,
            version,
            declared,
            first_page: request.params.cursor.is_none(),
        };
        let answer = self
            .forward(ClientRequest::ListToolsRequest(request), runtime)
            .await;
        let page = match answer {
            // A server without tools has no such method; with ours there is one.
            Err(error)
                if error.code == i64::from(code::METHOD_NOT_FOUND)
                    && self.set().has_tools(Era::Modern, version) =>
            {
                let page = json!({ "tools": [], "cacheScope": "private", "ttlMs": 0 });
                typed::raw(typed::object(&page))
            }
            answer => answer?,
        };
        Ok(self.amend("tools/list", page, &cx))
    }

    fn amend(&self, method: &str, answer: ServerResult, cx: &AmendCx<'_>) -> ServerResult {
        if self.set().is_empty() {
            return answer;
        }
        let mut result = typed::object(&answer);
        self.set().amend(method, &mut result, cx);
        typed::raw(result)
    }

    /// Whether calls of this tool are ours: it is in the set, and the server has none of its name.
    async fn owns_tool(&self, name: &str, runtime: &Arc<dyn McpServer>) -> bool {
        if !self.set().owns(Target::Tool(name)) {
            return false;
        }
        let taken = self.taken.get_or_try_init(|| self.look_for_taken(runtime));
        // Until the server has told its tools none is taken.
        !taken.await.is_ok_and(|taken| taken.contains(name))
    }

    /// The server's own tools that have names of ours: they stay its own. Asked for once, when the first tool of ours is
    /// called.
    async fn look_for_taken(
        &self,
        runtime: &Arc<dyn McpServer>,
    ) -> Result<BTreeSet<String>, RpcError> {
        let mut taken = BTreeSet::new();
        let mut cursor = None;
        for page in 0..MAX_PAGES {
            let version = ProtocolVersion::V2026_07_28.as_str().to_owned();
            let request = ListToolsRequest::new(
                RequestId::String(format!("mcp-ext-tools-{page}")),
                PaginatedRequestParams {
                    cursor,
                    meta: RequestMetaObject::new(version, ClientCapabilities::default()),
                },
            );
            let request = ClientRequest::ListToolsRequest(request);
            let found = match self.forward(request, runtime.clone()).await {
                Ok(found) => typed::object(&found),
                Err(error) if error.code == i64::from(code::METHOD_NOT_FOUND) => break,
                Err(error) => return Err(error),
            };
            let tools = found.get("tools").and_then(Value::as_array);
            let names = tools
                .into_iter()
                .flatten()
                .filter_map(|tool| tool.get("name"))
                .filter_map(Value::as_str);
            taken.extend(
                names
                    .filter(|name| self.set().owns(Target::Tool(name)))
                    .map(str::to_owned),
            );
            cursor = found
                .get("nextCursor")
                .and_then(Value::as_str)
                .map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        for name in &taken {
            self.set().withheld_tool(name);
        }
        Ok(taken)
    }
}
