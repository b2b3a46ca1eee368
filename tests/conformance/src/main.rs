//! A server that has the tools, resources and prompts which the MCP conformance suite calls, over HTTP on a free
//! loopback port. With `--extensions` every extension that ships stands in front of it, by the rmcp adapter.
//!
//! The address goes to standard error as `serving http://...`. It ends when standard input does.

mod items;
mod rounds;
mod server;
mod tools;

use std::io::Read;
use std::sync::Arc;

use mcp_ext::citations::Citations;
use mcp_ext::healthcare::{AccessScope, FhirExtension, FhirServer, FhirSettings, FhirStore};
use mcp_ext::labels::Labels;
use mcp_ext::prelude::*;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Arc::new(server::Fixture::default());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => serve(server).await,
        ["--extensions"] => serve(server.with_extensions(shipped()?)?).await,
        other => Err(format!("unknown arguments {other:?}; there is only --extensions").into()),
    }
}

/// Every extension that ships, on bundled data. `run` compares the identifiers with those of `mcp-ext list`.
fn shipped() -> Result<ExtensionSet, Error> {
    let fhir = FhirServer::with_scope(FhirStore::bundled()?, |_| AccessScope::all());
    let builder = ExtensionSet::builder();
    let builder = builder
        .enable(FhirExtension::provide(fhir.clone()).settings(FhirSettings::r4()))
        .enable(Labels::new().source(fhir.clone()).enable())
        .enable(Citations::new().source(fhir).enable());
    Ok(builder.build()?)
}

async fn serve<S: ServerHandler + Clone>(server: S) -> Result<(), Error> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut config = StreamableHttpServerConfig::default();
    config.allowed_origins = ["http://localhost:*", "http://127.0.0.1:*"]
        .map(str::to_owned)
        .into();
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        LocalSessionManager::default().into(),
        config,
    );
    let router = axum::Router::new().route_service("/mcp", service);
    eprintln!("serving http://{address}/mcp");
    // Whoever started this holds the other end, and it closes however they end.
    let (gone, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        drop(gone);
    });
    tokio::select! {
        served = axum::serve(listener, router).into_future() => Ok(served?),
        _ = ended => Ok(()),
    }
}
