//! Typed clients of extensions, sending through an rmcp client.

use std::time::Duration;

use mcp_ext_core::client::{Caller, CallerError, Outgoing};
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::wire::{JsonObject, meta};
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CancelledNotification, CancelledNotificationParam,
    ClientCapabilities, ClientConfig, ClientRequest, CustomRequest, RequestId, RequestMetaObject,
    ServerResult,
};
use rmcp::service::{Peer, PeerRequestOptions, RunningService, Service, ServiceError};
use serde_json::Value;

use crate::convert::from_rmcp;

/// How long a call may take before it is given up and cancelled, unless [`RmcpCaller::timeout`] says otherwise.
/// Longer than the default limit of a server, so that a server's own words arrive first.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Sends what typed clients of extensions ask for through an rmcp client.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_ext_rmcp::RmcpCaller;
/// use rmcp::ServiceExt;
///
/// let (transport, _server) = tokio::io::duplex(4096);
/// let client = ().serve(transport).await?;
/// let caller = RmcpCaller::of(&client);
/// // GradingExtension::client(caller).negotiate().await?
/// # Ok(())
/// # }
/// ```
///
/// # What gets lost on the way
///
/// rmcp's client decodes every result by its shape, before anyone can look at it. A method's result whose top level
/// looks like a result of the core protocol comes back as one, without the members that the core protocol does not
/// know:
///
/// | top level of the result | taken for | what stays |
/// |---|---|---|
/// | `content` (an array of blocks), `isError`, `structuredContent` | result of `tools/call` | these and `_meta` |
/// | `contents`, `messages`, `completion`, `action` | result of `resources/read`, `prompts/get`, `completion/complete`, an elicitation | members of that result |
/// | `tools`, `resources`, `prompts`, `resourceTemplates`, `skills` (arrays that are empty or whose items fit) | a list | items, `nextCursor`, cache hints, `_meta` |
/// | `taskId` with `status` and times; `resultType` of `task` or `input_required`; `protocolVersion` with `capabilities` and `serverInfo` | a task, an interim result, the result of `initialize` | members of that result |
/// | `{}`, or `resultType` alone | an empty result | everything |
/// | anything else | itself | everything |
///
/// Dropping a call before its answer has come cancels it at the server.
///
/// Contracts refuse these names at the top level of a result when a set is built, so extensions made with mcp-ext
/// are not affected unless one says `shape_clash`.
#[derive(Clone, Debug)]
pub struct RmcpCaller {
    peer: Peer<RoleClient>,
    capabilities: JsonObject,
    timeout: Option<Duration>,
}

impl RmcpCaller {
    /// A caller through a running client, with the capabilities that the client declares anyway.
    pub fn of<S>(client: &RunningService<RoleClient, S>) -> Self
    where
        S: Service<RoleClient>,
    {
        let info: ClientConfig = client.service().get_info();
        Self::new(client.peer().clone(), &info.capabilities)
    }

    /// A caller through a peer. `capabilities` are those the client declares anyway: capabilities travel whole on
    /// every request, so what is left out here is not declared on the requests of extensions.
    pub fn new(peer: Peer<RoleClient>, capabilities: &ClientCapabilities) -> Self {
        let capabilities = match serde_json::to_value(capabilities) {
            Ok(Value::Object(capabilities)) => capabilities,
            _ => JsonObject::new(),
        };
        Self {
            peer,
            capabilities,
            timeout: Some(TIMEOUT),
        }
    }

    /// How long a call may take before it is given up and cancelled; `None` waits for ever.
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    fn request(request: Outgoing) -> Result<ClientRequest, CallerError> {
        if request.method != "tools/call" {
            return Ok(ClientRequest::CustomRequest(CustomRequest::new(
                request.method,
                Some(Value::Object(request.params)),
            )));
        }
        // The typed request, so that rmcp writes the headers that HTTP demands for tools.
        let params: CallToolRequestParams = serde_json::from_value(Value::Object(request.params))
            .map_err(|e| {
            CallerError::Transport(format!("the tool call cannot be written: {e}"))
        })?;
        Ok(ClientRequest::CallToolRequest(CallToolRequest::new(params)))
    }
}

impl Caller for RmcpCaller {
    fn era(&self) -> Era {
        match self.peer.peer_info() {
            Some(info) if info.protocol_version.has_initialize() => Era::Legacy,
            Some(info) => ProtocolVersion::parse(info.protocol_version.as_str())
                .map_or(Era::Modern, |v| v.era()),
            // A client that skipped the handshake talks as one without handshake.
            None => Era::Modern,
        }
    }

    async fn server_extensions(&self) -> Result<JsonObject, CallerError> {
        let info = self.peer.peer_info().ok_or_else(|| {
            CallerError::Transport(
                "the client skipped the handshake, so the server's capabilities are unknown".into(),
            )
        })?;
        let extensions = info.capabilities.extensions.iter().flatten();
        Ok(extensions
            .map(|(id, settings)| (id.clone(), Value::Object(settings.clone())))
            .collect())
    }

    async fn call(&self, request: Outgoing) -> Result<Value, CallerError> {
        let mut declared = JsonObject::new();
        declared.insert(
            meta::CLIENT_CAPABILITIES.into(),
            Value::Object(self.capabilities.clone()),
        );
        request.declare_into(&mut declared);
        let mut options =
            PeerRequestOptions::no_options().with_meta(RequestMetaObject::from(declared));
        options.timeout = self.timeout;
        let request = Self::request(request)?;
        let handle = self
            .peer
            .send_request_with_option(request, options)
            .await
            .map_err(failed)?;
        let mut in_flight = InFlight(Some((self.peer.clone(), handle.id.clone())));
        let answer = handle.await_response().await;
        in_flight.0 = None;
        match answer.map_err(failed)? {
            ServerResult::CustomResult(result) => Ok(result.0),
            other => serde_json::to_value(other)
                .map_err(|e| CallerError::Transport(format!("the result cannot be read: {e}"))),
        }
    }
}

/// A request that is still waited for. Dropped before its answer came, it tells the server, which rmcp leaves to us.
struct InFlight(Option<(Peer<RoleClient>, RequestId)>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some((peer, id)) = self.0.take() else {
            return;
        };
        // Without a runtime there is no connection left to tell it through.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let reason = Some("the caller stopped waiting".to_owned());
        let cancelled =
            CancelledNotification::new(CancelledNotificationParam::new(Some(id), reason));
        runtime.spawn(async move { peer.send_notification(cancelled.into()).await });
    }
}

fn failed(error: ServiceError) -> CallerError {
    match error {
        ServiceError::McpError(error) => CallerError::Rpc(from_rmcp(error)),
        other => CallerError::Transport(other.to_string()),
    }
}

/// Adds a declaration, as [`declaration`](mcp_ext_core::client::declaration) makes it, to what an rmcp client declares:
/// once in `initialize` towards a legacy server, on every request towards a modern one.
///
/// Calls through [`RmcpCaller`] declare by themselves; this is for the requests that rmcp sends on its own, such as
/// `tools/list` to a server that filters its lists. A value that is not an object declares nothing and is left out.
///
/// ```
/// use rmcp::model::ClientConfig;
/// use serde_json::json;
///
/// let mut info = ClientConfig::default();
/// let declaration = json!({"com.example/grading": {"write": true}});
/// mcp_ext_rmcp::declare(&mut info.capabilities, declaration.as_object().unwrap().clone());
/// assert!(info.capabilities.extensions.unwrap().contains_key("com.example/grading"));
/// ```
pub fn declare(capabilities: &mut ClientCapabilities, declaration: JsonObject) {
    let extensions = capabilities.extensions.get_or_insert_default();
    for (id, settings) in declaration {
        if let Value::Object(settings) = settings {
            extensions.insert(id, settings);
        }
    }
}
