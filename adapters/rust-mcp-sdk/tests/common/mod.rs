//! An extension, a rust-mcp-sdk server that knows nothing of it, and ways to talk to both.
#![allow(dead_code, missing_docs)]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mcp_ext_core::{
    Cx, ExtensionError, ExtensionSet, NoParams, ToolCx, extension, handlers, settings,
};
use rust_mcp_sdk::mcp_server::ServerHandler;
use rust_mcp_sdk::schema::schema_utils::{CallToolError, CustomRequest};
use rust_mcp_sdk::schema::{
    CallToolRequestParams, CallToolResult, CancelledNotificationParams, GenericResult,
    Implementation, ListToolsResult, ListToolsResultCacheScope, PaginatedRequestParams, RpcError,
    ServerCapabilities, ServerResult, TextContent,
};
use rust_mcp_sdk::{McpServer, RequestContext, ServerDetails};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

// ---- the extension -----------------------------------------------------------------------------------------------

#[settings]
#[derive(Debug)]
pub struct ShelfSettings {
    #[negotiate(min)]
    pub most: Option<u32>,
    #[negotiate(equal)]
    pub room: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    pub title: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    pub title: String,
    pub most: Option<u32>,
    pub who: Option<String>,
    pub seen: Option<String>,
    pub notified: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    pub title: String,
}

#[derive(Debug, ExtensionError)]
pub enum ShelfError {
    /// There is no such book.
    #[error(code = 4100, "no book {title}")]
    NoBook { title: String },
}

/// Looks for books.
#[extension(id = "com.example/shelf", revision = "2026-11-01", settings = ShelfSettings)]
pub trait Shelf {
    /// Finds a book.
    #[method]
    async fn find(&self, cx: &Cx<ShelfExtension>, params: Wanted) -> Result<Found, ShelfError>;

    /// Opens a book, by the header too.
    #[method(mcp_name = "/title")]
    async fn open(&self, cx: &Cx<ShelfExtension>, params: Wanted) -> Result<Found, ShelfError>;

    /// Borrows a book.
    #[tool(hints(read_only))]
    async fn borrow_book(
        &self,
        cx: &ToolCx<ShelfExtension>,
        args: Wanted,
    ) -> Result<Found, ShelfError>;

    /// Returns a book.
    #[tool(gated)]
    async fn return_book(&self, cx: &Cx<ShelfExtension>, args: Wanted)
    -> Result<Found, ShelfError>;

    /// A book was moved while this request ran.
    #[notification]
    fn moved(params: Moved);
}

/// Terms of the older era.
#[extension(id = "com.example/legacy-only", protocol(max = "2025-11-25"))]
pub trait Terms {
    /// Lists terms.
    #[method]
    async fn terms(
        &self,
        cx: &Cx<TermsExtension>,
        params: NoParams,
    ) -> Result<NoParams, Infallible>;
}

#[derive(Default)]
pub struct Library {
    pub started: AtomicUsize,
    pub dropped: AtomicUsize,
}

struct Dropped<'a>(&'a Library);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Library {
    async fn look(&self, title: String) -> Result<Found, ShelfError> {
        self.started.fetch_add(1, Ordering::SeqCst);
        let _dropped = Dropped(self);
        match &*title {
            "missing" => Err(ShelfError::NoBook { title }),
            "hang" => std::future::pending().await,
            "panic" => panic!("as asked"),
            _ => Ok(Found {
                title,
                most: None,
                who: None,
                seen: None,
                notified: None,
            }),
        }
    }
}

#[derive(Clone, Default)]
pub struct Desk(pub Arc<Library>);

#[handlers]
impl Shelf for Desk {
    async fn find(&self, cx: &Cx<ShelfExtension>, params: Wanted) -> Result<Found, ShelfError> {
        let mut found = self.0.look(params.title).await?;
        found.most = cx.settings().most;
        found.who = cx.principal().map(|p| p.id().to_owned());
        found.seen = cx.meta().get("com.example/seen").map(Value::to_string);
        Ok(found)
    }
    async fn open(&self, _: &Cx<ShelfExtension>, params: Wanted) -> Result<Found, ShelfError> {
        self.0.look(params.title).await
    }
    async fn borrow_book(
        &self,
        cx: &ToolCx<ShelfExtension>,
        args: Wanted,
    ) -> Result<Found, ShelfError> {
        cx.progress(1.0, Some(2.0), Some("looking")).await.ok();
        let mut notified = None;
        if let Some(active) = cx.active() {
            let title = args.title.clone();
            let sent = active.moved(Moved { title }).await;
            notified = Some(sent.map_or_else(|error| format!("{error:?}"), |()| "sent".into()));
        }
        let mut found = self.0.look(args.title).await?;
        found.most = cx.settings().most;
        found.seen = cx.meta().get("com.example/seen").map(Value::to_string);
        found.notified = notified;
        Ok(found)
    }
    async fn return_book(&self, _: &Cx<ShelfExtension>, args: Wanted) -> Result<Found, ShelfError> {
        self.0.look(args.title).await
    }
}

#[handlers]
impl Terms for Desk {
    async fn terms(
        &self,
        _: &Cx<TermsExtension>,
        params: NoParams,
    ) -> Result<NoParams, Infallible> {
        Ok(params)
    }
}

pub const FIND: &str = "com.example/shelf/find";

pub fn set(desk: &Desk) -> ExtensionSet {
    ExtensionSet::builder()
        .enable(
            ShelfExtension::provide(desk.clone()).settings(ShelfSettings {
                most: Some(10),
                room: Some("main".into()),
            }),
        )
        .enable(TermsExtension::provide(desk.clone()))
        .build()
        .unwrap()
}

// ---- the server --------------------------------------------------------------------------------------------------

/// Adds numbers. Its tools come on two pages.
#[derive(Default)]
pub struct Plain {
    /// A further tool.
    pub also: Option<&'static str>,
    /// Cancellations that reached it.
    pub cancelled: Arc<AtomicUsize>,
}

fn tool(name: &str) -> rust_mcp_sdk::schema::Tool {
    serde_json::from_value(json!({
        "name": name,
        "description": "Theirs",
        "inputSchema": {"type": "object", "additionalProperties": false, "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    }))
    .unwrap()
}

#[async_trait]
impl ServerHandler for Plain {
    async fn handle_list_tools_request(
        &self,
        params: Option<PaginatedRequestParams>,
        _: &RequestContext,
        _: Arc<dyn McpServer>,
    ) -> Result<ListToolsResult, RpcError> {
        let first = params.is_none_or(|params| params.cursor.is_none());
        let names = if first { Some("add") } else { self.also };
        Ok(ListToolsResult {
            cache_scope: ListToolsResultCacheScope::Public,
            meta: None,
            next_cursor: (first && self.also.is_some()).then(|| "two".to_owned()),
            result_type: "complete".to_owned(),
            tools: names.into_iter().map(tool).collect(),
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
            ("negotiated", ..) => {
                let negotiated = mcp_ext_rust_mcp_sdk::negotiated();
                let settings = negotiated.and_then(|n| n.settings::<ShelfExtension>());
                settings.map_or_else(|| "no".into(), |s| format!("{:?}", s.most))
            }
            (name, ..) if Some(name) == self.also => "theirs".to_owned(),
            _ => return Err(CallToolError::unknown_tool(params.name)),
        };
        let text = TextContent::new(text, None, None);
        Ok(CallToolResult::text_content(vec![text]).into())
    }

    async fn handle_custom_request(
        &self,
        request: CustomRequest,
        _: &RequestContext,
        _: Arc<dyn McpServer>,
    ) -> Result<GenericResult, RpcError> {
        match &*request.method {
            "com.example/theirs" => Ok(GenericResult {
                result_type: "complete".to_owned(),
                ..GenericResult::default()
            }),
            _ => Err(RpcError::method_not_found()),
        }
    }

    async fn handle_cancelled_notification(
        &self,
        _: CancelledNotificationParams,
        _: Arc<dyn McpServer>,
    ) -> Result<(), RpcError> {
        self.cancelled.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

pub fn details() -> ServerDetails {
    ServerDetails {
        server_info: implementation("library"),
        capabilities: ServerCapabilities::default(),
        instructions: None,
        meta: None,
    }
}

pub fn implementation(name: &str) -> Implementation {
    serde_json::from_value(json!({"name": name, "version": "1.0.0"})).unwrap()
}

// ---- requests ----------------------------------------------------------------------------------------------------

/// The params of a request that declares `extensions`.
pub fn modern(mut params: Value, extensions: Value) -> Value {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": extensions},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    });
    if let Some(Value::Object(own)) = params.get("_meta") {
        meta.as_object_mut().unwrap().extend(own.clone());
    }
    params["_meta"] = meta;
    params
}

pub fn shelf() -> Value {
    json!({"com.example/shelf": {"most": 3}})
}

/// Declared settings that rust-mcp-sdk's types have no place for.
pub fn untyped() -> Value {
    json!({"com.example/shelf": {"most": 3, "room": null}, "com.example/other": {"ratio": 0.5}})
}

pub fn names(answer: &Value) -> Vec<&str> {
    answer["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str().unwrap())
        .collect()
}
