//! The quick way through a line in canonical form: it accepts nothing that the thorough way would not, and leaves to it
//! whatever is out of the ordinary.

use crate::digest::Digest;
use crate::registry::{CALLER_GOVERNANCE, RUNTIME_SECURITY};
use crate::time;

/// What verification needs of a line.
pub(crate) struct Canonical<'a> {
    pub(crate) event_hash: Digest,
    pub(crate) previous_hash: Option<Digest>,
    pub(crate) signature: Option<&'a str>,
    /// The line between the digest and the signature, and after it.
    parts: [&'a str; 2],
}

impl<'a> Canonical<'a> {
    /// What is hashed, in parts.
    pub(crate) fn preimage(&self) -> [&'a str; 3] {
        let [first, last] = self.parts;
        ["{", first, last]
    }
}

/// Reads a line in canonical form whose strings are plain ASCII; `None` for anything else.
pub(crate) fn scan(line: &str) -> Option<Canonical<'_>> {
    let mut rest = line;
    literal(&mut rest, "{\"event_hash\":\"")?;
    let event_hash = digest(&mut rest)?;
    literal(&mut rest, "\",")?;
    let body = rest;
    literal(&mut rest, "\"event_id\":\"")?;
    filled(&mut rest)?;
    literal(&mut rest, ",\"event_type\":\"")?;
    filled(&mut rest)?;
    literal(&mut rest, ",\"extensions\":{\"")?;
    let mut name = key(&mut rest)?;
    if name == CALLER_GOVERNANCE {
        governance(&mut rest)?;
        if literal(&mut rest, ",\"").is_some() {
            name = key(&mut rest)?;
            if name != RUNTIME_SECURITY {
                return None;
            }
            security(&mut rest)?;
        }
    } else if name == RUNTIME_SECURITY {
        security(&mut rest)?;
    } else {
        return None;
    }
    literal(&mut rest, "},\"occurred_at\":\"")?;
    time::is_valid(filled(&mut rest)?).then_some(())?;
    literal(&mut rest, ",\"outcome\":\"")?;
    matches!(
        filled(&mut rest)?,
        "allowed" | "denied" | "deferred" | "error"
    )
    .then_some(())?;
    literal(&mut rest, ",\"previous_hash\":")?;
    let previous_hash = if literal(&mut rest, "null").is_some() {
        None
    } else {
        literal(&mut rest, "\"")?;
        let digest = digest(&mut rest)?;
        literal(&mut rest, "\"")?;
        Some(digest)
    };
    literal(&mut rest, ",\"principal_id\":\"")?;
    filled(&mut rest)?;
    let first = body.get(..body.len() - rest.len())?;
    let signature = match literal(&mut rest, ",\"signature\":\"") {
        Some(()) => Some(plain(&mut rest).filter(|s| s.len() <= 256)?),
        None => None,
    };
    let last = rest;
    literal(&mut rest, ",\"tool_name\":")?;
    if literal(&mut rest, "null").is_none() {
        literal(&mut rest, "\"")?;
        plain(&mut rest)?;
    }
    (rest == "}").then_some(Canonical {
        event_hash,
        previous_hash,
        signature,
        parts: [first, last],
    })
}

fn literal(rest: &mut &str, text: &str) -> Option<()> {
    *rest = rest.strip_prefix(text)?;
    Some(())
}

fn digest(rest: &mut &str) -> Option<Digest> {
    let (digits, after) = rest.split_at_checked(64)?;
    *rest = after;
    digits.parse().ok()
}

/// The rest of a string whose opening quote is read: ASCII without escapes and in its normal form.
fn plain<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let end = rest
        .bytes()
        .position(|b| b == b'"' || b == b'\\' || !(b' '..=b'~').contains(&b))?;
    let (text, after) = rest.split_at_checked(end)?;
    *rest = after.strip_prefix('"')?;
    let normal =
        text.len() <= crate::text::MAX_UNITS && !text.starts_with(' ') && !text.ends_with(' ');
    normal.then_some(text)
}

fn filled<'a>(rest: &mut &'a str) -> Option<&'a str> {
    plain(rest).filter(|text| !text.is_empty())
}

/// A member's name, up to its value.
fn key<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let name = plain(rest)?;
    literal(rest, ":")?;
    Some(name)
}

/// The members of an object that is not empty, in ascending order.
fn members<'a>(
    rest: &mut &'a str,
    mut value: impl FnMut(&mut &'a str, &'a str) -> Option<()>,
) -> Option<()> {
    literal(rest, "{\"")?;
    let mut last = "";
    for count in 0..64 {
        let name = key(rest)?;
        if count > 0 && name <= last {
            return None;
        }
        value(rest, name)?;
        if literal(rest, "}").is_some() {
            return Some(());
        }
        literal(rest, ",\"")?;
        last = name;
    }
    None
}

fn governance(rest: &mut &str) -> Option<()> {
    let mut purpose = false;
    members(rest, |rest, name| {
        if name == "sources_touched" && literal(rest, "\"").is_some() {
            return sources(rest);
        }
        if literal(rest, "\"").is_some() {
            plain(rest)?;
            purpose |= name == "purpose_declared";
            return (name != "flagged").then_some(());
        }
        if literal(rest, "null").is_some() {
            return (name != "purpose_declared").then_some(());
        }
        literal(rest, "true").or_else(|| literal(rest, "false"))?;
        (name == "flagged").then_some(())
    })?;
    purpose.then_some(())
}

/// A list of sources, with its quotes escaped; the opening quote is read.
fn sources(rest: &mut &str) -> Option<()> {
    let before = rest.len();
    literal(rest, "[")?;
    let mut last = "";
    loop {
        literal(rest, "\\\"")?;
        let end = rest.bytes().position(|b| b == b'\\')?;
        let (source, after) = rest.split_at_checked(end)?;
        let ordinary = |b: u8| b != b'"' && (b' '..=b'~').contains(&b);
        let normal = !source.starts_with(' ') && !source.ends_with(' ');
        // Also: not empty, since nothing is smaller than the empty string.
        if source <= last || !normal || !source.bytes().all(ordinary) {
            return None;
        }
        last = source;
        *rest = after;
        literal(rest, "\\\"")?;
        if literal(rest, "]\"").is_some() {
            // With its escapes it is longer than without.
            return (before - rest.len() <= crate::text::MAX_UNITS).then_some(());
        }
        literal(rest, ",")?;
    }
}

fn security(rest: &mut &str) -> Option<()> {
    let mut seen = 0;
    members(rest, |rest, name| {
        literal(rest, "\"")?;
        let text = plain(rest)?;
        seen += 1;
        let fits = match name {
            "drift_status" => matches!(text, "none" | "observed" | "confirmed"),
            "severity" => matches!(text, "info" | "low" | "medium" | "high"),
            "quarantine_decision" => matches!(text, "release" | "hold" | "quarantine"),
            "policy_id" => crate::registry::is_policy_id(text),
            "evidence_hash" => {
                seen -= 1;
                crate::registry::is_commitment(text)
            }
            _ => false,
        };
        fits.then_some(())
    })?;
    (seen == 4).then_some(())
}
