//! Typed clients of extensions, sending through a rust-mcp-sdk client.

use std::sync::Arc;
use std::time::Duration;

use mcp_ext_core::RpcError;
use mcp_ext_core::client::{Caller, CallerError, Outgoing};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::wire::{JsonObject, code};
use rust_mcp_sdk::McpClient;
use rust_mcp_sdk::error::McpSdkError;
use rust_mcp_sdk::schema;
use rust_mcp_sdk::schema::schema_utils::{CustomRequest, RequestFromClient};
use rust_mcp_sdk::schema::{ClientCapabilities, ProtocolVersion, RequestMetaObject, RequestParams};
use serde_json::Value;

use crate::typed;

/// Sends what typed clients of extensions ask for through a rust-mcp-sdk client, which talks 2026-07-28 alone.
///
/// ```no_run
/// # async fn example(client: std::sync::Arc<rust_mcp_sdk::mcp_client::ClientRuntime>) {
/// use mcp_ext_rust_mcp_sdk::RustMcpSdkCaller;
///
/// // client.clone().start().await?;
/// let caller = RustMcpSdkCaller::of(client);
/// // GradingExtension::client(caller).negotiate().await?
/// # }
/// ```
///
/// rust-mcp-sdk decodes every result by its shape before anyone can look at it: a result of a method whose top level has
/// all members of a result of the core protocol (such as `content` with blocks, or `contents`) comes back as that one,
/// without the members that the core protocol does not know. Contracts refuse these names when a set is built, unless
/// one says `shape_clash`.
///
/// A call that is dropped before its answer has come is not cancelled at the server: rust-mcp-sdk does not tell which
/// identifier it has sent.
#[derive(Clone)]
pub struct RustMcpSdkCaller {
    client: Arc<dyn McpClient>,
    timeout: Option<Duration>,
}

impl std::fmt::Debug for RustMcpSdkCaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RustMcpSdkCaller")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl RustMcpSdkCaller {
    /// A caller through a client that has been started.
    pub fn of(client: Arc<dyn McpClient>) -> Self {
        Self {
            client,
            timeout: None,
        }
    }

    /// How long a call may take before it is given up; without it, what the client's transport says.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// What rust-mcp-sdk puts on requests of its own, and leaves off these.
    fn meta(&self) -> RequestMetaObject {
        let details = self.client.client_details();
        RequestMetaObject::new(
            ProtocolVersion::latest().to_string(),
            details.capabilities.clone(),
        )
        .with_client_info(details.client_info.clone())
    }

    async fn request(&self, request: RequestFromClient) -> Result<JsonObject, CallerError> {
        let answer = self.client.request(request, self.timeout).await;
        answer.map(|result| typed::object(&result)).map_err(failed)
    }
}

impl Caller for RustMcpSdkCaller {
    fn era(&self) -> Era {
        Era::Modern
    }

    async fn server_extensions(&self) -> Result<JsonObject, CallerError> {
        let params = RequestParams { meta: self.meta() };
        let mut found = self
            .request(RequestFromClient::DiscoverRequest(params))
            .await?;
        let extensions = found
            .get_mut("capabilities")
            .and_then(|capabilities| capabilities.get_mut("extensions"))
            .map(Value::take);
        match extensions {
            Some(Value::Object(extensions)) => Ok(extensions),
            _ => Ok(JsonObject::new()),
        }
    }

    async fn call(&self, request: Outgoing) -> Result<Value, CallerError> {
        let mut meta = typed::object(&self.meta());
        request.declare_into(&mut meta);
        let mut params = request.params;
        params.insert("_meta".to_owned(), Value::Object(meta));
        // Tools too: the type of their requests has no place for every declaration.
        let request = RequestFromClient::CustomRequest(CustomRequest {
            method: request.method,
            params: Some(params),
        });
        self.request(request).await.map(Value::Object)
    }
}

fn failed(error: McpSdkError) -> CallerError {
    match error {
        McpSdkError::RpcError(error) => {
            let code = i32::try_from(error.code).unwrap_or(code::INTERNAL_ERROR);
            let mut rpc = RpcError::new(code, error.message);
            rpc.data = error.data;
            CallerError::Rpc(rpc)
        }
        other => CallerError::Transport(other.to_string()),
    }
}

/// Why a declaration cannot be put on the requests that rust-mcp-sdk sends on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeclareError {
    /// The settings have a `null` or a fraction, or are no object.
    Settings {
        /// The extension.
        extension: String,
    },
}

impl std::fmt::Display for DeclareError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Settings { extension } => write!(
                f,
                "the settings of {extension} cannot be declared on requests of rust-mcp-sdk itself: expected an object \
                 without null and fractions; leave such members out"
            ),
        }
    }
}

impl std::error::Error for DeclareError {}

/// Adds a declaration, as [`declaration`](mcp_ext_core::client::declaration) makes it, to what a rust-mcp-sdk client
/// declares on every request.
///
/// Calls through [`RustMcpSdkCaller`] declare by themselves; this is for the requests that rust-mcp-sdk sends on its own,
/// such as `tools/list` to a server that filters its lists.
///
/// ```
/// use rust_mcp_sdk::schema::ClientCapabilities;
/// use serde_json::json;
///
/// let mut capabilities = ClientCapabilities::default();
/// let declaration = json!({"com.example/grading": {"write": true}});
/// mcp_ext_rust_mcp_sdk::declare(&mut capabilities, declaration.as_object().unwrap().clone())?;
/// assert!(capabilities.extensions.unwrap().contains_key("com.example/grading"));
/// # Ok::<(), mcp_ext_rust_mcp_sdk::DeclareError>(())
/// ```
///
/// # Errors
/// [`DeclareError::Settings`] when rust-mcp-sdk's types have no place for the settings; nothing is declared then.
pub fn declare(
    capabilities: &mut ClientCapabilities,
    declaration: JsonObject,
) -> Result<(), DeclareError> {
    let mut declared = Vec::new();
    for (id, settings) in declaration {
        match serde_json::from_value::<schema::JsonObject>(settings) {
            Ok(settings) => declared.push((id, settings)),
            Err(_) => {
                return Err(DeclareError::Settings {
                    extension: id.chars().take(256).collect(),
                });
            }
        }
    }
    capabilities
        .extensions
        .get_or_insert_default()
        .extend(declared);
    Ok(())
}
