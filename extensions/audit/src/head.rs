//! The head of a chain, kept elsewhere: what shows that a chain was cut.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::text::write_quoted;

/// How far a chain was at some time: how many records, and the digest of the last. A chain alone does not show that its
/// end was cut off; a head that was put away elsewhere does.
///
/// ```
/// use mcp_ext_audit::Head;
///
/// let json = r#"{"count":"2","event_hash":"d494769c1ae442ea88dd190068747abf63c0568a3b856f85791b1a50a99d48b4","segment":"seg-1"}"#;
/// let head: Head = serde_json::from_str(json)?;
/// assert_eq!(head.count(), 2);
/// assert_eq!(head.to_json(), json);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
#[schemars(with = "Wire")]
pub struct Head {
    segment: String,
    count: u64,
    event_hash: Digest,
    pub(crate) signature: Option<String>,
}

/// The head of a chain of records.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditHead")]
struct Wire {
    /// How many records there were, as a decimal string.
    #[schemars(regex(pattern = "^[1-9][0-9]{0,18}$"))]
    count: String,
    /// The digest of the last.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    event_hash: String,
    /// Which chain.
    #[schemars(length(min = 1, max = 128))]
    segment: String,
    /// Who vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    signature: Option<String>,
}

/// Not a head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member}: expected {expected}")]
pub struct HeadFault {
    /// Which member.
    pub member: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

impl Head {
    /// The head of a chain of `count` records, of which `event_hash` is the last.
    ///
    /// # Errors
    /// [`HeadFault`] when there are none, or the segment has no name.
    pub fn new(segment: &str, count: u64, event_hash: Digest) -> Result<Self, HeadFault> {
        if count == 0 || count > i64::MAX.unsigned_abs() {
            return Err(HeadFault {
                member: "count",
                expected: "a decimal string from 1 up",
            });
        }
        if segment.is_empty() || segment.len() > 128 || segment.chars().any(char::is_control) {
            return Err(HeadFault {
                member: "segment",
                expected: "1 to 128 characters",
            });
        }
        Ok(Self {
            segment: segment.to_owned(),
            count,
            event_hash,
            signature: None,
        })
    }

    /// Which chain.
    #[must_use]
    pub fn segment(&self) -> &str {
        &self.segment
    }

    /// How many records there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of the last.
    #[must_use]
    pub fn event_hash(&self) -> Digest {
        self.event_hash
    }

    /// Its one written form.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.write(self.signature.as_deref())
    }

    /// What is signed: the digest of its form without the signature.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.write(None).as_bytes())
    }

    fn write(&self, signature: Option<&str>) -> String {
        let mut out = format!(
            "{{\"count\":\"{}\",\"event_hash\":\"{}\",\"segment\":",
            self.count, self.event_hash
        );
        write_quoted(&mut out, &self.segment);
        if let Some(signature) = signature {
            out.push_str(",\"signature\":");
            write_quoted(&mut out, signature);
        }
        out.push('}');
        out
    }
}

impl TryFrom<Wire> for Head {
    type Error = HeadFault;

    fn try_from(wire: Wire) -> Result<Self, HeadFault> {
        let count = wire
            .count
            .parse()
            .ok()
            .filter(|count: &u64| count.to_string() == wire.count)
            .unwrap_or(0);
        let event_hash = wire.event_hash.parse().map_err(|_| HeadFault {
            member: "event_hash",
            expected: "64 lowercase hexadecimal digits",
        })?;
        let mut head = Self::new(&wire.segment, count, event_hash)?;
        if wire.signature.as_ref().is_some_and(|s| s.len() > 256) {
            return Err(HeadFault {
                member: "signature",
                expected: "at most 256 characters",
            });
        }
        head.signature = wire.signature;
        Ok(head)
    }
}

impl From<Head> for Wire {
    fn from(head: Head) -> Self {
        Self {
            count: head.count.to_string(),
            event_hash: head.event_hash.to_string(),
            segment: head.segment,
            signature: head.signature,
        }
    }
}
