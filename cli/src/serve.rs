//! `mcp-ext serve`: an MCP server that consists of extensions alone.

use std::net::SocketAddr;
use std::time::Duration;

use mcp_ext::Carries;
use mcp_ext::rmcp::{ServerExtensions, WithExtensions};
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::transport::async_rw::AsyncRwTransport;
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

/// Largest message that is read. The params of a call are bounded at 1 MiB by the set; this leaves room for what stands
/// around them, and spares reading more than that.
const MAX_MESSAGE_BYTES: usize = 2 * 1024 * 1024;

/// How long connections may take to end after Ctrl-C.
const GRACE: Duration = Duration::from_secs(5);

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
    let (input, output) = rmcp::transport::stdio();
    let transport =
        AsyncRwTransport::new_server(input, output).with_max_line_length(MAX_MESSAGE_BYTES);
    let running = match server.serve(transport).await {
        Ok(running) => running,
        // A client that went away before it said anything is no failure of ours.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => {
            return Ok(());
        }
        // rmcp's words hold the client's message, which is nobody's business in a log.
        Err(_) => {
            return Err("the client's first message opens no connection: it must be initialize, or a request with \
                        the protocol version in its _meta"
                .into());
        }
    };
    running
        .waiting()
        .await
        .map_err(|_| "the connection ended in the middle of a message")?;
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
    let mut config = StreamableHttpServerConfig::default().enforce_origin_validation();
    config.max_request_body_bytes = MAX_MESSAGE_BYTES;
    let stop = config.cancellation_token.clone();
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        LocalSessionManager::default().into(),
        config,
    );
    anstream::eprintln!("mcp-ext: serving http://{local}/mcp (Ctrl-C stops)");
    let (begin, begun) = tokio::sync::oneshot::channel();
    let serving = axum::serve(listener, axum::Router::new().route_service("/mcp", service))
        .with_graceful_shutdown(async move {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            stop.cancel();
            let _ = begin.send(());
        })
        .into_future();
    tokio::select! {
        served = serving => served?,
        // A connection that never finishes its request must not keep the process.
        () = async {
            if begun.await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(GRACE).await;
        } => {}
    }
    Ok(())
}
