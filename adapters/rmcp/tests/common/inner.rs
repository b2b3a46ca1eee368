//! Servers as people write them with rmcp, which know nothing of extensions except where said.

use mcp_ext_core::Negotiated;
use rmcp::handler::server::common::Extension;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest,
    CustomResult, ErrorCode, ExtensionCapabilities, GetPromptRequestParams, GetPromptResponse,
    GetPromptResult, InitializeRequestParams, InitializeResult, ListPromptsResult, ListToolsResult,
    PaginatedRequestParams, Prompt, PromptMessage, Role, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
pub struct Sum {
    pub a: i64,
    pub b: i64,
}

/// `#[tool_router]` and `#[tool_handler]` with the default router, which is built anew for each call.
#[derive(Clone)]
pub struct DefaultRouter;

#[tool_router]
impl DefaultRouter {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        (a + b).to_string()
    }
}

#[tool_handler]
impl ServerHandler for DefaultRouter {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// A router kept in a field.
#[derive(Clone)]
pub struct FieldRouter {
    tool_router: ToolRouter<Self>,
}

impl Default for FieldRouter {
    fn default() -> Self {
        Self {
            tool_router: Self::tool_router(),
        }
    }
}

#[tool_router]
impl FieldRouter {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        (a + b).to_string()
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for FieldRouter {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// Written by hand: no tools, but an `initialize`, an extension, a custom method and prompts of its own.
#[derive(Clone)]
pub struct ByHand;

pub const OWN_ID: &str = "com.example/own";
pub const OWN_METHOD: &str = "com.example/own/echo";

impl ServerHandler for ByHand {
    fn get_info(&self) -> ServerConfig {
        let own = ExtensionCapabilities::from([(OWN_ID.to_owned(), Default::default())]);
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_extensions_with(own)
                .enable_prompts()
                .build(),
        )
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request);
        // As many do: the version of the result is left to rmcp.
        Ok(self.get_info().with_instructions("by hand"))
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        match request.method.as_str() {
            OWN_METHOD => Ok(CustomResult::new(
                json!({"echo": request.params.unwrap_or(Value::Null)}),
            )),
            _ => Err(ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                request.method,
                None,
            )),
        }
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new(
            "greet",
            Some("Greets"),
            None,
        )]))
    }

    async fn get_prompt(
        &self,
        _: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let message = PromptMessage::new_text(Role::User, "hello");
        Ok(GetPromptResult::new(vec![message]).into())
    }
}

/// Lists its tools on two pages.
#[derive(Clone)]
pub struct Paged;

impl ServerHandler for Paged {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        match request.and_then(|r| r.cursor).as_deref() {
            None => {
                let mut page = ListToolsResult::with_all_items(vec![plain_tool("one")]);
                page.next_cursor = Some("2".into());
                Ok(page)
            }
            Some("2") => Ok(ListToolsResult::with_all_items(vec![plain_tool("two")])),
            Some(_) => Err(ErrorData::invalid_params("no such cursor", None)),
        }
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match &*request.name {
            name @ ("one" | "two") => {
                Ok(CallToolResult::success(vec![ContentBlock::text(name)]).into())
            }
            _ => Err(ErrorData::invalid_params("tool not found", None)),
        }
    }
}

pub fn plain_tool(name: &'static str) -> Tool {
    Tool::new(
        name,
        "A tool",
        json!({"type": "object"}).as_object().unwrap().clone(),
    )
}

/// Its own `#[tool]` reads what was negotiated, with rmcp's stock extractor.
#[derive(Clone)]
pub struct Reader;

#[tool_router]
impl Reader {
    #[tool(description = "Says what was negotiated")]
    fn negotiated(&self, Extension(negotiated): Extension<Negotiated>) -> String {
        negotiated
            .active()
            .iter()
            .map(|id| id.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[tool_handler]
impl ServerHandler for Reader {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}
