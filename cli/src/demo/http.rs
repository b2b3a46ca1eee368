//! A server as a child process on a loopback port, and a proxy in front of it that captures every body.

use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::log::{From, Log};
use crate::Error;

/// Starts the server on a free port; gives the process and its URL.
pub async fn start(command: &[String]) -> Result<(Child, String), Error> {
    let (program, args) = command
        .split_first()
        .ok_or("the demo's server command is empty")?;
    let mut child = Command::new(program)
        .args(args)
        .args(["--http", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("cannot start the demo's server {program}: {e}"))?;
    let stderr = child
        .stderr
        .take()
        .ok_or("the server has no standard error")?;
    let mut lines = BufReader::new(stderr).lines();
    let url = tokio::time::timeout(Duration::from_secs(30), async {
        while let Some(line) = lines.next_line().await? {
            if let Some(url) = line
                .split_whitespace()
                .find(|word| word.starts_with("http://"))
            {
                return Ok::<_, std::io::Error>(Some(url.to_owned()));
            }
        }
        Ok(None)
    })
    .await
    .map_err(|_| "the server did not say within 30 seconds where it listens")??
    .ok_or("the server ended before it said where it listens")?;
    // Its later messages must not fill the pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((child, url))
}

#[derive(Clone)]
struct Proxy {
    upstream: String,
    client: reqwest::Client,
    log: Log,
}

/// Starts a capturing proxy; gives the URL that clients use instead.
pub async fn capture(upstream: &str, log: &Log) -> Result<String, Error> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    let state = Proxy {
        upstream: upstream.to_owned(),
        client: reqwest::Client::new(),
        log: log.clone(),
    };
    let app = Router::new().fallback(forward).with_state(state);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(url)
}

async fn forward(State(proxy): State<Proxy>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, 4 * 1024 * 1024).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    proxy.log.record(From::Client, None, &body);
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let sent = proxy
        .client
        .request(parts.method, &proxy.upstream)
        .headers(headers)
        .body(body)
        .send()
        .await;
    match sent {
        Ok(answer) => relay(answer, proxy.log),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// Passes the answer on as it arrives, and records its JSON or each event of its stream.
fn relay(answer: reqwest::Response, log: Log) -> Response {
    let status = answer.status();
    let mut headers = HeaderMap::new();
    for (name, value) in answer.headers() {
        if name != header::TRANSFER_ENCODING
            && name != header::CONTENT_LENGTH
            && name != header::CONNECTION
        {
            headers.append(name.clone(), value.clone());
        }
    }
    let events = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.starts_with("text/event-stream"));
    let mut recorder = Recorder {
        log,
        status: status.as_u16(),
        events,
        pending: Vec::new(),
    };
    let stream = answer.bytes_stream().map(move |chunk| {
        if let Ok(bytes) = &chunk {
            recorder.take(bytes);
        }
        chunk
    });
    let mut response = Body::from_stream(stream).into_response();
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

struct Recorder {
    log: Log,
    status: u16,
    events: bool,
    pending: Vec<u8>,
}

impl Recorder {
    fn take(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if !self.events {
            return;
        }
        while let Some(end) = self.pending.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            if let Some(data) = line.strip_prefix(b"data:") {
                self.log.record(From::Server, Some(self.status), data);
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.events {
            self.log
                .record(From::Server, Some(self.status), &self.pending);
        }
    }
}
