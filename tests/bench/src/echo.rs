//! The smallest call there is: a text comes back. As an extension, and as a custom method of an rmcp server without
//! any gate.

use std::convert::Infallible;

use mcp_ext::prelude::*;
use rmcp::model::{CustomRequest, CustomResult};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::frames;

/// The method.
pub const SAY: &str = "com.example/echo/say";

/// A text.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Text {
    text: String,
}

/// Gives texts back.
#[extension(id = "com.example/echo")]
pub trait Echo {
    /// Gives the text back.
    #[method]
    async fn say(&self, cx: &Cx<EchoExtension>, params: Text) -> Result<Text, Infallible>;
}

/// The provider.
pub struct Provider;

#[handlers]
impl Echo for Provider {
    async fn say(&self, _: &Cx<EchoExtension>, params: Text) -> Result<Text, Infallible> {
        Ok(params)
    }
}

/// A server with the same method by rmcp's own means.
#[derive(Clone)]
pub struct Bare;

impl ServerHandler for Bare {
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Ok(CustomResult::new(request.params.unwrap_or_default()))
    }
}

/// A call.
pub fn call() -> String {
    frames::modern(
        SAY,
        json!({"text": "hello"}),
        json!({"com.example/echo": {}}),
    )
}
