//! A client that speaks frames, and shows all that comes back.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::oneshot;

use crate::checks::Outcome;
use crate::scene::{Place, Server};

/// The extension's identifier.
pub const ID: &str = "com.example/acceptance";
/// The newer revision.
pub const MODERN: &str = "2026-07-28";
/// The older revision.
pub const LEGACY: &str = "2025-11-25";
/// Longest wait for an answer. Some servers take seconds to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came back for a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The response.
    pub frame: Value,
    /// The HTTP status, over HTTP.
    pub status: Option<u16>,
    /// Notifications that came before the response: over HTTP on its own stream.
    pub before: Vec<Value>,
}

impl Answer {
    /// The result.
    ///
    /// # Errors
    /// When it is an error.
    pub fn result(&self) -> Outcome<&Value> {
        self.frame
            .get("result")
            .ok_or_else(|| format!("a result was expected, but: {self}"))
    }

    /// The error object, which has to have this code, and over HTTP this status.
    ///
    /// # Errors
    /// When it is another or none.
    pub fn error(&self, code: i64, status: u16) -> Outcome<&Value> {
        let error = self.frame.get("error").filter(|e| e["code"] == code);
        match (error, self.status) {
            (Some(error), None) => Ok(error),
            (Some(error), Some(seen)) if seen == status => Ok(error),
            _ => Err(format!(
                "the error {code} was expected, over HTTP with status {status}, but: {self}"
            )),
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(status) = self.status {
            write!(f, "HTTP {status} ")?;
        }
        write!(f, "{}", self.frame)
    }
}

/// A client, on a connection that others may share.
#[derive(Clone)]
pub struct Client {
    connection: Arc<Connection>,
    declares: Option<Value>,
}

impl Client {
    pub(crate) fn new(connection: Arc<Connection>, declares: Option<Value>) -> Self {
        Self {
            connection,
            declares,
        }
    }

    /// The answer that opened the session, or to `server/discover`.
    pub fn opening(&self) -> Answer {
        lock(&self.connection.opening).clone().unwrap_or(Answer {
            frame: Value::Null,
            status: None,
            before: Vec::new(),
        })
    }

    /// A request, with what this client declares in its `_meta` where that is the way.
    pub fn request(&self, method: &str, params: Value) -> Value {
        self.connection
            .request(self.declares.as_ref(), method, params)
    }

    /// Calls, and waits for the answer.
    ///
    /// # Errors
    /// When none comes.
    pub async fn call(&self, method: &str, params: Value) -> Outcome<Answer> {
        self.post(&self.request(method, params), &[]).await
    }

    /// Calls one of the extension's methods.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn method(&self, name: &str, params: Value) -> Outcome<Answer> {
        self.call(&format!("{ID}/{name}"), params).await
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn tool(&self, name: &str, arguments: Value) -> Outcome<Answer> {
        self.call(
            "tools/call",
            json!({ "name": name, "arguments": arguments }),
        )
        .await
    }

    /// Sends a request as it is. Over HTTP with the headers that fit it, and these instead of or beside them; an empty
    /// one takes a header away.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post(&self, frame: &Value, headers: &[(&str, &str)]) -> Outcome<Answer> {
        let answer = self.connection.send(frame, headers);
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer to {frame}")),
        }
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub async fn notify(&self, method: &str, params: Value) -> Outcome<()> {
        let frame = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.connection.notify(&frame).await
    }

    /// Opens a listen stream; gives the answer if that is not one.
    ///
    /// # Errors
    /// When nothing comes.
    pub async fn listen(&self, filter: Value) -> Outcome<Result<Listening, Answer>> {
        let frame = self.request("subscriptions/listen", json!({ "notifications": filter }));
        let opened = self.connection.open_stream(&frame);
        match tokio::time::timeout(PATIENCE, opened).await {
            Ok(opened) => opened,
            Err(_) => Err(format!("no answer to {frame}")),
        }
    }

    /// Notifications that came outside of any answer's stream: all over stdio, those of a session over HTTP.
    pub fn heard(&self) -> Vec<Value> {
        lock(&self.connection.heard).clone()
    }
}

/// A listen stream.
pub struct Listening {
    /// The id of its request.
    pub id: Value,
    heard: Arc<Mutex<Vec<Value>>>,
    /// Over stdio all streams share one; over HTTP what reads is stopped with this.
    reader: Option<tokio::task::JoinHandle<()>>,
}

impl Listening {
    /// What has come on the stream, as soon as it is so many messages.
    ///
    /// # Errors
    /// When they do not come.
    pub async fn frames(&self, count: usize) -> Outcome<Vec<Value>> {
        for _ in 0..800 {
            let frames = self.so_far();
            if frames.len() >= count {
                return Ok(frames);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Err(format!(
            "{count} messages were expected on the stream, but: {:?}",
            self.so_far()
        ))
    }

    fn so_far(&self) -> Vec<Value> {
        let heard = lock(&self.heard);
        let on =
            |f: &&Value| f["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == self.id;
        heard.iter().filter(on).cloned().collect()
    }

    /// Ends it, in the way of the transport.
    ///
    /// # Errors
    /// When it cannot be said.
    pub async fn end(&self, client: &Client) -> Outcome<()> {
        match &self.reader {
            Some(reader) => {
                reader.abort();
                Ok(())
            }
            None => {
                client
                    .notify("notifications/cancelled", json!({ "requestId": self.id }))
                    .await
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<(Value, Vec<Value>)>>>>;

/// One process, or one session over HTTP.
pub struct Connection {
    place: Place,
    /// What the whole session declares, where there is a session.
    declares: Option<Value>,
    wire: Wire,
    next: AtomicU64,
    opening: Mutex<Option<Answer>>,
    heard: Arc<Mutex<Vec<Value>>>,
}

enum Wire {
    Stdio {
        stdin: tokio::sync::Mutex<ChildStdin>,
        waiting: Waiting,
        ended: Arc<AtomicBool>,
        _child: Box<Child>,
    },
    Http {
        http: reqwest::Client,
        url: String,
        session: Mutex<Option<String>>,
    },
}

impl Connection {
    /// Connects; nothing is said yet.
    pub(crate) async fn new(
        place: Place,
        server: Server,
        declares: Option<Value>,
    ) -> Outcome<Self> {
        let heard = Arc::default();
        let wire = match server {
            Server::Command(command) => stdio(&command, &heard)?,
            Server::Url(url) => {
                let http = reqwest::Client::builder()
                    .no_proxy()
                    .build()
                    .map_err(|e| e.to_string())?;
                Wire::Http {
                    http,
                    url,
                    session: Mutex::default(),
                }
            }
        };
        Ok(Self {
            place,
            declares,
            wire,
            next: AtomicU64::new(1),
            opening: Mutex::default(),
            heard,
        })
    }

    /// Opens a session in the older era; asks what the server is in the newer.
    pub(crate) async fn open(&self) -> Outcome<()> {
        let frame = if self.place.modern() {
            self.request(None, "server/discover", json!({}))
        } else {
            json!({ "jsonrpc": "2.0", "id": self.id(), "method": "initialize", "params": {
                "protocolVersion": LEGACY,
                "clientInfo": { "name": "acceptance", "version": "1" },
                "capabilities": capabilities(self.declares.as_ref()),
            } })
        };
        let answer = tokio::time::timeout(PATIENCE, self.send(&frame, &[])).await;
        let answer = answer.map_err(|_| format!("no answer to {frame}"))??;
        answer.result()?;
        *lock(&self.opening) = Some(answer);
        if !self.place.modern() {
            self.notify(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
                .await?;
            self.listen().await;
        }
        Ok(())
    }

    fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn request(&self, declares: Option<&Value>, method: &str, mut params: Value) -> Value {
        let meta = if self.place.modern() {
            Some(json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientInfo": { "name": "acceptance", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": capabilities(declares),
            }))
        } else if self.forgetful() {
            // Nobody keeps what `initialize` declared: it is repeated.
            Some(json!({ "io.modelcontextprotocol/clientCapabilities": capabilities(declares) }))
        } else {
            None
        };
        for (key, value) in meta
            .as_ref()
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            params["_meta"][key] = value.clone();
        }
        json!({ "jsonrpc": "2.0", "id": self.id(), "method": method, "params": params })
    }

    /// A server of the older era without sessions.
    fn forgetful(&self) -> bool {
        let opened = lock(&self.opening).is_some();
        matches!(&self.wire, Wire::Http { session, .. } if opened && lock(session).is_none())
    }

    /// Whether its process has ended.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(&self.wire, Wire::Stdio { ended, .. } if ended.load(Ordering::Acquire))
    }

    async fn send(&self, frame: &Value, headers: &[(&str, &str)]) -> Outcome<Answer> {
        match &self.wire {
            Wire::Stdio { stdin, waiting, .. } => {
                let (tell, told) = oneshot::channel();
                lock(waiting).insert(frame["id"].to_string(), tell);
                let before = lock(&self.heard).len();
                write(stdin, frame).await?;
                let (frame, heard) = told
                    .await
                    .map_err(|_| format!("the server ended before it answered {frame}"))?;
                Ok(Answer {
                    frame,
                    status: None,
                    before: heard.into_iter().skip(before).collect(),
                })
            }
            Wire::Http { .. } => self.exchange(frame, headers).await,
        }
    }

    async fn open_stream(&self, frame: &Value) -> Outcome<Result<Listening, Answer>> {
        let id = frame["id"].clone();
        let Wire::Stdio { stdin, waiting, .. } = &self.wire else {
            return self.open_http_stream(frame).await;
        };
        let (tell, mut told) = oneshot::channel();
        lock(waiting).insert(id.to_string(), tell);
        write(stdin, frame).await?;
        let heard = self.heard.clone();
        let stream = Listening {
            id,
            heard,
            reader: None,
        };
        loop {
            if !stream.so_far().is_empty() {
                return Ok(Ok(stream));
            }
            let wait = tokio::time::timeout(Duration::from_millis(25), &mut told);
            if let Ok(answer) = wait.await {
                let (frame, _) = answer.map_err(|_| "the server ended".to_owned())?;
                return Ok(Err(Answer {
                    frame,
                    status: None,
                    before: Vec::new(),
                }));
            }
        }
    }

    async fn open_http_stream(&self, frame: &Value) -> Outcome<Result<Listening, Answer>> {
        let mut response = self.http_post(frame, &[]).await?;
        let status = response.status().as_u16();
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|k| k.to_str().ok());
        if !kind.unwrap_or_default().starts_with("text/event-stream") {
            let body = response.text().await.map_err(|e| format!("{e:?}"))?;
            let frame = serde_json::from_str(&body).unwrap_or(Value::String(body));
            return Ok(Err(Answer {
                frame,
                status: Some(status),
                before: Vec::new(),
            }));
        }
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (into, id) = (heard.clone(), frame["id"].clone());
        let mut events = Events::default();
        // An error may come on a stream, too.
        while lock(&heard).is_empty() {
            let chunk = response.chunk().await.map_err(|e| format!("{e:?}"))?;
            let chunk = chunk.ok_or("the stream ended before anything came on it")?;
            for event in events.feed(&chunk) {
                if event["id"] == id {
                    return Ok(Err(Answer {
                        frame: event,
                        status: Some(status),
                        before: Vec::new(),
                    }));
                }
                lock(&into).push(event);
            }
        }
        let reader = tokio::spawn(async move {
            while let Ok(Some(chunk)) = response.chunk().await {
                lock(&into).extend(events.feed(&chunk));
            }
        });
        Ok(Ok(Listening {
            id,
            heard,
            reader: Some(reader),
        }))
    }

    async fn notify(&self, frame: &Value) -> Outcome<()> {
        match &self.wire {
            Wire::Stdio { stdin, .. } => write(stdin, frame).await,
            Wire::Http { .. } => {
                let response = self.http_post(frame, &[]).await?;
                match response.status().as_u16() {
                    200..300 => Ok(()),
                    status => Err(format!("HTTP {status} to {frame}")),
                }
            }
        }
    }

    async fn http_post(
        &self,
        frame: &Value,
        replaced: &[(&str, &str)],
    ) -> Outcome<reqwest::Response> {
        let Wire::Http { http, url, session } = &self.wire else {
            return Err("not over HTTP".to_owned());
        };
        let mut headers = HeaderMap::new();
        let mut set = |name: &str, value: &str| -> Outcome<()> {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| e.to_string())?;
            if value.is_empty() {
                headers.remove(name);
            } else {
                headers.insert(
                    name,
                    HeaderValue::from_str(value).map_err(|e| e.to_string())?,
                );
            }
            Ok(())
        };
        set("content-type", "application/json")?;
        set("accept", "application/json, text/event-stream")?;
        if self.place.modern() {
            set("mcp-protocol-version", MODERN)?;
            set("mcp-method", frame["method"].as_str().unwrap_or_default())?;
            let named = matches!(frame["method"].as_str(), Some("tools/call"));
            let name = if named {
                &frame["params"]["name"]
            } else {
                &frame["params"]["key"]
            };
            set("mcp-name", name.as_str().unwrap_or_default())?;
        } else if frame["method"] != "initialize" {
            set("mcp-protocol-version", LEGACY)?;
        }
        if let Some(session) = &*lock(session) {
            set("mcp-session-id", session)?;
        }
        for (name, value) in replaced {
            set(name, value)?;
        }
        let request = http.post(url).headers(headers).body(frame.to_string());
        request.send().await.map_err(|e| format!("{e:?}"))
    }

    async fn exchange(&self, frame: &Value, headers: &[(&str, &str)]) -> Outcome<Answer> {
        let mut response = self.http_post(frame, headers).await?;
        if let (Wire::Http { session, .. }, Some(issued)) =
            (&self.wire, response.headers().get("mcp-session-id"))
        {
            *lock(session) = issued.to_str().ok().map(str::to_owned);
        }
        let status = response.status().as_u16();
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|k| k.to_str().ok())
            .unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            let body = response.text().await.map_err(|e| format!("{e:?}"))?;
            // What is no JSON is shown as text.
            let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
            return Ok(Answer {
                frame: body,
                status: Some(status),
                before: Vec::new(),
            });
        }
        let (mut events, mut before) = (Events::default(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|e| format!("{e:?}"))? {
            for event in events.feed(&chunk) {
                if event.get("method").is_some() {
                    before.push(event);
                } else if event["id"] == frame["id"] {
                    return Ok(Answer {
                        frame: event,
                        status: Some(status),
                        before,
                    });
                }
            }
        }
        Err(format!("the stream ended before it answered {frame}"))
    }

    /// Listens to the stream of the session, where there is one.
    async fn listen(&self) {
        let Wire::Http { http, url, session } = &self.wire else {
            return;
        };
        let Some(session) = lock(session).clone() else {
            return;
        };
        let request = http
            .get(url)
            .header("accept", "text/event-stream")
            .header("mcp-session-id", session);
        let response = request.header("mcp-protocol-version", LEGACY).send().await;
        // It is the server's right not to have one.
        let Ok(mut response) = response else { return };
        let heard = self.heard.clone();
        tokio::spawn(async move {
            let mut events = Events::default();
            while let Ok(Some(chunk)) = response.chunk().await {
                lock(&heard).extend(events.feed(&chunk));
            }
        });
    }
}

fn capabilities(declares: Option<&Value>) -> Value {
    match declares {
        Some(settings) => json!({ "extensions": { ID: settings } }),
        None => json!({}),
    }
}

async fn write(stdin: &tokio::sync::Mutex<ChildStdin>, frame: &Value) -> Outcome<()> {
    let line = format!("{frame}\n");
    let mut stdin = stdin.lock().await;
    stdin
        .write_all(line.as_bytes())
        .await
        .map_err(|e| format!("the server takes no input: {e}"))
}

fn stdio(command: &[String], heard: &Arc<Mutex<Vec<Value>>>) -> Outcome<Wire> {
    let [program, arguments @ ..] = command else {
        return Err("there is no command".to_owned());
    };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("cannot start {program}: {e}"))?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("a child without pipes".to_owned());
    };
    let waiting: Waiting = Arc::default();
    let ended = Arc::new(AtomicBool::new(false));
    let (answers, heard, end) = (waiting.clone(), heard.clone(), ended.clone());
    tokio::spawn(async move {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(frame) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            if frame.get("method").is_some() {
                lock(&heard).push(frame);
            } else if let Some(tell) = lock(&answers).remove(&frame["id"].to_string()) {
                let so_far = lock(&heard).clone();
                let _ = tell.send((frame, so_far));
            }
        }
        // Nobody will answer those who still wait.
        end.store(true, Ordering::Release);
        lock(&answers).clear();
    });
    Ok(Wire::Stdio {
        stdin: stdin.into(),
        waiting,
        ended,
        _child: Box::new(child),
    })
}

/// Server-sent events, as far as frames need them.
#[derive(Default)]
struct Events {
    bytes: Vec<u8>,
}

impl Events {
    fn feed(&mut self, chunk: &[u8]) -> Vec<Value> {
        self.bytes.extend(chunk.iter().filter(|b| **b != b'\r'));
        let mut events = Vec::new();
        while let Some(end) = self.bytes.windows(2).position(|w| w == b"\n\n") {
            let event: Vec<u8> = self.bytes.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event);
            let data: String = event
                .lines()
                .filter_map(|l| l.strip_prefix("data:"))
                .collect();
            events.extend(serde_json::from_str::<Value>(data.trim()));
        }
        events
    }
}
