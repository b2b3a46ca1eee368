//! What only HTTP knows of a request, for the extensions.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use rust_mcp_sdk::McpServer;
use rust_mcp_sdk::error::SdkResult;
use rust_mcp_sdk::mcp_http::http::{Request, Response, StatusCode};
use rust_mcp_sdk::mcp_http::{
    GenericBody, McpAppState, McpHttpError, McpHttpResult, Middleware, MiddlewareNext,
};
use rust_mcp_sdk::mcp_server::McpServerHandler;
use rust_mcp_sdk::schema::schema_utils::{ClientJsonrpcNotification, ClientJsonrpcRequest};
use rust_mcp_sdk::schema::{RpcError, ServerResult};
use rust_mcp_sdk::tool_param_headers::ToolParamHeader;

use crate::context::{self, HttpRequest};

const NAME_HEADER: &str = "mcp-name";

/// A middleware of rust-mcp-sdk's HTTP server for extensions behind it.
///
/// With it, a client that hangs up cancels its call, as the protocol has it; the header `Mcp-Name` is compared where a
/// method of an extension asks for it; an error of a method or tool itself comes with the status 200, while rust-mcp-sdk
/// answers every -32602 with 400; and no notification is sent where the server answers with JSON in place of streams.
///
/// ```
/// use std::sync::Arc;
/// use mcp_ext_rust_mcp_sdk::HttpContext;
/// use rust_mcp_sdk::mcp_http::{McpHttpHandler, Middleware};
///
/// # fn example(mut http: McpHttpHandler) {
/// // let mut http = McpHttpHandler::new(..);
/// http.add_middleware(HttpContext);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpContext;

#[async_trait]
impl Middleware for HttpContext {
    async fn handle<'req>(
        &self,
        req: Request<&'req str>,
        state: Arc<McpAppState>,
        next: MiddlewareNext<'req>,
    ) -> McpHttpResult<Response<GenericBody>> {
        let name = req.headers().get(NAME_HEADER);
        let request = Arc::new(HttpRequest {
            name: name.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned()),
            json: state.enable_json_response,
            gone: Arc::default(),
            ok: AtomicBool::new(false),
        });
        // Dropped with this future while the answer is awaited, then with the body.
        let hang_up = HangUp(request.clone());
        let state = McpAppState {
            handler: Arc::new(Within {
                request: request.clone(),
                handler: state.handler.clone(),
            }),
            ..McpAppState::clone(&state)
        };
        let mut response = next(req, Arc::new(state)).await?;
        // A stream that began with a notification has another status, and keeps it.
        if response.status() == StatusCode::BAD_REQUEST && request.ok.load(Ordering::Acquire) {
            *response.status_mut() = StatusCode::OK;
        }
        Ok(response.map(|body| {
            BoxBody::new(Watched {
                body,
                _hang_up: hang_up,
            })
        }))
    }
}

/// Cancels the call of a request when nobody reads its answer any more. A call that has ended does not mind.
struct HangUp(Arc<HttpRequest>);

impl Drop for HangUp {
    fn drop(&mut self) {
        self.0.gone.cancel();
    }
}

struct Watched {
    body: GenericBody,
    _hang_up: HangUp,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = McpHttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, McpHttpError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The server's handler, run where [`context::current`] finds the request.
struct Within {
    request: Arc<HttpRequest>,
    handler: Arc<dyn McpServerHandler>,
}

#[async_trait]
impl McpServerHandler for Within {
    async fn handle_request(
        &self,
        request: ClientJsonrpcRequest,
        runtime: Arc<dyn McpServer>,
    ) -> Result<ServerResult, RpcError> {
        let answer = self.handler.handle_request(request, runtime);
        context::within(self.request.clone(), answer).await
    }

    async fn handle_error(&self, error: &RpcError, runtime: Arc<dyn McpServer>) -> SdkResult<()> {
        self.handler.handle_error(error, runtime).await
    }

    async fn handle_notification(
        &self,
        notification: ClientJsonrpcNotification,
        runtime: Arc<dyn McpServer>,
    ) -> SdkResult<()> {
        self.handler
            .handle_notification(notification, runtime)
            .await
    }

    fn tool_header_annotations(&self, tool_name: &str) -> Vec<ToolParamHeader> {
        self.handler.tool_header_annotations(tool_name)
    }
}
