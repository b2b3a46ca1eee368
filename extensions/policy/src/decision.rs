//! What was decided, and how two decisions become one.

use std::borrow::Cow;
use std::sync::Arc;

use mcp_ext_core::cx::Facts;
use mcp_ext_labels::Line;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::contract::Applied;
use crate::redact::Path;

/// Most reasons, and most obligations, of one decision.
const MAX_LINES: usize = 16;

/// Most paths of one decision.
const MAX_PATHS: usize = 256;

/// What a decision does, the mildest first. Of two, the stricter holds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// The call may happen, the result may be given.
    Allow,
    /// So may it, without some of its parts.
    Redact,
    /// The call may happen once a person has confirmed it.
    Confirm,
    /// It may not.
    Deny,
}

/// Names a policy: `<scope>/<name>@<revision>`.
///
/// ```
/// use mcp_ext_policy::PolicyId;
///
/// let id: PolicyId = "clinic/own-records@3".parse()?;
/// assert_eq!(id.as_str(), "clinic/own-records@3");
/// assert!("clinic@3".parse::<PolicyId>().is_err());
/// # Ok::<(), mcp_ext_policy::NotAPolicyId>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PolicyId(Box<str>);

/// A text names no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected the name of a policy, <scope>/<name>@<revision>, each of 1 to 64 characters of A-Z a-z 0-9 . _ -; seen: a text of {length} bytes"
)]
pub struct NotAPolicyId {
    /// Bytes of what was given.
    pub length: usize,
}

impl PolicyId {
    const PATTERN: &'static str =
        "^[A-Za-z0-9._-]{1,64}/[A-Za-z0-9._-]{1,64}@[A-Za-z0-9._-]{1,64}$";

    /// The id of a policy.
    ///
    /// # Errors
    /// When a part is not 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    pub fn new(scope: &str, name: &str, revision: &str) -> Result<Self, NotAPolicyId> {
        format!("{scope}/{name}@{revision}").parse()
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for PolicyId {
    type Err = NotAPolicyId;

    fn from_str(text: &str) -> Result<Self, NotAPolicyId> {
        let part = |part: &str| {
            (1..=64).contains(&part.len())
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        text.split_once('/')
            .and_then(|(scope, rest)| rest.split_once('@').map(|(name, rev)| (scope, name, rev)))
            .filter(|(scope, name, revision)| part(scope) && part(name) && part(revision))
            .map(|_| Self(text.into()))
            .ok_or(NotAPolicyId { length: text.len() })
    }
}

impl std::fmt::Display for PolicyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PolicyId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for PolicyId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PolicyId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }
}

/// A typed fact of the call that a policy can narrow, such as an access scope. Handlers and stores that know the type
/// find it in `cx.facts()` and demand it.
pub trait Narrow: Clone + Send + Sync + 'static {
    /// What both allow: never more than either.
    #[must_use]
    fn narrowed(self, by: &Self) -> Self;
}

/// Puts a fact into the facts of a call, narrowed by the one that is there.
type Narrowing = Arc<dyn Fn(&Facts) + Send + Sync>;

/// What a policy decided about a call, or about its result.
///
/// ```
/// use mcp_ext_policy::{Decision, Effect, PolicyId};
///
/// let records = PolicyId::new("clinic", "own-records", "3")?;
/// let night = PolicyId::new("clinic", "night-shift", "1")?;
/// let decision = Decision::allow(records).and(Decision::deny(night).because("the ward is closed"));
/// assert_eq!(decision.effect(), Effect::Deny);
/// # Ok::<(), mcp_ext_policy::NotAPolicyId>(())
/// ```
#[derive(Clone)]
pub struct Decision {
    effect: Effect,
    policy: PolicyId,
    reasons: Vec<Line<256>>,
    obligations: Vec<Line<256>>,
    removes: Vec<Path>,
    narrows: Vec<Narrowing>,
}

impl Decision {
    fn new(effect: Effect, policy: PolicyId) -> Self {
        Self {
            effect,
            policy,
            reasons: Vec::new(),
            obligations: Vec::new(),
            removes: Vec::new(),
            narrows: Vec::new(),
        }
    }

    /// Allows.
    #[must_use]
    pub fn allow(policy: PolicyId) -> Self {
        Self::new(Effect::Allow, policy)
    }

    /// Denies.
    #[must_use]
    pub fn deny(policy: PolicyId) -> Self {
        Self::new(Effect::Deny, policy)
    }

    /// Allows, without these parts of the result. Decided before the call, it holds for the result.
    #[must_use]
    pub fn redact(policy: PolicyId, parts: impl IntoIterator<Item = Path>) -> Self {
        Self {
            removes: parts.into_iter().collect(),
            ..Self::new(Effect::Redact, policy)
        }
    }

    /// Allows a call once a person has confirmed it. Of a result it cannot be said: that is denied.
    #[must_use]
    pub fn confirm(policy: PolicyId) -> Self {
        Self::new(Effect::Confirm, policy)
    }

    /// Adds a reason, for the caller. At most 16 are kept.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        add(&mut self.reasons, Line::lossy(reason));
        self
    }

    /// Adds something that whoever uses the result has to do. The block tells the caller; it does not do it. At most 16
    /// are kept.
    #[must_use]
    pub fn obliged(mut self, obligation: &str) -> Self {
        add(&mut self.obligations, Line::lossy(obligation));
        self
    }

    /// Narrows a fact of the call before the handler runs: what it and a fact of the same type that is already there
    /// allow, both.
    #[must_use]
    pub fn narrow<T: Narrow>(mut self, fact: T) -> Self {
        self.narrows.push(Arc::new(move |facts| {
            let narrowed = match facts.get::<T>() {
                Some(held) => held.narrowed(&fact),
                None => fact.clone(),
            };
            facts.put(narrowed);
        }));
        self
    }

    /// Both decisions: the stricter effect, under the name and for the reasons of the decision that has it, with the
    /// obligations, removed parts and narrowed facts of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (mut first, second) = if other.effect > self.effect {
            (other, self)
        } else {
            (self, other)
        };
        if second.effect == first.effect {
            second
                .reasons
                .into_iter()
                .for_each(|r| add(&mut first.reasons, r));
        }
        second
            .obligations
            .into_iter()
            .for_each(|o| add(&mut first.obligations, o));
        first.removes.extend(second.removes);
        first.narrows.extend(second.narrows);
        first
    }

    /// What it does.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The policy that decided.
    #[must_use]
    pub fn policy(&self) -> &PolicyId {
        &self.policy
    }

    /// Why.
    #[must_use]
    pub fn reasons(&self) -> &[Line<256>] {
        &self.reasons
    }

    /// What whoever uses the result has to do.
    #[must_use]
    pub fn obligations(&self) -> &[Line<256>] {
        &self.obligations
    }

    /// The parts of the result that are removed.
    #[must_use]
    pub fn removes(&self) -> &[Path] {
        &self.removes
    }

    /// Whether it narrows facts of the call.
    #[must_use]
    pub fn narrows(&self) -> bool {
        !self.narrows.is_empty()
    }

    /// What is told of it.
    #[must_use]
    pub fn applied(&self) -> Applied {
        Applied {
            effect: self.effect,
            policy_id: self.policy.clone(),
            reasons: self.reasons.clone(),
            obligations: self.obligations.clone(),
        }
    }

    /// What is left of it when the call has been carried out: a call that had to be confirmed has been.
    #[cfg(feature = "server")]
    pub(crate) fn once_confirmed(mut self) -> Self {
        if self.effect == Effect::Confirm {
            self.effect = if self.removes.is_empty() {
                Effect::Allow
            } else {
                Effect::Redact
            };
        }
        self
    }

    #[cfg(feature = "server")]
    pub(crate) fn narrow_facts(&self, facts: &Facts) {
        for narrow in &self.narrows {
            narrow(facts);
        }
    }

    /// Reads a decision as another program writes it: `{"effect": "redact", "policyId": "clinic/titles@2", "reasons": [..],
    /// "obligations": [..], "redact": ["/matches/*/title"]}`, the lists as far as there is something to say.
    ///
    /// ```
    /// use mcp_ext_policy::Decision;
    /// use serde_json::json;
    ///
    /// assert!(Decision::read(&json!({ "effect": "allow", "policyId": "clinic/day@1" })).is_ok());
    /// assert!(Decision::read(&json!({ "effect": "probably", "policyId": "clinic/day@1" })).is_err());
    /// assert!(Decision::read(&json!({ "result": true })).is_err());
    /// ```
    ///
    /// # Errors
    /// [`NotADecision`] for anything else: an unknown effect or member, lists that are too long, an effect `redact` that
    /// removes nothing.
    pub fn read(value: &Value) -> Result<Self, NotADecision> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Wire {
            effect: Effect,
            policy_id: PolicyId,
            #[serde(default)]
            reasons: Vec<String>,
            #[serde(default)]
            obligations: Vec<String>,
            #[serde(default)]
            redact: Vec<String>,
        }
        if !value.is_object() {
            return Err(NotADecision::Form("no object".to_owned()));
        }
        let wire = Wire::deserialize(value).map_err(|e| NotADecision::Form(e.to_string()))?;
        for (member, length, max) in [
            ("reasons", wire.reasons.len(), MAX_LINES),
            ("obligations", wire.obligations.len(), MAX_LINES),
            ("redact", wire.redact.len(), MAX_PATHS),
        ] {
            if length > max {
                return Err(NotADecision::TooMany {
                    member,
                    length,
                    max,
                });
            }
        }
        let parts = wire.redact.iter().map(|text| text.parse());
        let mut decision = Self::new(wire.effect, wire.policy_id);
        decision.removes = parts
            .collect::<Result<_, _>>()
            .map_err(|e: crate::redact::NotAPath| NotADecision::Form(e.to_string()))?;
        decision.reasons = wire.reasons.iter().map(|r| Line::lossy(r)).collect();
        decision.obligations = wire.obligations.iter().map(|o| Line::lossy(o)).collect();
        if decision.effect == Effect::Redact && decision.removes.is_empty() {
            return Err(NotADecision::RemovesNothing);
        }
        Ok(decision)
    }
}

fn add(lines: &mut Vec<Line<256>>, line: Line<256>) {
    if lines.len() < MAX_LINES && !lines.contains(&line) {
        lines.push(line);
    }
}

impl std::fmt::Debug for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decision")
            .field("effect", &self.effect)
            .field("policy", &self.policy.as_str())
            .field("reasons", &self.reasons)
            .field("obligations", &self.obligations)
            .field("removes", &self.removes)
            .field("narrows", &self.narrows.len())
            .finish()
    }
}

/// A value is no decision, so nothing may be allowed by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADecision {
    /// It has not the form of one.
    #[error("expected {{effect, policyId, reasons?, obligations?, redact?}}: {0}")]
    Form(String),
    /// A list is too long.
    #[error("{member}: expected at most {max} entries; seen: {length}")]
    TooMany {
        /// The member.
        member: &'static str,
        /// Entries in what was given.
        length: usize,
        /// The most.
        max: usize,
    },
    /// It says `redact`, and not what.
    #[error("the effect redact needs the parts to remove in `redact`")]
    RemovesNothing,
}
