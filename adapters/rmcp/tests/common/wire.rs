//! A client that speaks raw frames to a server, over a byte stream or HTTP, in either era.

use std::net::SocketAddr;
use std::time::Duration;

use mcp_ext_core::protocol::Era;
use rmcp::{ServerHandler, ServiceExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};

use super::{frames, http};

pub const MODERN: &str = "2026-07-28";
pub const LEGACY: &str = "2025-11-25";

/// How client and server are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Newline-delimited frames, as on stdio.
    Stdio,
    /// Streamable HTTP with sessions for legacy clients, answering with event streams.
    HttpSessions,
    /// Streamable HTTP without sessions, answering with JSON.
    HttpStateless,
}

pub const CARRIERS: [Carrier; 3] = [
    Carrier::Stdio,
    Carrier::HttpSessions,
    Carrier::HttpStateless,
];

impl Carrier {
    pub fn is_http(self) -> bool {
        self != Carrier::Stdio
    }
}

/// What came back for one request.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status, where there is one.
    pub status: Option<u16>,
    /// The response frame.
    pub frame: Value,
    /// What was sent before it.
    pub before: Vec<Value>,
}

impl Answer {
    #[track_caller]
    pub fn result(&self) -> &Value {
        self.frame
            .get("result")
            .unwrap_or_else(|| panic!("an error: {}", self.frame))
    }

    #[track_caller]
    pub fn error(&self) -> &Value {
        self.frame
            .get("error")
            .unwrap_or_else(|| panic!("a result: {}", self.frame))
    }

    /// Asserts code and, over HTTP, status.
    #[track_caller]
    pub fn refused(&self, code: i64, status: u16) -> &Value {
        assert_eq!(self.error()["code"], code, "{}", self.frame);
        if let Some(seen) = self.status {
            assert_eq!(seen, status, "HTTP status of {}", self.frame);
        }
        self.error()
    }
}

/// A client.
pub struct Client {
    pub carrier: Carrier,
    pub era: Era,
    /// What is declared under `extensions`; `None` declares nothing.
    pub declared: Option<Value>,
    /// Further headers, over HTTP.
    pub headers: Vec<(&'static str, String)>,
    /// The answer to `initialize` or `server/discover`.
    pub greeting: Value,
    pipe: Pipe,
    next: i64,
}

enum Pipe {
    Stdio {
        read: BufReader<ReadHalf<DuplexStream>>,
        write: WriteHalf<DuplexStream>,
    },
    Http {
        address: SocketAddr,
        session: Option<String>,
    },
}

impl Client {
    /// Starts `server` and greets it as a client of `era` would.
    pub async fn connect<S>(server: S, carrier: Carrier, era: Era, declared: Option<Value>) -> Self
    where
        S: ServerHandler + Clone,
    {
        let mut client = Self::silent(server, carrier, era, declared).await;
        client.greet().await;
        client
    }

    /// Starts `server` without sending anything.
    pub async fn silent<S>(server: S, carrier: Carrier, era: Era, declared: Option<Value>) -> Self
    where
        S: ServerHandler + Clone,
    {
        let pipe = match carrier {
            Carrier::Stdio => {
                let (ours, theirs) = tokio::io::duplex(1 << 22);
                tokio::spawn(async move {
                    if let Ok(running) = server.serve(theirs).await {
                        let _ = running.waiting().await;
                    }
                });
                let (read, write) = tokio::io::split(ours);
                Pipe::Stdio {
                    read: BufReader::new(read),
                    write,
                }
            }
            _ => Pipe::Http {
                address: http::serve(server, carrier == Carrier::HttpSessions).await,
                session: None,
            },
        };
        Self {
            carrier,
            era,
            declared,
            headers: Vec::new(),
            greeting: Value::Null,
            pipe,
            next: 1,
        }
    }

    /// Another client of the same HTTP server.
    pub async fn beside(&self, era: Era, declared: Option<Value>) -> Self {
        let Pipe::Http { address, .. } = self.pipe else {
            panic!("only HTTP servers take several clients")
        };
        let pipe = Pipe::Http {
            address,
            session: None,
        };
        let mut client = Self {
            carrier: self.carrier,
            era,
            declared,
            headers: Vec::new(),
            greeting: Value::Null,
            pipe,
            next: 1,
        };
        client.greet().await;
        client
    }

    pub fn address(&self) -> SocketAddr {
        match self.pipe {
            Pipe::Http { address, .. } => address,
            Pipe::Stdio { .. } => panic!("stdio has no address"),
        }
    }

    async fn greet(&mut self) {
        match self.era {
            Era::Modern => {
                self.greeting = self
                    .call("server/discover", json!({}))
                    .await
                    .result()
                    .clone()
            }
            Era::Legacy => {
                let params = json!({
                    "protocolVersion": LEGACY,
                    "capabilities": self.capabilities(),
                    "clientInfo": {"name": "raw", "version": "1"},
                });
                self.greeting = self.call("initialize", params).await.result().clone();
                self.notify("notifications/initialized", json!({})).await;
            }
        }
    }

    pub fn capabilities(&self) -> Value {
        match &self.declared {
            Some(extensions) => json!({ "extensions": extensions }),
            None => json!({}),
        }
    }

    /// Params with what a modern client puts into `_meta`.
    pub fn stamped(&self, mut params: Value) -> Value {
        if self.era == Era::Modern
            && params
                .pointer("/_meta/io.modelcontextprotocol~1protocolVersion")
                .is_none()
        {
            let mut meta = params.get("_meta").cloned().unwrap_or_else(|| json!({}));
            meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "raw", "version": "1"});
            meta["io.modelcontextprotocol/clientCapabilities"] = self.capabilities();
            params["_meta"] = meta;
        }
        params
    }

    /// The headers that go with a frame.
    pub fn headers_for(&self, frame: &Value) -> Vec<(&'static str, String)> {
        let mut headers = self.headers.clone();
        let has = |name: &str| {
            self.headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name))
        };
        let method = frame["method"].as_str().unwrap_or_default();
        let version = match self.era {
            Era::Modern => MODERN,
            Era::Legacy => LEGACY,
        };
        if !has("MCP-Protocol-Version") && method != "initialize" {
            headers.push(("MCP-Protocol-Version", version.to_owned()));
        }
        if self.era == Era::Modern {
            if !has("Mcp-Method") {
                headers.push(("Mcp-Method", method.to_owned()));
            }
            let name = match method {
                "tools/call" | "prompts/get" => frame["params"]["name"].as_str(),
                "resources/read" => frame["params"]["uri"].as_str(),
                _ => None,
            };
            if let (Some(name), false) = (name, has("Mcp-Name")) {
                headers.push(("Mcp-Name", name.to_owned()));
            }
        }
        if let Pipe::Http {
            session: Some(session),
            ..
        } = &self.pipe
        {
            headers.push(("Mcp-Session-Id", session.clone()));
        }
        headers.retain(|(_, value)| !value.is_empty());
        headers
    }

    /// One request and its answer; every frame is validated.
    pub async fn call(&mut self, method: &str, params: Value) -> Answer {
        let params = self.stamped(params);
        self.send(json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}))
            .await
    }

    /// A tool call.
    pub async fn tool(&mut self, name: &str, arguments: Value) -> Answer {
        self.call("tools/call", json!({"name": name, "arguments": arguments}))
            .await
    }

    /// One request frame as it is, except for its id, and its answer.
    pub async fn send(&mut self, mut frame: Value) -> Answer {
        let id = self.start(&mut frame);
        let method = frame["method"].as_str().unwrap_or_default().to_owned();
        let headers = self.headers_for(&frame);
        let (status, frames) = match &mut self.pipe {
            Pipe::Stdio { .. } => {
                self.write(&frame).await;
                (None, self.until(id).await)
            }
            Pipe::Http { address, session } => {
                let response = http::post(*address, &headers, &frame.to_string()).await;
                if let Some(issued) = response.header("mcp-session-id") {
                    *session = Some(issued.to_owned());
                }
                (Some(response.status), response.frames())
            }
        };
        let mut before = frames;
        let answer = before
            .pop()
            .unwrap_or_else(|| panic!("no answer to {frame}, status {status:?}"));
        for frame in &before {
            frames::check(self.era, None, frame);
        }
        frames::check(self.era, Some(&method), &answer);
        assert_eq!(answer["id"], id, "{answer}");
        Answer {
            status,
            frame: answer,
            before,
        }
    }

    /// Gives a frame its id.
    pub fn start(&mut self, frame: &mut Value) -> i64 {
        let id = self.next;
        self.next += 1;
        frame["id"] = json!(id);
        id
    }

    /// A notification.
    pub async fn notify(&mut self, method: &str, params: Value) {
        let frame = json!({"jsonrpc": "2.0", "method": method, "params": params});
        let headers = self.headers_for(&frame);
        match &mut self.pipe {
            Pipe::Stdio { .. } => self.write(&frame).await,
            Pipe::Http { address, .. } => {
                let response = http::post(*address, &headers, &frame.to_string()).await;
                assert_eq!(
                    (response.status, response.body.as_str()),
                    (202, ""),
                    "HDR-10: {frame}"
                );
            }
        }
    }

    /// Writes one line; stdio only.
    pub async fn write(&mut self, frame: &Value) {
        self.write_text(&frame.to_string()).await;
    }

    pub async fn write_text(&mut self, text: &str) {
        let Pipe::Stdio { write, .. } = &mut self.pipe else {
            panic!("only stdio has lines")
        };
        write
            .write_all(format!("{text}\n").as_bytes())
            .await
            .unwrap();
    }

    /// Reads one line within `wait`; stdio only.
    pub async fn read(&mut self, wait: Duration) -> Option<Value> {
        let Pipe::Stdio { read, .. } = &mut self.pipe else {
            panic!("only stdio has lines")
        };
        let mut line = String::new();
        let n = tokio::time::timeout(wait, read.read_line(&mut line))
            .await
            .ok()?
            .unwrap();
        (n > 0)
            .then(|| serde_json::from_str(&line).unwrap_or_else(|e| panic!("HDR-13, {e}: {line}")))
    }

    async fn until(&mut self, id: i64) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let wait = Duration::from_secs(20);
            let frame = self
                .read(wait)
                .await
                .unwrap_or_else(|| panic!("no answer to {id}; before: {frames:?}"));
            let ours =
                frame.get("method").is_none() && (frame["id"] == id || frame.get("id").is_none());
            frames.push(frame);
            if ours {
                return frames;
            }
        }
    }
}
