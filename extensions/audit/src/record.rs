//! One audit record: what it must hold, its one written form, and its digest.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::json::{TWICE, Unambiguous};
use crate::registry::{self, shown};
use crate::text::{Text, TextFault, write_quoted};
use crate::time;

/// The version of the canonical form.
pub const CANONICAL_FORM: &str = "audit-record-contract/1";

/// Most extensions of one record, and most members of one extension.
const MOST_MEMBERS: usize = 64;

/// The data of one extension.
pub type Data = BTreeMap<String, Scalar>;

/// What a protected body may hold. Numbers have no agreed form: write them as strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A string.
    Text(Text),
    /// A boolean.
    Flag(bool),
    /// Recorded, and there was none.
    Null,
}

/// What became of the recorded event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It went ahead.
    Allowed,
    /// It was refused.
    Denied,
    /// Nothing is decided yet.
    Deferred,
    /// The checks around it failed.
    Error,
}

impl Outcome {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Deferred => "deferred",
            Self::Error => "error",
        }
    }
}

/// What a record says, before it stands in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique within the chain.
    pub event_id: Text,
    /// When, by the recorder's clock, in RFC 3339 with milliseconds and `Z`.
    pub occurred_at: String,
    /// A pseudonym of whoever acted.
    pub principal_id: Text,
    /// What kind of event.
    pub event_type: Text,
    /// What was acted on.
    pub tool_name: Option<Text>,
    /// What became of it.
    pub outcome: Outcome,
    /// The data of the registered extensions; at least one.
    pub extensions: BTreeMap<String, Data>,
}

/// A record of a chain. What it says is checked; whether its hashes are right is for a
/// [`Verifier`](crate::Verifier) to find out.
///
/// ```
/// use mcp_ext_audit::Record;
///
/// let line = r#"{"event_hash":"d494769c1ae442ea88dd190068747abf63c0568a3b856f85791b1a50a99d48b4","event_id":"99999999-9999-9999-9999-999999999999","event_type":"tool_call","extensions":{"caller-governance":{"flagged":false,"invoked_by_principal_id":null,"purpose_declared":"reconcile June invoices","session_id":"55555555-5555-5555-5555-555555555555"}},"occurred_at":"2026-06-06T12:00:00.000Z","outcome":"deferred","previous_hash":null,"principal_id":"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa","tool_name":"export"}"#;
/// let record = Record::parse(line)?;
/// assert_eq!(record.digest(), record.event_hash);
/// assert_eq!(record.to_line(), line);
/// # Ok::<(), mcp_ext_audit::RecordFault>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it says.
    pub event: Event,
    /// The digest of the record before it; none for the first of a chain.
    pub previous_hash: Option<Digest>,
    /// The digest it carries.
    pub event_hash: Digest,
    /// A signature over [`event_hash`](Self::event_hash), not part of what is hashed.
    pub signature: Option<String>,
}

/// Why something is not a record. Members are named; their values are not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// Not JSON, or nested too deeply.
    #[error("not JSON (line {line}, column {column})")]
    NotJson {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// A member stands there twice.
    #[error("an object has one member twice")]
    Twice,
    /// A member is missing.
    #[error("{member}: missing; null must be written out")]
    Missing {
        /// Which.
        member: &'static str,
    },
    /// A member is of another type.
    #[error("{member}: expected {expected}, saw {seen}")]
    Type {
        /// Which.
        member: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        seen: &'static str,
    },
    /// A number stands in the protected body.
    #[error("{member}: a number has no agreed canonical form; write it as a string")]
    Number {
        /// Where.
        member: String,
    },
    /// A protected string breaks the rules.
    #[error("{member}: {fault}")]
    Text {
        /// Where.
        member: String,
        /// Which rule.
        #[source]
        fault: TextFault,
    },
    /// There is no extension.
    #[error("extensions: at least one registered extension is required")]
    NoExtension,
    /// An extension is not registered.
    #[error(
        "extensions: `{extension}` is not registered; use caller-governance or runtime-security"
    )]
    Unregistered {
        /// Which.
        extension: String,
    },
    /// An extension's data break its registration.
    #[error("extensions.{extension}.{member}: expected {expected}")]
    Extension {
        /// Which extension.
        extension: String,
        /// Which member.
        member: String,
        /// What it must be.
        expected: &'static str,
    },
    /// More than is read.
    #[error("{member}: more than {MOST_MEMBERS} members")]
    TooMany {
        /// Where.
        member: String,
    },
}

impl Event {
    /// Stands the event in a chain.
    ///
    /// # Errors
    /// [`RecordFault`], when it breaks the rules of a record.
    pub fn seal(self, previous_hash: Option<Digest>) -> Result<Record, RecordFault> {
        self.seal_written(previous_hash).map(|(record, _)| record)
    }

    /// As [`seal`](Self::seal), with what was hashed.
    pub(crate) fn seal_written(
        self,
        previous_hash: Option<Digest>,
    ) -> Result<(Record, String), RecordFault> {
        check_filled("event_id", &self.event_id)?;
        check_filled("principal_id", &self.principal_id)?;
        check_filled("event_type", &self.event_type)?;
        check_time(&self.occurred_at)?;
        check_extensions(&self.extensions)?;
        let mut record = Record {
            event: self,
            previous_hash,
            event_hash: Digest::UNSET,
            signature: None,
        };
        let preimage = record.preimage();
        record.event_hash = Digest::of(preimage.as_bytes());
        Ok((record, preimage))
    }
}

impl Record {
    /// Reads a record from JSON. Unknown members at the top level are ignored, as the contract wants.
    ///
    /// # Errors
    /// [`RecordFault`], naming the member.
    pub fn parse(text: &str) -> Result<Self, RecordFault> {
        let Unambiguous(value) = serde_json::from_str(text).map_err(|e| {
            if e.is_data() && e.to_string().starts_with(TWICE) {
                return RecordFault::Twice;
            }
            RecordFault::NotJson {
                line: e.line(),
                column: e.column(),
            }
        })?;
        Self::from_value(&value)
    }

    /// Reads a record from a JSON value.
    ///
    /// # Errors
    /// [`RecordFault`], naming the member.
    pub fn from_value(value: &Value) -> Result<Self, RecordFault> {
        let object = value
            .as_object()
            .ok_or_else(|| wrong("record", "an object", value))?;
        let event = Event {
            event_id: filled(object, "event_id")?,
            occurred_at: time_of(object)?,
            principal_id: filled(object, "principal_id")?,
            event_type: filled(object, "event_type")?,
            tool_name: match member(object, "tool_name")? {
                Value::Null => None,
                value => Some(text("tool_name", value)?),
            },
            outcome: outcome_of(object)?,
            extensions: extensions_of(object)?,
        };
        let previous_hash = match member(object, "previous_hash")? {
            Value::Null => None,
            value => Some(digest("previous_hash", value)?),
        };
        let event_hash = digest("event_hash", member(object, "event_hash")?)?;
        let signature = match object.get("signature") {
            None => None,
            Some(value) => {
                let text = value.as_str().filter(|s| s.len() <= 256 && s.is_ascii());
                Some(
                    text.ok_or_else(|| {
                        wrong(
                            "signature",
                            "an ASCII string of at most 256 characters",
                            value,
                        )
                    })?
                    .to_owned(),
                )
            }
        };
        Ok(Self {
            event,
            previous_hash,
            event_hash,
            signature,
        })
    }

    /// What is hashed: the canonical form of everything but the digest and the signature.
    #[must_use]
    pub fn preimage(&self) -> String {
        let mut out = String::with_capacity(1024);
        out.push('{');
        self.write_body(&mut out, None);
        out
    }

    /// The digest it must carry.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.preimage().as_bytes())
    }

    /// The one line that an export holds for it, without its line break.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut out = self.begun_line();
        self.write_body(&mut out, self.signature.as_deref());
        out
    }

    /// As [`to_line`](Self::to_line), from the preimage, which without a signature is the rest of the line.
    pub(crate) fn line_of(&self, preimage: &str) -> String {
        match (&self.signature, preimage.strip_prefix('{')) {
            (None, Some(body)) => {
                let mut out = self.begun_line();
                out.push_str(body);
                out
            }
            _ => self.to_line(),
        }
    }

    fn begun_line(&self) -> String {
        let mut out = String::with_capacity(1280);
        out.push_str("{\"event_hash\":\"");
        self.event_hash.write(&mut out);
        out.push_str("\",");
        out
    }

    /// The members after the opening brace, sorted, and the closing brace.
    fn write_body(&self, out: &mut String, signature: Option<&str>) {
        let event = &self.event;
        out.push_str("\"event_id\":");
        write_quoted(out, event.event_id.as_str());
        out.push_str(",\"event_type\":");
        write_quoted(out, event.event_type.as_str());
        out.push_str(",\"extensions\":{");
        for (i, (name, data)) in event.extensions.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            write_quoted(out, name);
            out.push_str(":{");
            for (i, (member, value)) in data.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_quoted(out, member);
                out.push(':');
                match value {
                    Scalar::Text(text) => write_quoted(out, text.as_str()),
                    Scalar::Flag(true) => out.push_str("true"),
                    Scalar::Flag(false) => out.push_str("false"),
                    Scalar::Null => out.push_str("null"),
                }
            }
            out.push('}');
        }
        out.push_str("},\"occurred_at\":");
        write_quoted(out, &event.occurred_at);
        out.push_str(",\"outcome\":");
        write_quoted(out, event.outcome.as_str());
        out.push_str(",\"previous_hash\":");
        match &self.previous_hash {
            Some(digest) => {
                out.push('"');
                digest.write(out);
                out.push('"');
            }
            None => out.push_str("null"),
        }
        out.push_str(",\"principal_id\":");
        write_quoted(out, event.principal_id.as_str());
        if let Some(signature) = signature {
            out.push_str(",\"signature\":");
            write_quoted(out, signature);
        }
        out.push_str(",\"tool_name\":");
        match &event.tool_name {
            Some(name) => write_quoted(out, name.as_str()),
            None => out.push_str("null"),
        }
        out.push('}');
    }
}

fn member<'a>(
    object: &'a Map<String, Value>,
    name: &'static str,
) -> Result<&'a Value, RecordFault> {
    object
        .get(name)
        .ok_or(RecordFault::Missing { member: name })
}

fn wrong(member: &str, expected: &'static str, value: &Value) -> RecordFault {
    RecordFault::Type {
        member: member.to_owned(),
        expected,
        seen: match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "another string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        },
    }
}

fn text(name: &str, value: &Value) -> Result<Text, RecordFault> {
    match value {
        Value::String(text) => Text::new(text).map_err(|fault| RecordFault::Text {
            member: name.to_owned(),
            fault,
        }),
        Value::Number(_) => Err(RecordFault::Number {
            member: name.to_owned(),
        }),
        value => Err(wrong(name, "a string", value)),
    }
}

fn filled(object: &Map<String, Value>, name: &'static str) -> Result<Text, RecordFault> {
    let value = text(name, member(object, name)?)?;
    check_filled(name, &value)?;
    Ok(value)
}

fn check_filled(name: &'static str, text: &Text) -> Result<(), RecordFault> {
    if text.as_str().is_empty() {
        return Err(wrong(name, "a string that is not empty", &Value::from("")));
    }
    Ok(())
}

fn time_of(object: &Map<String, Value>) -> Result<String, RecordFault> {
    let time = text("occurred_at", member(object, "occurred_at")?)?;
    check_time(time.as_str())?;
    Ok(time.as_str().to_owned())
}

fn check_time(text: &str) -> Result<(), RecordFault> {
    if !time::is_valid(text) {
        let expected = "a time such as 2026-06-06T12:00:00.000Z";
        return Err(wrong("occurred_at", expected, &Value::from(text)));
    }
    Ok(())
}

fn outcome_of(object: &Map<String, Value>) -> Result<Outcome, RecordFault> {
    let value = member(object, "outcome")?;
    match value.as_str() {
        Some("allowed") => Ok(Outcome::Allowed),
        Some("denied") => Ok(Outcome::Denied),
        Some("deferred") => Ok(Outcome::Deferred),
        Some("error") => Ok(Outcome::Error),
        _ => Err(wrong(
            "outcome",
            "allowed, denied, deferred or error",
            value,
        )),
    }
}

fn digest(name: &str, value: &Value) -> Result<Digest, RecordFault> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| wrong(name, "64 lowercase hexadecimal digits", value))
}

fn extensions_of(object: &Map<String, Value>) -> Result<BTreeMap<String, Data>, RecordFault> {
    let value = member(object, "extensions")?;
    let extensions = value
        .as_object()
        .ok_or_else(|| wrong("extensions", "an object", value))?;
    let mut read = BTreeMap::new();
    for (name, value) in bounded("extensions", extensions)? {
        let at = || format!("extensions.{}", shown(name));
        let data = value
            .as_object()
            .ok_or_else(|| wrong(&at(), "an object", value))?;
        let mut members = Data::new();
        for (member, value) in bounded(&at(), data)? {
            let at = || format!("{}.{}", at(), shown(member));
            let value = match value {
                Value::Bool(flag) => Scalar::Flag(*flag),
                Value::Null => Scalar::Null,
                Value::String(_) | Value::Number(_) => Scalar::Text(text(&at(), value)?),
                value => return Err(wrong(&at(), "a string, a boolean or null", value)),
            };
            members.insert(member.clone(), value);
        }
        read.insert(name.clone(), members);
    }
    check_extensions(&read)?;
    Ok(read)
}

fn bounded<'a>(
    at: &str,
    object: &'a Map<String, Value>,
) -> Result<&'a Map<String, Value>, RecordFault> {
    if object.len() > MOST_MEMBERS {
        return Err(RecordFault::TooMany {
            member: at.to_owned(),
        });
    }
    Ok(object)
}

fn check_extensions(extensions: &BTreeMap<String, Data>) -> Result<(), RecordFault> {
    if extensions.is_empty() {
        return Err(RecordFault::NoExtension);
    }
    extensions
        .iter()
        .try_for_each(|(name, data)| registry::check(name, data))
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_line())
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: Value =
            serde_json::from_str(&self.to_line()).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Unambiguous(value) = Unambiguous::deserialize(deserializer)?;
        Self::from_value(&value).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Record {
    fn schema_name() -> Cow<'static, str> {
        "AuditRecord".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let digest = json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
        json_schema!({
            "description": "An audit record of the form audit-record-contract/1.",
            "type": "object",
            "properties": {
                "event_id": { "type": "string", "minLength": 1 },
                "occurred_at": { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z$" },
                "principal_id": { "type": "string", "minLength": 1, "description": "A pseudonym." },
                "event_type": { "type": "string", "minLength": 1 },
                "tool_name": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
                "outcome": { "type": "string", "enum": ["allowed", "denied", "deferred", "error"] },
                "extensions": { "type": "object", "minProperties": 1, "description": "Data of registered extensions, by their names." },
                "previous_hash": { "anyOf": [digest, { "type": "null" }] },
                "event_hash": digest,
                "signature": { "type": "string", "maxLength": 256 },
            },
            "required": ["event_id", "occurred_at", "principal_id", "event_type", "tool_name", "outcome", "extensions", "previous_hash", "event_hash"],
        })
    }
}
