//! An rmcp server with a client that sends raw frames: over HTTP in memory, and over a pipe in memory.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};

use crate::frames::VERSION;

/// Whatever went wrong.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// rmcp's Streamable HTTP service, without sessions and answering with JSON; no socket is involved.
pub struct Http<S>(StreamableHttpService<S, LocalSessionManager>);

impl<S: ServerHandler + Clone> Http<S> {
    /// Serves `server`; it is cloned for each request.
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

    /// One request with what the headers repeat of it, and its answer.
    ///
    /// # Errors
    /// When the answer cannot be read.
    pub async fn send(
        &self,
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
        let response = self.0.handle(request.body(Full::new(frame))?).await;
        Ok(response.into_body().collect().await?.to_bytes())
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
