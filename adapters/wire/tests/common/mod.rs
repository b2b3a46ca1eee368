//! An extension to put in front of servers, and a provider whose calls can be watched.
#![allow(dead_code, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcp_ext_core::{
    Cx, ExtensionError, ExtensionSet, ExtensionSetBuilder, ToolCx, extension, handlers, settings,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub const ID: &str = "com.example/desk";
pub const ECHO: &str = "com.example/desk/echo";
pub const WAIT: &str = "com.example/desk/wait";
pub const ANNOUNCE: &str = "com.example/desk/announce";
pub const NOTED: &str = "notifications/com.example/desk/noted";
/// A tool for everyone.
pub const TOOL: &str = "desk_shout";
/// A tool that demands the extension.
pub const GATED: &str = "desk_stamp";

#[settings]
pub struct DeskSettings {
    /// Longest text this side takes.
    #[negotiate(min)]
    pub max_text: Option<u32>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Text {
    pub text: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Wait {
    pub millis: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Count {
    pub count: u32,
}

#[derive(Debug, ExtensionError)]
pub enum DeskError {
    /// The text is longer than agreed.
    #[error(code = 4100, "the text is longer than {max}")]
    TooLong { max: u32 },
}

/// Things on a desk.
#[extension(id = "com.example/desk", revision = "2026-11-01", settings = DeskSettings)]
pub trait Desk {
    /// Gives the text back.
    #[method]
    async fn echo(&self, cx: &Cx<DeskExtension>, params: Text) -> Result<Text, DeskError>;

    /// Answers after a while.
    #[method]
    async fn wait(&self, cx: &Cx<DeskExtension>, params: Wait) -> Result<Wait, DeskError>;

    /// Sends notifications and progress, then answers.
    #[method]
    async fn announce(&self, cx: &Cx<DeskExtension>, params: Count) -> Result<Count, DeskError>;

    /// Gives the text back in capitals.
    #[tool(hints(read_only))]
    async fn desk_shout(&self, cx: &ToolCx<DeskExtension>, args: Text) -> Result<Text, DeskError>;

    /// Stamps a text.
    #[tool(gated)]
    async fn desk_stamp(&self, cx: &Cx<DeskExtension>, args: Text) -> Result<Text, DeskError>;

    /// Something was noted while a request ran.
    #[notification]
    fn noted(params: Count);
}

/// What the provider was asked for.
#[derive(Default)]
pub struct Seen {
    pub started: AtomicUsize,
    pub finished: AtomicUsize,
    /// Calls whose future was dropped before it ended.
    pub dropped: AtomicUsize,
}

#[derive(Default)]
pub struct Office(pub Arc<Seen>);

struct Guard<'a>(&'a Seen, bool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let counter = if self.1 {
            &self.0.finished
        } else {
            &self.0.dropped
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

impl Office {
    fn enter(&self) -> Guard<'_> {
        self.0.started.fetch_add(1, Ordering::SeqCst);
        Guard(&self.0, false)
    }
}

#[handlers]
impl Desk for Office {
    async fn echo(&self, cx: &Cx<DeskExtension>, params: Text) -> Result<Text, DeskError> {
        let mut guard = self.enter();
        if let Some(max) = cx.settings().max_text
            && params.text.len() > max as usize
        {
            return Err(DeskError::TooLong { max });
        }
        guard.1 = true;
        Ok(params)
    }

    async fn wait(&self, _: &Cx<DeskExtension>, params: Wait) -> Result<Wait, DeskError> {
        let mut guard = self.enter();
        tokio::time::sleep(Duration::from_millis(params.millis)).await;
        guard.1 = true;
        Ok(params)
    }

    async fn announce(&self, cx: &Cx<DeskExtension>, params: Count) -> Result<Count, DeskError> {
        let mut guard = self.enter();
        for count in 1..=params.count {
            let _ = cx
                .progress(count.into(), Some(params.count.into()), None)
                .await;
            let _ = cx.noted(Count { count }).await;
        }
        guard.1 = true;
        Ok(params)
    }

    async fn desk_shout(&self, cx: &ToolCx<DeskExtension>, args: Text) -> Result<Text, DeskError> {
        let mut guard = self.enter();
        guard.1 = true;
        Ok(Text {
            text: format!("{} {}", args.text.to_uppercase(), cx.negotiated()),
        })
    }

    async fn desk_stamp(&self, _: &Cx<DeskExtension>, args: Text) -> Result<Text, DeskError> {
        let mut guard = self.enter();
        guard.1 = true;
        Ok(args)
    }
}

pub fn builder() -> (Arc<Seen>, ExtensionSetBuilder) {
    let seen = Arc::new(Seen::default());
    let desk = DeskExtension::provide(Office(seen.clone())).settings(DeskSettings {
        max_text: Some(1000),
    });
    (seen, ExtensionSet::builder().enable(desk))
}

pub fn set() -> ExtensionSet {
    builder().1.build().unwrap()
}

pub fn empty() -> ExtensionSet {
    ExtensionSet::builder().build().unwrap()
}

/// `_meta` of a modern request that declares the extension, or not.
pub fn modern_meta(declares: bool) -> Value {
    let extensions = if declares {
        json!({ ID: {} })
    } else {
        json!({})
    };
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "extensions": extensions },
    })
}

/// A modern request that declares the extension.
pub fn modern(id: impl Into<Value>, method: &str, mut params: Value) -> Value {
    params["_meta"] = modern_meta(true);
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
}

/// A legacy request.
pub fn legacy(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
}

pub fn initialize(id: impl Into<Value>, version: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": "initialize", "params": {
        "protocolVersion": version, "clientInfo": {"name": "test", "version": "1"},
        "capabilities": { "extensions": { ID: {} } },
    }})
}

/// The answer of a small server that serves both eras and has one tool, `add`; `None` for a notification.
pub fn plain_server(request: &Value) -> Option<Value> {
    let id = request.get("id")?.clone();
    let method = request.get("method")?.as_str()?;
    let modern = request["params"]["_meta"]
        .get("io.modelcontextprotocol/protocolVersion")
        .is_some();
    let info = json!({ "name": "plain", "version": "7" });
    let tools = json!([{ "name": "add", "inputSchema": { "type": "object" } }]);
    let result = match method {
        "initialize" => json!({
            "protocolVersion": request["params"]["protocolVersion"], "serverInfo": info,
            "capabilities": { "tools": { "listChanged": true }, "logging": {} },
        }),
        "server/discover" => json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 5, "cacheScope": "public",
            "capabilities": { "tools": {}, "extensions": { "com.example/theirs": { "x": 1.50 } } },
            "_meta": { "io.modelcontextprotocol/serverInfo": info },
        }),
        "tools/list" if modern => {
            json!({ "resultType": "complete", "tools": tools, "ttlMs": 5, "cacheScope": "public" })
        }
        "tools/list" => json!({ "tools": tools }),
        "tools/call" => json!({ "content": [{ "type": "text", "text": "3" }] }),
        "ping" => json!({}),
        _ => {
            return Some(json!({ "jsonrpc": "2.0", "id": id,
                "error": { "code": -32601, "message": format!("no {method}") } }));
        }
    };
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

/// A small generator of repeatable randomness (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
