//! Typed clients of extensions, sending through a tower-mcp client.

use std::sync::Arc;

use mcp_ext_core::RpcError;
use mcp_ext_core::client::{Caller, CallerError, Outgoing};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::wire::JsonObject;
use serde_json::Value;
use tower_mcp::client::{McpClient, McpClientBuilder};
use tower_mcp::{Error, ExtensionDeclaration};

use crate::AdapterError;

/// Sends what typed clients of extensions ask for through a tower-mcp client.
///
/// tower-mcp declares the same capabilities on every request, those its builder was given: what a typed client
/// declares must be put there with [`declare`] before the connection is made.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use mcp_ext_tower_mcp::{TowerMcpCaller, declare};
/// use tower_mcp::client::{McpClient, StdioClientTransport};
///
/// let declaration = serde_json::from_str(r#"{"com.example/grading": {}}"#)?;
/// let builder = declare(McpClient::builder(), declaration)?;
/// let transport = StdioClientTransport::spawn("their-server", &[]).await?;
/// let client = Arc::new(builder.connect_simple(transport).await?);
/// client.initialize("my-client", "1.0.0").await?;
/// let caller = TowerMcpCaller::of(client).await;
/// // GradingExtension::client(caller).negotiate().await?
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TowerMcpCaller {
    client: Arc<McpClient>,
    era: Era,
    extensions: JsonObject,
}

impl std::fmt::Debug for TowerMcpCaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TowerMcpCaller")
            .field("era", &self.era)
            .finish_non_exhaustive()
    }
}

impl TowerMcpCaller {
    /// A caller through a client that has initialized, or discovered, its server.
    pub async fn of(client: Arc<McpClient>) -> Self {
        let (era, capabilities) = match client.discovery().await {
            Some(found) => (Era::Modern, Some(found.capabilities)),
            None => (
                Era::Legacy,
                client.server_info().await.map(|info| info.capabilities),
            ),
        };
        let extensions = capabilities.and_then(|c| c.extensions).unwrap_or_default();
        Self {
            client,
            era,
            extensions: extensions.into_iter().collect(),
        }
    }
}

impl Caller for TowerMcpCaller {
    fn era(&self) -> Era {
        self.era
    }

    async fn server_extensions(&self) -> Result<JsonObject, CallerError> {
        Ok(self.extensions.clone())
    }

    async fn call(&self, request: Outgoing) -> Result<Value, CallerError> {
        let params = Value::Object(request.params);
        self.client
            .request(&request.method, &params)
            .await
            .map_err(|error| match error {
                Error::JsonRpc(error) => {
                    let mut rpc = RpcError::new(error.code, error.message);
                    rpc.data = error.data;
                    CallerError::Rpc(rpc)
                }
                other => CallerError::Transport(other.to_string()),
            })
    }
}

/// Adds a declaration, as [`declaration`](mcp_ext_core::client::declaration) makes it, to what a tower-mcp client
/// declares.
///
/// # Errors
/// [`AdapterError::Declaration`] when tower-mcp refuses an identifier, or settings are no object.
pub fn declare(
    mut builder: McpClientBuilder,
    declaration: JsonObject,
) -> Result<McpClientBuilder, AdapterError> {
    for (id, settings) in declaration {
        let declaration = ExtensionDeclaration::new(id.as_str(), settings)
            .map_err(|error| AdapterError::declaration(&id, &error))?;
        builder = builder.with_protocol_extension(declaration);
    }
    Ok(builder)
}
