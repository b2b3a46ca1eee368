//! rmcp servers: one as people write it, and the same with the extension by hand.

use std::sync::Arc;

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CustomRequest, CustomResult, ErrorCode, ExtensionCapabilities, Implementation,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::by_hand::{Gate, Object, Refusal, SERVER_INFO, bad_params};
use crate::grading::{self, ID, REVISION, RUBRICS, RubricsParams, offered};

/// Arguments of the tool.
#[derive(Deserialize, JsonSchema)]
pub struct Sum {
    /// One number.
    pub a: i64,
    /// Another.
    pub b: i64,
}

/// A server with one tool, its router in a field, which knows nothing of extensions.
#[derive(Clone)]
pub struct Plain {
    router: ToolRouter<Self>,
}

impl Default for Plain {
    fn default() -> Self {
        Self {
            router: Self::tool_router(),
        }
    }
}

fn info() -> ServerConfig {
    let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
    info.server_info = Implementation::new("bench", "1");
    info
}

#[tool_router]
impl Plain {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        (a + b).to_string()
    }
}

#[tool_handler(router = self.router)]
impl ServerHandler for Plain {
    fn get_info(&self) -> ServerConfig {
        info()
    }
}

/// The same server with the extension written into it.
#[derive(Clone)]
pub struct ByHand {
    router: ToolRouter<Self>,
    gate: Arc<Gate>,
}

impl Default for ByHand {
    fn default() -> Self {
        Self {
            router: Self::tool_router(),
            gate: Arc::default(),
        }
    }
}

#[tool_router]
impl ByHand {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        (a + b).to_string()
    }
}

#[tool_handler(router = self.router)]
impl ServerHandler for ByHand {
    fn get_info(&self) -> ServerConfig {
        let mut info = info();
        let mut settings = match serde_json::to_value(offered()) {
            Ok(Value::Object(settings)) => settings,
            _ => Object::new(),
        };
        settings.insert("revision".into(), REVISION.into());
        info.capabilities.extensions =
            Some(ExtensionCapabilities::from([(ID.to_owned(), settings)]));
        info
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method != RUBRICS {
            return Err(ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                request.method,
                None,
            ));
        }
        let result = self.call(request, &context.meta.0.0).map_err(|refusal| {
            ErrorData::new(ErrorCode(refusal.code), refusal.message, Some(refusal.data))
        })?;
        Ok(CustomResult::new(result))
    }
}

impl ByHand {
    fn call(&self, request: CustomRequest, meta: &Object) -> Result<Value, Refusal> {
        let settings = self.gate.pass(meta)?;
        let params = request.params.unwrap_or_default();
        let params: RubricsParams = serde_json::from_value(params).map_err(|e| bad_params(&e))?;
        let result = grading::rubrics(&settings, params)?;
        let mut result = serde_json::to_value(result).map_err(|e| bad_params(&e))?;
        result["resultType"] = "complete".into();
        result["_meta"] = json!({ SERVER_INFO: { "name": "bench", "version": "1" } });
        Ok(result)
    }
}
