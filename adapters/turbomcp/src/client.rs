//! Typed clients of extensions, sending through a turbomcp client.

use mcp_ext_core::RpcError;
use mcp_ext_core::client::{Caller, CallerError, Outgoing};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::wire::{JsonObject, meta};
use serde_json::Value;
use turbomcp_client::Client;

/// Sends what typed clients of extensions ask for through a turbomcp client.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_ext_turbomcp::TurboMcpCaller;
/// use turbomcp_client::{ClientBuilder, connect_child};
///
/// let builder = ClientBuilder::new("my-client", "1.0.0");
/// let (client, _server) = connect_child(builder, tokio::process::Command::new("their-server")).await?;
/// let caller = TurboMcpCaller::new(client);
/// // GradingExtension::client(caller).negotiate().await?
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TurboMcpCaller {
    client: Client,
    capabilities: JsonObject,
}

impl TurboMcpCaller {
    /// A caller through a connected client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            capabilities: JsonObject::new(),
        }
    }

    /// Sets what else the client can do: what was given to `ClientBuilder::with_capabilities`, which turbomcp does not
    /// tell. Calls say it beside what typed clients declare.
    #[must_use]
    pub fn capabilities(mut self, capabilities: JsonObject) -> Self {
        self.capabilities = capabilities;
        self
    }
}

impl Caller for TurboMcpCaller {
    fn era(&self) -> Era {
        if self.client.protocol_version().is_stateful() {
            Era::Legacy
        } else {
            Era::Modern
        }
    }

    async fn server_extensions(&self) -> Result<JsonObject, CallerError> {
        let extensions = self.client.server_capabilities().get("extensions");
        let extensions = extensions.and_then(Value::as_object);
        Ok(extensions.cloned().unwrap_or_default())
    }

    async fn call(&self, mut request: Outgoing) -> Result<Value, CallerError> {
        let mut own = JsonObject::new();
        let capabilities = Value::Object(self.capabilities.clone());
        own.insert(meta::CLIENT_CAPABILITIES.to_owned(), capabilities);
        request.declare_into(&mut own);
        request.params.insert("_meta".to_owned(), own.into());
        let answer = self.client.request(&request.method, request.params).await;
        answer.map_err(|error| match error.as_rpc() {
            Some(rpc) => {
                let mut own = RpcError::new(rpc.code, rpc.message.clone());
                own.data = rpc.data.clone();
                CallerError::Rpc(own)
            }
            None => CallerError::Transport(error.to_string()),
        })
    }
}
