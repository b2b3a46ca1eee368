//! Typed clients with no SDK: [`StdioCaller`] and [`HttpCaller`].

mod http;
mod open;
mod params;
mod stdio;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use mcp_ext_core::client::{CallerError, Outgoing};
use mcp_ext_core::headers::encode;
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::wire::{JsonObject, meta};
use serde_json::{Value, json};

pub use self::http::HttpCaller;
pub use self::stdio::StdioCaller;
use crate::message::{Message, text};

/// Takes notifications of the server: their method and their params.
type OnNotification = Arc<dyn Fn(&str, JsonObject) + Send + Sync>;

/// How a [`StdioCaller`] or an [`HttpCaller`] speaks to its server, and their bounds.
///
/// ```
/// use std::time::Duration;
///
/// use mcp_ext_core::protocol::Era;
/// use mcp_ext_wire::ClientOptions;
///
/// let options = ClientOptions::default()
///     .name("my-client", "1.0.0")
///     .era(Era::Legacy)
///     .timeout(Some(Duration::from_secs(20)))
///     .on_notification(|method, params| println!("{method}: {params:?}"));
/// ```
#[derive(Clone)]
pub struct ClientOptions {
    era: Option<Era>,
    info: Value,
    capabilities: JsonObject,
    headers: HeaderMap,
    timeout: Option<Duration>,
    open_timeout: Duration,
    grace: Duration,
    max_frame_bytes: usize,
    max_in_flight: usize,
    on_notification: Option<OnNotification>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            era: None,
            info: json!({ "name": "mcp-ext-wire", "version": env!("CARGO_PKG_VERSION") }),
            capabilities: JsonObject::new(),
            headers: HeaderMap::new(),
            timeout: Some(Duration::from_secs(90)),
            open_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(5),
            max_frame_bytes: 32 * 1024 * 1024,
            max_in_flight: 1024,
            on_notification: None,
        }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers hold credentials.
        f.debug_struct("ClientOptions")
            .field("era", &self.era)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl ClientOptions {
    /// The era to speak. When not set the server is asked `server/discover` first, and `initialize` if it does not know
    /// that.
    #[must_use]
    pub fn era(mut self, era: Era) -> Self {
        self.era = Some(era);
        self
    }

    /// What the client calls itself, for display and logs of the server.
    #[must_use]
    pub fn name(mut self, name: &str, version: &str) -> Self {
        self.info = json!({ "name": name, "version": version });
        self
    }

    /// What the client can do beside extensions, such as `{"elicitation": {}}` for a client that shows forms. It is
    /// declared once towards a legacy server, on every request towards a modern one.
    #[must_use]
    pub fn capabilities(mut self, mut capabilities: JsonObject) -> Self {
        if let Some(extensions) = self.capabilities.remove("extensions") {
            capabilities.entry("extensions").or_insert(extensions);
        }
        self.capabilities = capabilities;
        self
    }

    /// Adds a declaration, as [`declaration`](mcp_ext_core::client::declaration) makes it, to what is declared anyway.
    /// Typed clients declare by themselves on each of their calls; a legacy server that looks at `initialize` alone
    /// needs this.
    #[must_use]
    pub fn declare(mut self, declaration: JsonObject) -> Self {
        let extensions = self
            .capabilities
            .entry("extensions")
            .or_insert_with(|| json!({}));
        if let Value::Object(extensions) = extensions {
            extensions.extend(declaration);
        }
        self
    }

    /// A header for every request over HTTP, such as `Authorization`. Those that the protocol fixes are not replaced.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// How long a call may take before it is given up and cancelled; `None` waits for ever. 90 seconds when not set, longer
    /// than the default limit of a server, so that a server's own words arrive first.
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long each question that opens the connection may take. A server that is silent for so long when asked
    /// `server/discover` is taken for a legacy one. Ten seconds when not set.
    #[must_use]
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }

    /// How long a server process may take to end once its input is closed, before it is killed. Five seconds when not set.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Largest frame or body that is taken, in bytes. 32 MiB when not set.
    #[must_use]
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.max_frame_bytes = bytes;
        self
    }

    /// Most calls at once. 1024 when not set.
    #[must_use]
    pub fn max_in_flight(mut self, calls: usize) -> Self {
        self.max_in_flight = calls;
        self
    }

    /// Hands over each notification of the server: its method and its params. It must not block, since answers wait
    /// behind it. With it, each request asks for progress, under a token that equals the request's id.
    #[must_use]
    pub fn on_notification(
        mut self,
        notified: impl Fn(&str, JsonObject) + Send + Sync + 'static,
    ) -> Self {
        self.on_notification = Some(Arc::new(notified));
        self
    }

    /// `_meta` of a request.
    fn meta(&self, version: ProtocolVersion, id: u64) -> JsonObject {
        let mut all = JsonObject::new();
        all.insert(
            meta::CLIENT_CAPABILITIES.into(),
            Value::Object(self.capabilities.clone()),
        );
        if version.era() == Era::Modern {
            all.insert(meta::PROTOCOL_VERSION.into(), version.as_str().into());
            all.insert(meta::CLIENT_INFO.into(), self.info.clone());
        }
        if self.on_notification.is_some() {
            all.insert(meta::PROGRESS_TOKEN.into(), id.into());
        }
        all
    }
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The command did not start.
    #[error("cannot start {command}: {source}; check that it is installed and on the PATH")]
    Start {
        /// The command.
        command: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text is no URL that can be called.
    #[error("the URL of the server {why}; write it as http://127.0.0.1:8080/mcp")]
    Url {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The server could not be asked.
    #[error("{method} failed: {error}")]
    Failed {
        /// What it was asked.
        method: &'static str,
        /// Why that failed.
        error: CallerError,
    },
    /// The server takes neither of the questions that open a connection.
    #[error(
        "this is no MCP server that can be spoken to: server/discover failed ({modern}), and so did initialize ({legacy})"
    )]
    Neither {
        /// What came of `server/discover`.
        modern: Box<CallerError>,
        /// What came of `initialize`.
        legacy: Box<CallerError>,
    },
    /// The server speaks versions of the protocol that are not known here, or not those of the era that was asked for.
    #[error("the server speaks {} of the protocol, and this client {}", listed(.offered), listed(.known))]
    Version {
        /// What the server speaks.
        offered: Vec<String>,
        /// What would do.
        known: Vec<String>,
    },
}

/// At most eight names, since they are the server's, fit for one line.
fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "no version".to_owned();
    }
    let shown = |name: &String| {
        let printable = |c: &char| c.is_ascii_graphic();
        name.chars().filter(printable).take(32).collect::<String>()
    };
    let all: Vec<String> = names.iter().take(8).map(shown).collect();
    all.join(", ")
}

/// What was agreed when the connection was opened.
#[derive(Debug)]
struct Session {
    version: ProtocolVersion,
    /// The whole result of `initialize` or `server/discover`.
    server: JsonObject,
}

impl Session {
    fn era(&self) -> Era {
        self.version.era()
    }

    /// `capabilities.extensions` of the server.
    fn extensions(&self) -> JsonObject {
        let capabilities = self.server.get("capabilities");
        match capabilities.and_then(|c| c.get("extensions")) {
            Some(Value::Object(extensions)) => extensions.clone(),
            _ => JsonObject::new(),
        }
    }
}

/// A request for a stream of notifications.
fn listen_request(filter: JsonObject, declare: JsonObject) -> Outgoing {
    Outgoing {
        method: "subscriptions/listen".to_owned(),
        params: JsonObject::from_iter([("notifications".to_owned(), Value::Object(filter))]),
        declare,
        mcp_name: None,
    }
}

/// A request as a frame, without its line end.
fn request_frame(id: u64, method: &str, params: JsonObject) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// What a server is told that asks something of the client: `ping` is answered, and nothing else is offered.
fn answer_to(id: &str, method: &str) -> String {
    let answer = match method {
        "ping" => Ok("{}".to_owned()),
        other => Err(mcp_ext_core::RpcError::method_not_found(other)),
    };
    crate::message::answer_frame(id, &answer)
}

/// The params of a notification; none, or what is no object, is an empty one.
fn params_of(message: &Message<'_>) -> JsonObject {
    message
        .params
        .and_then(|params| serde_json::from_str(params.get()).ok())
        .unwrap_or_default()
}

/// What an answer says, whatever its id.
fn read_answer(message: &Message<'_>) -> Result<Value, CallerError> {
    let malformed = |why: &str| {
        CallerError::Stopped(mcp_ext_core::client::Stopped::Malformed {
            why: why.to_owned(),
        })
    };
    if message.jsonrpc.and_then(text).as_deref() != Some("2.0") {
        return Err(malformed("its jsonrpc is not \"2.0\""));
    }
    match (message.result, message.error) {
        (Some(result), None) => serde_json::from_str(result.get()).map_err(|_| {
            malformed("its result holds numbers, escapes or nesting that cannot be read")
        }),
        (None, Some(error)) => match serde_json::from_str(error.get()) {
            Ok(error) => Err(CallerError::Rpc(error)),
            Err(_) => Err(malformed(
                "its error lacks an integer `code` of 32 bits or a text `message`",
            )),
        },
        (Some(_), Some(_)) => Err(malformed("it has a result and an error")),
        (None, None) => Err(malformed("it has neither a result nor an error")),
    }
}

/// The `Mcp-Name` of requests of the core protocol, encoded.
fn core_name(method: &str, params: &JsonObject) -> Option<String> {
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return None,
    };
    params.get(member).and_then(Value::as_str).map(encode)
}

/// The id of a request of ours.
fn own_id(id: &crate::message::Id) -> Option<u64> {
    match id {
        crate::message::Id::Number(number) => u64::try_from(*number).ok(),
        crate::message::Id::Text(_) => None,
    }
}
