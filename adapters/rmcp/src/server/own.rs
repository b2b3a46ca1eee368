//! Calls of the set's own methods and tools, and repairs of what rmcp leaves to nobody.

use std::time::Instant;

use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::{Incoming, Input, Params, Target};
use mcp_ext_core::wire::{JsonObject, code};
use mcp_ext_core::{Negotiated, RpcError};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CustomRequest, CustomResult,
    ErrorCode, SubscriptionFilter,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

use super::{WithExtensions, incoming};
use crate::convert::to_rmcp;

impl<S: ServerHandler> WithExtensions<S> {
    /// Runs one call of the set, within the time the set allows, until the client cancels it.
    async fn run(
        &self,
        mut incoming: Incoming<'_>,
        context: &RequestContext<RoleServer>,
    ) -> Result<JsonObject, RpcError> {
        let set = &self.shared.set;
        incoming.deadline = Instant::now().checked_add(set.limits().max_duration);
        // rmcp drops whatever a cancelled call is answered with.
        let answer = set
            .route(incoming)
            .answer(context.ct.cancelled(), tokio::time::sleep);
        answer.await?.into_object()
    }

    /// Answers a method of the set.
    pub(super) async fn own_method(
        &self,
        request: CustomRequest,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let params = request.params.map_or(Params::None, Params::Value);
        let incoming = incoming::open(Target::Method(&request.method), params, &mut context);
        let result = self.run(incoming, &context).await.map_err(to_rmcp)?;
        Ok(CustomResult::new(Value::Object(result)))
    }

    /// Answers a call of a tool of the set.
    pub(super) async fn own_tool(
        &self,
        request: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let params = request.arguments.map_or(Params::None, |arguments| {
            Params::Value(Value::Object(arguments))
        });
        let mut incoming = incoming::open(Target::Tool(&request.name), params, &mut context);
        if request.input_responses.is_some() || request.request_state.is_some() {
            // rmcp has read them, so both have their form.
            let responses = request
                .input_responses
                .and_then(|r| serde_json::to_value(r).ok());
            let state = request.request_state.map(Value::String);
            let input = Input::read(responses, state).map_err(to_rmcp)?;
            incoming.input = Some(Box::new(input));
        }
        let result = self.run(incoming, &context).await.map_err(to_rmcp)?;
        // A block has the user asked first.
        if result.contains_key("requestState") {
            return match serde_json::from_value(Value::Object(result)) {
                Ok(input) => Ok(CallToolResponse::InputRequired(input)),
                Err(_) => Err(ErrorData::internal_error(
                    "the request for input does not have the form of one",
                    None,
                )),
            };
        }
        let result: CallToolResult =
            serde_json::from_value(Value::Object(result)).map_err(|_| {
                ErrorData::internal_error(
                    "the result of the tool does not have the form of a tool's result",
                    None,
                )
            })?;
        Ok(CallToolResponse::Complete(result))
    }

    /// The context with what was negotiated in it, for the wrapped server's handlers.
    pub(super) fn negotiated(
        &self,
        mut context: RequestContext<RoleServer>,
    ) -> RequestContext<RoleServer> {
        let (era, version) = incoming::era(&context);
        self.put_negotiated(era, version, &mut context);
        context
    }

    /// Puts what was negotiated into the context of a request of this era and version.
    pub(super) fn put_negotiated(
        &self,
        era: Era,
        version: Option<ProtocolVersion>,
        context: &mut RequestContext<RoleServer>,
    ) {
        let session = incoming::session(context, era);
        let negotiated: Negotiated =
            self.shared
                .set
                .negotiated(era, version, &context.meta.0.0, session);
        context.extensions.insert(negotiated);
    }

    /// Turns "no such method" into "bad params" for a request of the core protocol that rmcp could not decode, and
    /// therefore took for one it does not know.
    pub(super) fn repair(
        &self,
        method: &'static str,
        (era, version): (Era, Option<ProtocolVersion>),
        error: ErrorData,
    ) -> ErrorData {
        if error.code != ErrorCode::METHOD_NOT_FOUND || !self.offers(method, era, version) {
            return error;
        }
        to_rmcp(
            RpcError::new(
                code::INVALID_PARAMS,
                format!("the params of {method} do not fit"),
            )
            .with_data(json!({ "kind": "malformed_params", "method": method })),
        )
    }

    /// Whether wrapped server and set together have a method of the core protocol for this client, so that only the
    /// params can be at fault.
    fn offers(&self, method: &str, era: Era, version: Option<ProtocolVersion>) -> bool {
        let legacy = era == Era::Legacy;
        let capabilities = self.inner.get_info().capabilities;
        match method.split('/').next() {
            Some("tools") => {
                capabilities.tools.is_some() || self.shared.set.has_tools(era, version)
            }
            Some("prompts") => capabilities.prompts.is_some(),
            Some("resources") if method.ends_with("subscribe") => {
                legacy && capabilities.resources.is_some()
            }
            Some("resources") => capabilities.resources.is_some(),
            Some("completion") => capabilities.completions.is_some(),
            Some("logging") => legacy && capabilities.logging.is_some(),
            Some("initialize") => legacy,
            Some("subscriptions") => {
                let nothing = SubscriptionFilter::default();
                !legacy && self.inner.accepted_subscription_filter(&nothing).is_some()
            }
            _ => false,
        }
    }
}

/// What a call of a tool gets that neither side has.
pub(super) fn unknown_tool() -> ErrorData {
    to_rmcp(
        RpcError::new(code::INVALID_PARAMS, "no tool of this name is offered here")
            .with_data(json!({ "kind": "unknown_tool" })),
    )
}

/// The request methods of the core protocol whose params rmcp decodes before anyone sees them, and which it therefore
/// hands on as unknown ones when they are malformed. Lists are not among them: rmcp reads malformed params as none.
const DECODED: &[&str] = &[
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "prompts/get",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "subscriptions/listen",
    "tools/call",
];

/// The same name with static life, if rmcp decodes this method.
pub(super) fn decoded(method: &str) -> Option<&'static str> {
    DECODED.iter().copied().find(|known| *known == method)
}
