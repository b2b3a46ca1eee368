//! `mcp-ext serve`: an MCP server that consists of extensions alone.

use std::net::SocketAddr;

use mcp_ext::Carries;
use mcp_ext::rmcp::{ServerExtensions, WithExtensions};
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt};

use crate::Error;
use crate::set::Enabled;

/// Serve extensions over stdio, or over Streamable HTTP with --http.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    enabled: Enabled,

    /// Serve Streamable HTTP at http://ADDRESS/mcp instead of stdio. Only loopback addresses: nothing authenticates
    /// callers here. Port 0 takes a free one; the address is printed on standard error.
    #[arg(long, value_name = "127.0.0.1:PORT")]
    http: Option<SocketAddr>,
}

/// The server that is wrapped: it has nothing of its own.
#[derive(Clone)]
struct Bare;

impl ServerHandler for Bare {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::default());
        info.server_info = Implementation::new("mcp-ext", env!("CARGO_PKG_VERSION"));
        info
    }
}

pub async fn run(args: Args) -> Result<(), Error> {
    if args.enabled.names.is_empty() {
        anstream::eprintln!(
            "mcp-ext: no extension is enabled; add for example `--enable healthcare --data bundled`"
        );
    }
    let extensions = args.enabled.build()?;
    for hint in args.enabled.hints() {
        anstream::eprintln!("mcp-ext: {hint}");
    }
    // Sessions are kept on both transports, so that nothing a legacy client declared gets lost.
    let carries = Carries {
        stateless_legacy_declarations: true,
        ..mcp_ext::rmcp::CARRIES
    };
    for gap in extensions.report(&carries) {
        anstream::eprintln!("mcp-ext: {gap}");
    }
    let server = Bare.with_extensions(extensions)?;
    match args.http {
        None => stdio(server).await,
        Some(address) => http(server, address).await,
    }
}

/// Ends when standard input does.
async fn stdio(server: WithExtensions<Bare>) -> Result<(), Error> {
    let running = match server.serve(rmcp::transport::stdio()).await {
        Ok(running) => running,
        // A client that went away before it said anything is no failure of ours.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => {
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    running.waiting().await?;
    Ok(())
}

async fn http(server: WithExtensions<Bare>, address: SocketAddr) -> Result<(), Error> {
    if !address.ip().is_loopback() {
        return Err(format!(
            "--http {address}: only loopback addresses are served, since nothing authenticates callers here; \
             put the extensions into your own server for anything else"
        )
        .into());
    }
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|e| format!("cannot listen on {address}: {e}"))?;
    let local = listener.local_addr()?;
    let config = StreamableHttpServerConfig::default().enforce_origin_validation();
    let stop = config.cancellation_token.clone();
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        LocalSessionManager::default().into(),
        config,
    );
    anstream::eprintln!("mcp-ext: serving http://{local}/mcp (Ctrl-C stops)");
    axum::serve(listener, axum::Router::new().route_service("/mcp", service))
        .with_graceful_shutdown(async move {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            stop.cancel();
        })
        .await?;
    Ok(())
}
