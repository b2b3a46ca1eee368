//! A proxy between a client that the test plays and a server that it scripts, on loopback sockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp_ext_core::ExtensionSet;
use mcp_ext_wire::{HttpOptions, ProxyOptions, WireBody, proxy};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(20);

/// A request as the server got it.
#[derive(Clone, Debug)]
pub struct Got {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn rpc_method(&self) -> String {
        self.json()["method"].as_str().unwrap_or("-").to_owned()
    }
}

pub fn body(bytes: impl Into<Bytes>) -> WireBody {
    WireBody::from(bytes.into())
}

/// What is sent piece by piece, while the test watches.
pub struct Pieces(pub tokio::sync::mpsc::Receiver<Result<Bytes, std::io::Error>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|piece| piece.map(http_body::Frame::data)))
    }
}

/// Serves `answer` on a loopback port; what it got is kept.
pub async fn upstream(
    answer: impl Fn(&Got) -> Response<WireBody> + Send + Sync + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<Got>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let got = Arc::new(Mutex::new(Vec::new()));
    let (answer, log) = (Arc::new(answer), got.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (answer, log) = (answer.clone(), log.clone());
            tokio::spawn(async move {
                let handler = service_fn(move |request: Request<Incoming>| {
                    let (answer, log) = (answer.clone(), log.clone());
                    async move {
                        let (parts, body) = request.into_parts();
                        let got = Got {
                            method: parts.method,
                            path: parts.uri.path().to_owned(),
                            headers: parts.headers,
                            body: body.collect().await.unwrap().to_bytes(),
                        };
                        log.lock().unwrap().push(got.clone());
                        Ok::<_, Infallible>(answer(&got))
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), handler)
                    .await;
            });
        }
    });
    (address, got)
}

pub struct Rig {
    pub address: SocketAddr,
    pub got: Arc<Mutex<Vec<Got>>>,
    pub stop: Option<oneshot::Sender<()>>,
    pub ended: tokio::task::JoinHandle<()>,
}

impl Rig {
    pub fn methods(&self) -> Vec<String> {
        self.got
            .lock()
            .unwrap()
            .iter()
            .map(Got::rpc_method)
            .collect()
    }

    pub fn clear(&self) {
        self.got.lock().unwrap().clear();
    }
}

pub async fn front(set: ExtensionSet, upstream: SocketAddr, options: ProxyOptions) -> Rig {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let url = format!("http://{upstream}/mcp").parse().unwrap();
    let ended = tokio::spawn(async move {
        proxy(set, listener, url, options, async {
            let _ = stopped.await;
        })
        .await
        .unwrap();
    });
    Rig {
        address,
        got: Arc::default(),
        stop: Some(stop),
        ended,
    }
}

pub async fn rig_with(
    set: ExtensionSet,
    options: HttpOptions,
    answer: impl Fn(&Got) -> Response<WireBody> + Send + Sync + 'static,
) -> Rig {
    let (server, got) = upstream(answer).await;
    let options = ProxyOptions {
        http: options,
        grace: Duration::from_millis(300),
        ..Default::default()
    };
    let rig = front(set, server, options).await;
    Rig { got, ..rig }
}

pub async fn rig(
    set: ExtensionSet,
    answer: impl Fn(&Got) -> Response<WireBody> + Send + Sync + 'static,
) -> Rig {
    rig_with(set, HttpOptions::default(), answer).await
}

pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// Sends a request; the body of the answer is not read yet.
pub async fn open(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: Headers<'_>,
    body: Bytes,
) -> Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).unwrap();
    tokio::time::timeout(PATIENCE, sender.send_request(request))
        .await
        .expect("no answer")
        .unwrap()
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn of(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect())
            .await
            .expect("no end of the answer")
            .unwrap();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_bytes(),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The frames, whether the body is JSON or a stream of events.
    pub fn frames(&self) -> Vec<Value> {
        let kind = self
            .headers
            .get("content-type")
            .map_or("", |k| k.to_str().unwrap());
        if !kind.starts_with("text/event-stream") {
            return vec![
                serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}")),
            ];
        }
        self.text()
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .filter(|data| !data.trim().is_empty())
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// The last frame.
    pub fn json(&self) -> Value {
        self.frames().pop().unwrap()
    }
}

pub async fn post(address: SocketAddr, headers: Headers<'_>, frame: &Value) -> Answer {
    let common = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let headers = [&common, headers].concat();
    let body = frame.to_string().into();
    Answer::of(open(address, Method::POST, "/mcp", &headers, body).await).await
}

/// A modern request with the headers it needs.
pub async fn modern_post(address: SocketAddr, more: Headers<'_>, frame: &Value) -> Answer {
    let method = frame["method"].as_str().unwrap();
    let mut headers = vec![
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ];
    if let Some(name) = frame["params"]["name"].as_str() {
        headers.push(("mcp-name", name));
    }
    headers.extend(more);
    post(address, &headers, frame).await
}
