//! The registered extensions of a record, and what their data must be.

use std::collections::BTreeSet;

use crate::record::{Data, RecordFault, Scalar};
use crate::text::{Text, write_quoted};

/// Who acts, and for what purpose.
pub const CALLER_GOVERNANCE: &str = "caller-governance";

/// What a runtime policy decided.
pub const RUNTIME_SECURITY: &str = "runtime-security";

/// Checks the data of one extension.
pub(crate) fn check(name: &str, data: &Data) -> Result<(), RecordFault> {
    let fault = |member: &str, expected: &'static str| RecordFault::Extension {
        extension: shown(name),
        member: shown(member),
        expected,
    };
    match name {
        CALLER_GOVERNANCE => {
            if !matches!(data.get("purpose_declared"), Some(Scalar::Text(_))) {
                return Err(fault("purpose_declared", "a string"));
            }
            for (member, value) in data {
                match (member.as_str(), value) {
                    ("flagged", Scalar::Text(_)) => {
                        return Err(fault(member, "true, false or null"));
                    }
                    (
                        "session_id"
                        | "invoked_by_principal_id"
                        | "sensitivity_encountered"
                        | "output_disposition"
                        | "human_actor_id"
                        | "sources_touched",
                        Scalar::Flag(_),
                    ) => return Err(fault(member, "a string or null")),
                    ("sources_touched", Scalar::Text(sources)) if !is_source_list(sources) => {
                        return Err(fault(member, SOURCES));
                    }
                    _ => {}
                }
            }
            Ok(())
        }
        RUNTIME_SECURITY => {
            let text = |member: &'static str| match data.get(member) {
                Some(Scalar::Text(text)) => Ok(Some(text.as_str())),
                None => Ok(None),
                Some(_) => Err(fault(member, "a string")),
            };
            let one_of = |member, words: &'static [&'static str], expected| match text(member)?
                .is_some_and(|word| words.contains(&word))
            {
                true => Ok(()),
                false => Err(fault(member, expected)),
            };
            one_of(
                "drift_status",
                &["none", "observed", "confirmed"],
                "none, observed or confirmed",
            )?;
            one_of(
                "severity",
                &["info", "low", "medium", "high"],
                "info, low, medium or high",
            )?;
            one_of(
                "quarantine_decision",
                &["release", "hold", "quarantine"],
                "release, hold or quarantine",
            )?;
            if !text("policy_id")?.is_some_and(is_policy_id) {
                return Err(fault("policy_id", "<scope>/<name>@<revision>"));
            }
            if !text("evidence_hash")?.is_none_or(is_commitment) {
                return Err(fault("evidence_hash", "<algorithm>:<hexadecimal digits>"));
            }
            match data.iter().find(|(_, v)| !matches!(v, Scalar::Text(_))) {
                Some((member, _)) => Err(fault(member, "a string")),
                None => Ok(()),
            }
        }
        _ => Err(RecordFault::Unregistered {
            extension: shown(name),
        }),
    }
}

const SOURCES: &str = "a JSON array of distinct non-empty strings, sorted, without white space, or null when there is none";

/// The one way to write a set of sources; `None` when there is none.
pub(crate) fn source_list(sources: &BTreeSet<Text>) -> Option<String> {
    let mut out = String::from("[");
    for source in sources.iter().filter(|s| !s.as_str().is_empty()) {
        if out.len() > 1 {
            out.push(',');
        }
        write_quoted(&mut out, source.as_str());
    }
    out.push(']');
    (out.len() > 2).then_some(out)
}

fn is_source_list(text: &Text) -> bool {
    let Ok(items) = serde_json::from_str::<Vec<String>>(text.as_str()) else {
        return false;
    };
    let normal: Result<BTreeSet<Text>, _> = items.iter().map(|item| Text::new(item)).collect();
    normal
        .ok()
        .and_then(|set| source_list(&set))
        .is_some_and(|list| list == text.as_str())
}

pub(crate) fn is_policy_id(id: &str) -> bool {
    let part =
        |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '@');
    id.rsplit_once('@').is_some_and(|(name, revision)| {
        part(revision)
            && name
                .rsplit_once('/')
                .is_some_and(|(scope, name)| part(scope) && part(name))
    })
}

pub(crate) fn is_commitment(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, digits)| {
        !algorithm.is_empty()
            && !digits.is_empty()
            && digits
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// A name from outside, fit for one line of a message.
pub(crate) fn shown(name: &str) -> String {
    name.chars()
        .take(64)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
