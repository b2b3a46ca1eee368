//! The gate, the negotiation and the stamp, as someone would write them for this one extension.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::frames::VERSION;
use crate::grading::{GradingError, GradingSettings, ID, REVISION, offered};

/// `_meta` key of the revision a request is made under.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// `_meta` key of what the client can do.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// `_meta` key of who the server is.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// A JSON object.
pub type Object = Map<String, Value>;

/// Most negotiated settings that are kept.
const KEPT: usize = 64;

/// A JSON-RPC error object.
#[derive(Debug, Serialize)]
pub struct Refusal {
    /// What kind of error.
    pub code: i32,
    /// One sentence.
    pub message: String,
    /// Details.
    pub data: Value,
}

/// The gate of this extension, with the settings negotiated before.
pub struct Gate {
    server: GradingSettings,
    kept: RwLock<VecDeque<(Object, Arc<GradingSettings>)>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            server: offered(),
            kept: RwLock::default(),
        }
    }
}

impl Gate {
    /// What is in force for a request with this `_meta`.
    ///
    /// # Errors
    /// The version is another, the capabilities are malformed, the extension is not declared, or the settings do not
    /// combine.
    pub fn pass(&self, meta: &Object) -> Result<Arc<GradingSettings>, Refusal> {
        if meta.get(PROTOCOL_VERSION).and_then(Value::as_str) != Some(VERSION) {
            return Err(Refusal {
                code: -32022,
                message: "this protocol version is not served here".into(),
                data: json!({ "supported": [VERSION] }),
            });
        }
        let Some(capabilities) = meta.get(CLIENT_CAPABILITIES).and_then(Value::as_object) else {
            return Err(malformed());
        };
        let extensions = match capabilities.get("extensions") {
            None => return Err(undeclared()),
            Some(Value::Object(extensions)) => extensions,
            Some(_) => return Err(malformed()),
        };
        if !extensions.values().all(Value::is_object) {
            return Err(malformed());
        }
        match extensions.get(ID) {
            Some(Value::Object(client)) => self.negotiate(client),
            _ => Err(undeclared()),
        }
    }

    fn negotiate(&self, client: &Object) -> Result<Arc<GradingSettings>, Refusal> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, settings)) = kept.iter().find(|(key, _)| key == client) {
            return Ok(settings.clone());
        }
        drop(kept);
        if client.get("revision").is_some_and(|r| r != REVISION) {
            return Err(mismatch("revision"));
        }
        let theirs = GradingSettings::deserialize(client).map_err(|error| Refusal {
            code: -32602,
            message: format!("the settings declared for {ID} do not fit: {error}"),
            data: json!({ "extension": ID, "kind": "invalid_settings" }),
        })?;
        let ours = &self.server;
        let rubric_formats = match (&ours.rubric_formats, &theirs.rubric_formats) {
            (Some(a), Some(b)) => Some(a & b),
            (some, None) | (None, some) => some.clone(),
        };
        let max_batch = match (ours.max_batch, theirs.max_batch) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (some, None) | (None, some) => some,
        };
        let settings = Arc::new(GradingSettings {
            rubric_formats,
            max_batch,
            write: ours.write && theirs.write,
        });
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((client.clone(), settings.clone()));
        Ok(settings)
    }
}

fn malformed() -> Refusal {
    Refusal {
        code: -32602,
        message: "client capabilities are malformed".into(),
        data: json!({ "kind": "malformed_capabilities" }),
    }
}

fn undeclared() -> Refusal {
    Refusal {
        code: -32021,
        message: format!("this call needs {ID} in the request's client capabilities"),
        data: json!({ "requiredCapabilities": { "extensions": { ID: {} } } }),
    }
}

fn mismatch(field: &str) -> Refusal {
    Refusal {
        code: -32021,
        message: format!("the settings of both sides do not combine: {field}"),
        data: json!({ "extension": ID, "kind": "settings_mismatch" }),
    }
}

/// Params that do not fit.
pub fn bad_params(error: &serde_json::Error) -> Refusal {
    Refusal {
        code: -32602,
        message: format!("the params do not fit: {error}"),
        data: json!({ "extension": ID, "kind": "invalid_params" }),
    }
}

impl From<GradingError> for Refusal {
    fn from(error: GradingError) -> Self {
        let GradingError::UnknownCourse { course } = error;
        Self {
            code: 4100,
            message: format!("no course {course}"),
            data: json!({ "extension": ID, "kind": "unknown_course", "details": { "course": course } }),
        }
    }
}
