//! The handler: what the protocol asks of a server, with each item in a module of its own kind.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult,
    GetPromptRequestParams, GetPromptResponse, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerConfig, SetLevelRequestMethod,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::rounds::Rounds;
use crate::{items, tools};

/// What one of the lists holds has changed.
#[derive(Clone, Copy)]
pub enum Changed {
    Tools,
    Prompts,
}

/// One for all sessions and requests.
pub struct Fixture {
    tools: Arc<Vec<Tool>>,
    pub rounds: Rounds,
    pub changes: broadcast::Sender<Changed>,
}

impl Default for Fixture {
    fn default() -> Self {
        let tools = serde_json::from_value(tools::list()).expect("the tools are tools");
        Self {
            tools: Arc::new(tools),
            rounds: Rounds::default(),
            changes: broadcast::channel(16).0,
        }
    }
}

/// A request of the revision without sessions.
pub fn modern(cx: &RequestContext<RoleServer>) -> bool {
    let version = cx.protocol_version();
    version.is_some_and(|v| v.as_str() >= "2026-07-28")
}

/// What is written as JSON here, in rmcp's type.
pub fn typed<T: DeserializeOwned>(json: Value) -> Result<T, ErrorData> {
    serde_json::from_value(json).map_err(|e| ErrorData::internal_error(e.to_string(), None))
}

/// A whole result. rmcp takes the mark off again for clients of older revisions.
fn complete<T: DeserializeOwned>(mut answer: Value) -> Result<T, ErrorData> {
    answer["resultType"] = "complete".into();
    typed(answer)
}

/// Either the result or what the client is asked first.
fn either<A: DeserializeOwned, B>(
    answer: Value,
    result: impl FnOnce(A) -> B,
    asked: impl FnOnce(rmcp::model::InputRequiredResult) -> B,
) -> Result<B, ErrorData> {
    if answer["resultType"] == "input_required" {
        typed(answer).map(asked)
    } else {
        complete(answer).map(result)
    }
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities = json!({
            "tools": { "listChanged": true },
            "prompts": { "listChanged": true },
            "resources": { "listChanged": true, "subscribe": true },
            "completions": {},
            "logging": {},
        });
        let capabilities = serde_json::from_value(capabilities).expect("they are capabilities");
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("conformance-fixture", "1.0.0");
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.to_vec()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|t| t.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let answer = tools::call(self, request, &cx).await?;
        either(
            answer,
            CallToolResponse::Complete,
            CallToolResponse::InputRequired,
        )
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        complete(items::prompts())
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let answer = items::prompt(&request)?;
        either(
            answer,
            GetPromptResponse::Complete,
            GetPromptResponse::InputRequired,
        )
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        complete(items::resources())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        complete(items::templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        complete(items::resource(&request.uri)?).map(ReadResourceResponse::Complete)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        complete(items::completion(&request.argument.value))
    }

    #[expect(deprecated, reason = "older revisions have it")]
    async fn set_level(
        &self,
        _: rmcp::model::SetLevelRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if modern(&cx) {
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        _: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.changes.subscribe();
        loop {
            tokio::select! {
                () = subscription.cancelled() => return Ok(()),
                changed = changes.recv() => {
                    // The sink lets through what the client asked for, and says when it did not.
                    let _ = match changed {
                        Ok(Changed::Tools) => subscription.sink().notify_tool_list_changed().await,
                        Ok(Changed::Prompts) => subscription.sink().notify_prompt_list_changed().await,
                        Err(broadcast::error::RecvError::Lagged(_)) => continue,
                        Err(broadcast::error::RecvError::Closed) => return Ok(()),
                    };
                }
            }
        }
    }
}
