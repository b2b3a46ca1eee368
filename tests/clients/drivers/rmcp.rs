//! Rust rmcp: the Rust SDK's client, both eras, without anything of mcp-ext.

use std::process::Stdio;

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ClientRequest, CustomRequest,
    ExtensionCapabilities, Implementation, ProtocolVersion, ServerResult,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{Peer, RoleClient};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::process::{Child, Command};

type Error = Box<dyn std::error::Error>;

#[derive(Deserialize)]
struct Plan {
    era: Era,
    sessions: Vec<Session>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Era {
    Modern,
    Legacy,
}

#[derive(Deserialize)]
struct Session {
    target: Target,
    extensions: Option<ExtensionCapabilities>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Target {
    Url(String),
    Command(Vec<String>),
}

#[derive(Deserialize)]
struct Step {
    step: String,
    kind: Kind,
    #[serde(default)]
    name: String,
    #[serde(default)]
    params: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Extensions,
    ListTools,
    CallTool,
    Request,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let plan = std::env::args().nth(1).ok_or("no plan was given")?;
    let plan: Plan = serde_json::from_str(&plan)?;
    let mut seen = Map::new();
    for session in plan.sessions {
        let (running, _process) = connect(session.target, plan.era, session.extensions).await?;
        for step in session.steps {
            let observed = match call(running.peer(), &step).await {
                Ok(result) => json!({ "result": result }),
                Err(ServiceError::McpError(error)) => json!({ "error": error }),
                Err(other) => json!({ "rejected": other.to_string() }),
            };
            seen.insert(step.step, observed);
        }
        running.cancel().await?;
    }
    println!("{}", Value::Object(seen));
    Ok(())
}

async fn connect(
    target: Target,
    era: Era,
    extensions: Option<ExtensionCapabilities>,
) -> Result<(RunningService<RoleClient, ClientConfig>, Option<Child>), Error> {
    let mut capabilities = ClientCapabilities::default();
    capabilities.extensions = extensions;
    let client = ClientConfig::new(capabilities, Implementation::new("rmcp-client", "1"));
    let lifecycle = match era {
        Era::Modern => ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
        Era::Legacy => ClientLifecycleMode::Initialize,
    };
    match target {
        Target::Url(url) => {
            let config = StreamableHttpClientTransportConfig::with_uri(url);
            let transport = StreamableHttpClientTransport::from_config(config);
            Ok((
                client.serve_with_lifecycle(transport, lifecycle).await?,
                None,
            ))
        }
        Target::Command(command) => {
            let (program, args) = command.split_first().ok_or("the command is empty")?;
            let mut process = Command::new(program)
                .args(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let pipes = process.stdout.take().zip(process.stdin.take());
            let pipes = pipes.ok_or("the server has no pipes")?;
            Ok((
                client.serve_with_lifecycle(pipes, lifecycle).await?,
                Some(process),
            ))
        }
    }
}

async fn call(peer: &Peer<RoleClient>, step: &Step) -> Result<Value, ServiceError> {
    let value = match step.kind {
        Kind::Extensions => json!(
            peer.peer_info()
                .and_then(|i| i.capabilities.extensions.clone())
        ),
        Kind::ListTools => json!(peer.list_all_tools().await?),
        Kind::CallTool => {
            let mut params = CallToolRequestParams::new(step.name.clone());
            params.arguments = Some(step.params.clone());
            json!(peer.call_tool(params).await?)
        }
        Kind::Request => {
            let params = Some(Value::Object(step.params.clone()));
            let request = CustomRequest::new(step.name.clone(), params);
            match peer
                .send_request(ClientRequest::CustomRequest(request))
                .await?
            {
                ServerResult::CustomResult(result) => result.0,
                other => json!(other),
            }
        }
    };
    Ok(value)
}
