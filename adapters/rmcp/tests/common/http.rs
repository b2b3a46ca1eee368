//! Streamable HTTP on a real loopback socket: rmcp's service behind hyper, and a client that shows every byte.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp_ext_core::Principal;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The header from which the test's middleware takes the principal.
pub const USER: &str = "x-test-user";

/// Serves `server` on a loopback port; it is cloned for each POST.
pub async fn serve<S: ServerHandler + Clone>(server: S, sessions: bool) -> SocketAddr {
    serve_watched(server, sessions, |_| {}).await
}

/// As [`serve`], showing the head of each request to `watch`.
pub async fn serve_watched<S: ServerHandler + Clone>(
    server: S,
    sessions: bool,
    watch: impl Fn(&hyper::HeaderMap) + Clone + Send + Sync + 'static,
) -> SocketAddr {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(sessions)
        .with_json_response(!sessions);
    let service: StreamableHttpService<S, LocalSessionManager> =
        StreamableHttpService::new(move || Ok(server.clone()), Default::default(), config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (service, watch) = (service.clone(), watch.clone());
            tokio::spawn(async move {
                let handler =
                    service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
                        let service = service.clone();
                        watch(request.headers());
                        async move {
                            if let Some(user) =
                                request.headers().get(USER).and_then(|v| v.to_str().ok())
                            {
                                let principal = Principal::new(user);
                                request.extensions_mut().insert(principal);
                            }
                            Ok::<_, Infallible>(service.handle(request).await)
                        }
                    });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), handler)
                    .await;
            });
        }
    });
    address
}

/// One answer of an HTTP server.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// The JSON-RPC frames of the body, in order, whether it is JSON or a stream of events.
    pub fn frames(&self) -> Vec<Value> {
        match self.header("content-type") {
            Some(kind) if kind.starts_with("text/event-stream") => self
                .body
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .filter(|data| !data.trim().is_empty())
                .map(|data| serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}")))
                .collect(),
            Some(kind) if kind.starts_with("application/json") => {
                vec![serde_json::from_str(&self.body).unwrap()]
            }
            _ => Vec::new(),
        }
    }
}

/// Opens a connection and sends a POST; the answer is not read yet.
pub async fn open(address: SocketAddr, headers: &[(&str, String)], body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream
        .write_all(format!("{head}\r\n{body}").as_bytes())
        .await
        .unwrap();
    stream
}

/// Sends a POST and reads the whole answer.
pub async fn post(address: SocketAddr, headers: &[(&str, String)], body: &str) -> Response {
    let mut stream = open(address, headers, body).await;
    let mut bytes = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes))
        .await
        .unwrap_or_else(|_| {
            panic!(
                "no end of the answer to {body}; so far: {}",
                String::from_utf8_lossy(&bytes)
            )
        })
        .unwrap();
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Response {
    let split = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a head");
    let head = std::str::from_utf8(&bytes[..split]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))
        .collect();
    let mut rest = &bytes[split + 4..];
    let chunked = headers
        .iter()
        .any(|(n, v)| n.eq_ignore_ascii_case("transfer-encoding") && v == "chunked");
    let mut body = Vec::new();
    if chunked {
        loop {
            let end = rest
                .windows(2)
                .position(|w| w == b"\r\n")
                .expect("a chunk size");
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap().trim(), 16)
                .unwrap();
            if size == 0 {
                break;
            }
            body.extend_from_slice(&rest[end + 2..end + 2 + size]);
            rest = &rest[end + 4 + size..];
        }
    } else {
        body.extend_from_slice(rest);
    }
    Response {
        status,
        headers,
        body: String::from_utf8(body).unwrap(),
    }
}
