//! An rmcp server with a client that sends raw frames: over HTTP in memory, and over a pipe in memory.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use mcp_ext::ExtensionSet;
use mcp_ext_wire::{WireLayer, WireService};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tower_layer::Layer;
use tower_service::Service;

use crate::frames::VERSION;

/// Whatever went wrong.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

type Rmcp<S> = StreamableHttpService<S, LocalSessionManager>;

/// A service of Streamable HTTP, without sessions and answering with JSON; no socket is involved.
pub struct Http<T>(T);

impl<S: ServerHandler + Clone> Http<Rmcp<S>> {
    /// rmcp's service, serving `server`; it is cloned for each request.
    pub fn new(server: S) -> Self {
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true);
        Self(StreamableHttpService::new(
            move || Ok(server.clone()),
            Default::default(),
            config,
        ))
    }

    /// The same behind the HTTP layer, which knows nothing of rmcp.
    pub fn behind(self, set: ExtensionSet) -> Http<WireService<Rmcp<S>>> {
        Http(WireLayer::new(set).layer(self.0))
    }
}

/// A service that does nothing but answer.
pub struct Nothing;

impl Service<Request<Full<Bytes>>> for Nothing {
    type Response = Response<Full<Bytes>>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let body = Full::new(Bytes::from_static(br#"{"id":7,"result":{}}"#));
        std::future::ready(Ok(Response::new(body)))
    }
}

impl Http<Nothing> {
    /// Answers everything alike, so that the client alone is measured.
    pub fn nothing() -> Self {
        Self(Nothing)
    }
}

impl<T, B> Http<T>
where
    T: Service<Request<Full<Bytes>>, Response = Response<B>>,
    T::Error: Into<Error>,
    B: BodyExt<Data = Bytes>,
    B::Error: Into<Error>,
{
    /// One request with what the headers repeat of it, and its answer.
    ///
    /// # Errors
    /// When the answer cannot be read.
    pub async fn send(
        &mut self,
        frame: Bytes,
        method: &str,
        name: Option<&str>,
    ) -> Result<Bytes, Error> {
        let mut request = Request::post("http://localhost/mcp")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", VERSION)
            .header("mcp-method", method);
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        let request = request.body(Full::new(frame))?;
        let response = self.0.call(request).await.map_err(Into::into)?;
        let body = response.into_body().collect().await.map_err(Into::into)?;
        Ok(body.to_bytes())
    }
}

/// Newline-delimited frames, as on stdio.
pub struct Pipe {
    read: BufReader<ReadHalf<DuplexStream>>,
    write: WriteHalf<DuplexStream>,
}

impl Pipe {
    /// Starts `server` on the current runtime.
    pub fn new<S: ServerHandler>(server: S) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            if let Ok(running) = server.serve(theirs).await {
                let _ = running.waiting().await;
            }
        });
        let (read, write) = tokio::io::split(ours);
        Self {
            read: BufReader::new(read),
            write,
        }
    }

    /// One line with its end, and the line that comes back.
    ///
    /// # Errors
    /// When the server has gone.
    pub async fn send(&mut self, line: &[u8], answer: &mut String) -> Result<(), Error> {
        self.write.write_all(line).await?;
        answer.clear();
        self.read.read_line(answer).await?;
        Ok(())
    }
}
