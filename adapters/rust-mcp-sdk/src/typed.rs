//! Between the wire and the types of rust-mcp-sdk.

use mcp_ext_core::RpcError;
use mcp_ext_core::wire::{JsonObject, meta};
use rust_mcp_sdk::schema;
use rust_mcp_sdk::schema::{
    ClientRequest, GenericResult, JsonrpcRequest, RequestMetaObject, ServerResult,
};
use serde_json::Value;

/// A result as it is to stand on the wire. The types of rust-mcp-sdk know no `null` and no fraction in settings, and of
/// a tool's result only the members of the protocol: this one keeps all.
pub(crate) fn raw(mut result: JsonObject) -> ServerResult {
    let result_type = match result.remove("resultType") {
        Some(Value::String(kind)) => kind,
        _ => "complete".to_owned(),
    };
    ServerResult::Result(GenericResult {
        meta: None,
        result_type,
        extra: Some(result),
    })
}

pub(crate) fn error(error: RpcError) -> schema::RpcError {
    schema::RpcError {
        code: error.code.into(),
        message: error.message,
        data: error.data,
    }
}

/// A value of rust-mcp-sdk as the object that it is on the wire.
pub(crate) fn object(value: &impl serde::Serialize) -> JsonObject {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        _ => JsonObject::new(),
    }
}

/// `_meta` of a request, which every request has.
pub(crate) fn meta_of(request: &ClientRequest) -> &RequestMetaObject {
    match request {
        ClientRequest::DiscoverRequest(request) => &request.params.meta,
        ClientRequest::ListResourcesRequest(request) => &request.params.meta,
        ClientRequest::ListResourceTemplatesRequest(request) => &request.params.meta,
        ClientRequest::ReadResourceRequest(request) => &request.params.meta,
        ClientRequest::SubscriptionsListenRequest(request) => &request.params.meta,
        ClientRequest::ListPromptsRequest(request) => &request.params.meta,
        ClientRequest::GetPromptRequest(request) => &request.params.meta,
        ClientRequest::ListToolsRequest(request) => &request.params.meta,
        ClientRequest::CallToolRequest(request) => &request.params.meta,
        ClientRequest::CompleteRequest(request) => &request.params.meta,
    }
}

/// A request of the core protocol that rust-mcp-sdk took for an unknown one, since its client declares settings that
/// its types have no place for: the request without these, and its `_meta` as it came.
///
/// # Errors
/// The request, when it is something else.
pub(crate) fn read(request: JsonrpcRequest) -> Result<(ClientRequest, JsonObject), JsonrpcRequest> {
    let untyped = |settings: &Value| {
        settings.is_object()
            && serde_json::from_value::<schema::JsonObject>(settings.clone()).is_err()
    };
    let own_meta = request
        .params
        .as_ref()
        .and_then(|params| params.get("_meta"))
        .and_then(Value::as_object);
    let declared = own_meta
        .and_then(|own| own.get(meta::CLIENT_CAPABILITIES))
        .and_then(|capabilities| capabilities.get("extensions"))
        .and_then(Value::as_object);
    let (Some(own_meta), Some(declared)) = (own_meta, declared) else {
        return Err(request);
    };
    if !declared.values().any(untyped) {
        return Err(request);
    }
    let own_meta = own_meta.clone();
    let mut whole = Value::Object(object(&request));
    let declared = whole
        .get_mut("params")
        .and_then(|params| params.get_mut("_meta"))
        .and_then(|own| own.get_mut(meta::CLIENT_CAPABILITIES))
        .and_then(|capabilities| capabilities.get_mut("extensions"))
        .and_then(Value::as_object_mut);
    if let Some(declared) = declared {
        declared.retain(|_, settings| !untyped(settings));
    }
    match serde_json::from_value(whole) {
        Ok(known) => Ok((known, own_meta)),
        Err(_) => Err(request),
    }
}
