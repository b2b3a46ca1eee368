//! A rust-mcp-sdk server for the acceptance set of the workspace above, with the extension in front of it or not.
//!
//! ```text
//! acceptance plain|adapter [--http] [--filter]
//! ```
//!
//! What listens says `serving http://...` on standard error, and ends when standard input does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::response::{IntoResponse, Response};
use mcp_ext_core::ExtensionSet;
use mcp_ext_rust_mcp_sdk::{HttpContext, with_extensions};
use rust_mcp_sdk::id_generator::{FastIdGenerator, UuidGenerator};
use rust_mcp_sdk::mcp_http::http::StatusCode;
use rust_mcp_sdk::mcp_http::{DEFAULT_MAX_LISTEN_STREAMS, McpAppState, McpHttpHandler};
use rust_mcp_sdk::mcp_server::{
    McpServerHandler, McpServerOptions, ServerHandler, ToMcpServerHandler, server_runtime,
};
use rust_mcp_sdk::schema::schema_utils::CallToolError;
use rust_mcp_sdk::schema::{
    CallToolRequestParams, CallToolResult, ListToolsResult, ListToolsResultCacheScope,
    PaginatedRequestParams, RpcError, ServerCapabilities, ServerCapabilitiesTools, ServerResult,
    TextContent,
};
use rust_mcp_sdk::{McpServer, RequestContext, ServerDetails, StdioTransport, TransportOptions};
use serde_json::{Value, json};

#[path = "../../../tests/acceptance/src/extension.rs"]
mod extension;
#[path = "../../../tests/acceptance/src/listen.rs"]
mod listen;

type Error = Box<dyn std::error::Error>;

/// Most bytes of a body.
const MAX_BODY: usize = 16 << 20;

struct Plain;

#[async_trait]
impl ServerHandler for Plain {
    async fn handle_list_tools_request(
        &self,
        _: Option<PaginatedRequestParams>,
        _: &RequestContext,
        _: Arc<dyn McpServer>,
    ) -> Result<ListToolsResult, RpcError> {
        let number = json!({ "type": "integer" });
        let add = serde_json::from_value(json!({
            "name": "add",
            "description": "Adds two numbers",
            "inputSchema": { "type": "object", "properties": { "a": number, "b": number }, "required": ["a", "b"] },
        }));
        Ok(ListToolsResult {
            cache_scope: ListToolsResultCacheScope::Public,
            meta: None,
            next_cursor: None,
            result_type: "complete".to_owned(),
            tools: add.into_iter().collect(),
            ttl_ms: 60_000,
        })
    }

    async fn handle_call_tool_request(
        &self,
        params: CallToolRequestParams,
        _: &RequestContext,
        _: Arc<dyn McpServer>,
    ) -> Result<ServerResult, CallToolError> {
        let number = |name: &str| {
            let arguments = params.arguments.as_ref();
            arguments.and_then(|a| a.get(name)).and_then(Value::as_i64)
        };
        let text = match (&*params.name, number("a"), number("b")) {
            ("add", Some(a), Some(b)) => (a + b).to_string(),
            ("add", ..) => return Err(CallToolError::from_message("a and b must be integers")),
            _ => return Err(CallToolError::unknown_tool(params.name)),
        };
        let text = TextContent::new(text, None, None);
        Ok(CallToolResult::text_content(vec![text]).into())
    }
}

fn details() -> Result<ServerDetails, Error> {
    Ok(ServerDetails {
        server_info: serde_json::from_value(json!({ "name": "their-server", "version": "3" }))?,
        capabilities: ServerCapabilities {
            tools: Some(ServerCapabilitiesTools { list_changed: None }),
            ..ServerCapabilities::default()
        },
        instructions: None,
        meta: None,
    })
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|a| a == name);
    let (http, filter) = (flag("--http"), flag("--filter"));
    let set = match arguments.first().map(String::as_str) {
        Some("plain") => ExtensionSet::builder().build()?,
        Some("adapter") => extension::set(filter)?,
        other => return Err(format!("plain or adapter, not {other:?}").into()),
    };
    let handler = Plain.to_mcp_server_handler();
    // An empty set changes nothing, but the server alone is to be the server alone.
    if set.is_empty() {
        let http_handler = McpHttpHandler::new(Vec::new(), None);
        return serve(handler, http.then_some(http_handler)).await;
    }
    let handler = Arc::new(with_extensions(handler, set));
    let http_handler = McpHttpHandler::new(vec![Arc::new(HttpContext)], None);
    serve(handler, http.then_some(http_handler)).await
}

async fn serve(
    handler: Arc<dyn McpServerHandler>,
    http: Option<McpHttpHandler>,
) -> Result<(), Error> {
    let Some(http) = http else {
        let server = server_runtime::create_server(McpServerOptions {
            server_details: details()?,
            transport: StdioTransport::new(TransportOptions::default())?,
            handler,
            message_observer: None,
        });
        return Ok(server.start().await?);
    };
    let state = Arc::new(McpAppState {
        id_generator: Arc::new(UuidGenerator {}),
        stream_id_gen: Arc::new(FastIdGenerator::new(None)),
        server_details: Arc::new(details()?),
        handler,
        ping_interval: Duration::from_secs(10),
        transport_options: Arc::default(),
        enable_json_response: false,
        message_observer: None,
        extensions: Arc::default(),
        active_listen_streams: Arc::default(),
        max_listen_streams: DEFAULT_MAX_LISTEN_STREAMS,
    });
    let http = Arc::new(http);
    let answer = move |request| answer(http.clone(), state.clone(), request);
    let router = axum::Router::new().route("/mcp", axum::routing::any(answer));
    let listened = listen::listen(router, "/mcp").await;
    listened.map_err(|error| error as Error)
}

async fn answer(
    http: Arc<McpHttpHandler>,
    state: Arc<McpAppState>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let Ok(body) = std::str::from_utf8(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let request =
        McpHttpHandler::create_request(parts.method, parts.uri, parts.headers, Some(body));
    match http.handle_streamable_http(request, state).await {
        Ok(answer) => answer.map(axum::body::Body::new),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
