//! A label, and how two become one. Nothing here lowers a label: there is no way to take a mark off.

use std::collections::{BTreeMap, BTreeSet};

use mcp_ext_values::Source;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::marks::{
    CONFIDENTIALITY, Code, Line, MarkError, Regulation, Sensitivity, confidentiality_rank,
};

/// Most entries in each list of a label.
pub const MAX_MARKS: usize = 64;

/// Longest text of [`Label::note`], in characters.
const MAX_NOTE: usize = 1000;

/// Most entries of a list in it.
const MAX_SHOWN: usize = 8;

/// How data must be treated: what kind it is, which rules govern it, who may have written into it.
///
/// Labels are a join semilattice. [`join`](Self::join) keeps every mark of both sides; the default label has none. A
/// label lists at most [`MAX_MARKS`] entries of a kind; one that would list more, or that could not be read or
/// determined, [says so](Self::has_more), and then counts as having every mark.
///
/// ```
/// use mcp_ext_labels::{Label, Regulation, Sensitivity};
///
/// let chart = Label::new().sensitive(Sensitivity::Pii).regulated(Regulation::HIPAA);
/// let invoice = Label::new().sensitive(Sensitivity::Financial);
/// let both = chart.clone().join(&invoice);
/// assert!(both.covers(&chart) && both.covers(&invoice));
/// assert_eq!(both, [chart, invoice].iter().collect());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Label {
    sensitivity: BTreeSet<Sensitivity>,
    regulated: BTreeSet<Regulation>,
    source: Option<Source>,
    codes: BTreeMap<(Line<256>, Line<64>), Option<Line<128>>>,
    handling: BTreeSet<Line<128>>,
    attribution: BTreeSet<Line<512>>,
    ai_authored: bool,
    more: bool,
}

impl Label {
    /// A label without a mark.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The label of data of which the marks are not known: it counts as having all of them.
    #[must_use]
    pub fn undetermined() -> Self {
        Self {
            more: true,
            ..Self::default()
        }
    }

    /// Adds a kind of data.
    #[must_use]
    pub fn sensitive(mut self, sensitivity: Sensitivity) -> Self {
        self.sensitivity.insert(sensitivity);
        self
    }

    /// Adds a law or standard.
    #[must_use]
    pub fn regulated(mut self, regulation: Regulation) -> Self {
        self.regulated.insert(regulation);
        self.bounded()
    }

    /// Says who may have written into the data. The least trusted one said stays.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.source = less_trusted(self.source, Some(source));
        self
    }

    /// Adds a code, such as a security label of HL7.
    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.add_code(code);
        self.bounded()
    }

    /// Adds a rule for whoever handles the data, in words.
    #[must_use]
    pub fn handling(mut self, rule: Line<128>) -> Self {
        self.handling.insert(rule);
        self.bounded()
    }

    /// Adds the URI of something the data was made from.
    #[must_use]
    pub fn attributed(mut self, uri: Line<512>) -> Self {
        self.attribution.insert(uri);
        self.bounded()
    }

    /// Says that an AI wrote it, or a part of it.
    #[must_use]
    pub fn ai_authored(mut self) -> Self {
        self.ai_authored = true;
        self
    }

    /// The least label that has every mark of both.
    #[must_use]
    pub fn join(mut self, other: &Self) -> Self {
        self.sensitivity.extend(&other.sensitivity);
        self.regulated.extend(other.regulated.iter().cloned());
        self.source = less_trusted(self.source, other.source);
        for ((system, code), display) in &other.codes {
            self.add_code(Code {
                system: system.clone(),
                code: code.clone(),
                display: display.clone(),
            });
        }
        self.handling.extend(other.handling.iter().cloned());
        self.attribution.extend(other.attribution.iter().cloned());
        self.ai_authored |= other.ai_authored;
        self.more |= other.more;
        self.bounded()
    }

    fn add_code(&mut self, code: Code) {
        let known = self.codes.entry((code.system, code.code)).or_default();
        // Of two texts for one code the first in order stays, so that it does not matter who comes first.
        *known = match (known.take(), code.display) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Keeps the first entries of each kind, in order: so the result does not depend on the order of joins.
    fn bounded(mut self) -> Self {
        fn keep<T: Ord>(set: &mut BTreeSet<T>) -> bool {
            let over = set.len() > MAX_MARKS;
            while set.len() > MAX_MARKS {
                set.pop_last();
            }
            over
        }
        self.more |= keep(&mut self.regulated);
        self.more |= keep(&mut self.handling);
        self.more |= keep(&mut self.attribution);
        self.more |= self.codes.len() > MAX_MARKS;
        while self.codes.len() > MAX_MARKS {
            self.codes.pop_last();
        }
        self
    }

    /// Whether this is at least as high as `other` in every respect: whoever may see data of this label, may see data
    /// of the other.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let lists = self.more
            || (!other.more
                && other.sensitivity.is_subset(&self.sensitivity)
                && other.regulated.is_subset(&self.regulated)
                && other.codes.keys().all(|code| self.codes.contains_key(code))
                && other.handling.is_subset(&self.handling)
                && other.attribution.is_subset(&self.attribution));
        lists
            && self.source == less_trusted(self.source, other.source)
            && self.ai_authored >= other.ai_authored
    }

    /// Whether it has no mark at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether there are marks that it does not list. It then counts as having every mark.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// The kinds of data listed.
    pub fn sensitivities(&self) -> impl Iterator<Item = Sensitivity> + '_ {
        self.sensitivity.iter().copied()
    }

    /// The laws and standards listed.
    pub fn regulations(&self) -> impl Iterator<Item = &Regulation> + '_ {
        self.regulated.iter()
    }

    /// Who may have written into the data, if it is said.
    #[must_use]
    pub fn written_by(&self) -> Option<Source> {
        self.source
    }

    /// The codes listed.
    pub fn codes(&self) -> impl Iterator<Item = Code> + '_ {
        self.codes.iter().map(|((system, code), display)| Code {
            system: system.clone(),
            code: code.clone(),
            display: display.clone(),
        })
    }

    /// The rules for whoever handles the data.
    pub fn handling_rules(&self) -> impl Iterator<Item = &str> + '_ {
        self.handling.iter().map(Line::as_str)
    }

    /// What the data was made from.
    pub fn attribution(&self) -> impl Iterator<Item = &str> + '_ {
        self.attribution.iter().map(Line::as_str)
    }

    /// Whether an AI wrote it, or a part of it.
    #[must_use]
    pub fn is_ai_authored(&self) -> bool {
        self.ai_authored
    }

    /// The highest code of [`CONFIDENTIALITY`]: the level of the whole, where the label is that of a set.
    ///
    /// ```
    /// use mcp_ext_labels::{CONFIDENTIALITY, Code, Label};
    ///
    /// let set: Label = ["N", "R", "L"]
    ///     .map(|code| Code::new(CONFIDENTIALITY, code).map(|code| Label::new().code(code)))
    ///     .into_iter()
    ///     .collect::<Result<_, _>>()?;
    /// assert_eq!(set.high_water_mark().unwrap().code.as_str(), "R");
    /// # Ok::<(), mcp_ext_labels::MarkError>(())
    /// ```
    #[must_use]
    pub fn high_water_mark(&self) -> Option<Code> {
        self.codes()
            .filter(|code| code.system.as_str() == CONFIDENTIALITY)
            .max_by_key(|code| (confidentiality_rank(code.code.as_str()), code.code.clone()))
            .map(|code| Code {
                display: None,
                ..code
            })
    }

    /// Whether its confidentiality is known to be no higher than `code`, one of [`CONFIDENTIALITY`].
    #[must_use]
    pub fn confidentiality_at_most(&self, code: &str) -> bool {
        !self.more
            && self.high_water_mark().is_none_or(|mark| {
                confidentiality_rank(mark.code.as_str()) <= confidentiality_rank(code)
            })
    }

    /// The label in one line of text, for those who read nothing else. `None` without a mark.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        // What must not be cut off stands in front, and no list is so long that it takes the room of the next.
        let mut parts: Vec<String> = Vec::new();
        if self.more {
            parts.push("not all marks are listed, handle as the strictest".to_owned());
        }
        let mut list = |what: &str, entries: &mut dyn Iterator<Item = &str>| {
            let mut shown: Vec<String> = (&mut *entries)
                .take(MAX_SHOWN)
                .map(|entry| Line::<64>::lossy(entry).to_string())
                .collect();
            let more = entries.count();
            if more > 0 {
                shown.push(format!("{more} more"));
            }
            if !shown.is_empty() {
                parts.push(format!("{what} {}", shown.join(", ")));
            }
        };
        list(
            "sensitivity",
            &mut self.sensitivity.iter().map(|s| s.as_str()),
        );
        let mark = self.high_water_mark();
        list(
            "confidentiality",
            &mut mark.iter().map(|mark| mark.code.as_str()),
        );
        list("source", &mut self.source.iter().map(|s| s.as_str()));
        list(
            "written",
            &mut self
                .ai_authored
                .then_some("by an AI, at least in part")
                .into_iter(),
        );
        list(
            "regulated by",
            &mut self.regulated.iter().map(Regulation::as_str),
        );
        let others = self
            .codes
            .keys()
            .filter(|(system, _)| system.as_str() != CONFIDENTIALITY);
        list("codes", &mut others.map(|(_, code)| code.as_str()));
        list("handling", &mut self.handling_rules());
        list("from", &mut self.attribution());
        let note = format!("Labels: {}", parts.join("; "));
        Some(Line::<MAX_NOTE>::lossy(&note).to_string())
    }

    /// Reads what a peer sent as a label. It never fails, and it never reads less than there is: what is not
    /// understood or too much counts as [more](Self::has_more).
    ///
    /// ```
    /// use mcp_ext_labels::{Label, Sensitivity};
    /// use serde_json::json;
    ///
    /// let label = Label::read(&json!({ "sensitivity": ["pii", "somethingNew"], "aiAuthored": "no" }));
    /// assert!(label.covers(&Label::new().sensitive(Sensitivity::Pii)) && label.has_more());
    /// assert_eq!(Label::read(&json!({})), Label::new());
    /// ```
    #[must_use]
    pub fn read(value: &Value) -> Self {
        let Some(members) = value.as_object() else {
            return Self::undetermined();
        };
        let mut label = Self::new();
        for (name, value) in members {
            let understood = match name.as_str() {
                "sensitivity" => each(value, |value| {
                    // The class of data that has none.
                    if value != "none" {
                        label
                            .sensitivity
                            .insert(Sensitivity::deserialize(value).ok()?);
                    }
                    Some(())
                }),
                "regulated" => each(value, |value| {
                    let name = value.as_str()?;
                    if name.len() > 32 {
                        return None;
                    }
                    let name = name.to_ascii_uppercase();
                    label.regulated.insert(Regulation::new(&name).ok()?);
                    Some(())
                }),
                "source" => {
                    let source = Source::deserialize(value).ok();
                    label = label.source(source.unwrap_or(Source::UntrustedPublic));
                    source.map(|_| ())
                }
                "codes" => each(value, |value| {
                    label.add_code(Code::deserialize(value).ok()?);
                    Some(())
                }),
                "highWaterMark" => Code::deserialize(value)
                    .ok()
                    .map(|code| label.add_code(code)),
                "handling" => each(value, |value| {
                    label.handling.insert(Line::deserialize(value).ok()?);
                    Some(())
                }),
                "attribution" => each(value, |value| {
                    label.attribution.insert(Line::deserialize(value).ok()?);
                    Some(())
                }),
                "aiAuthored" => match value.as_bool() {
                    Some(is) => {
                        label.ai_authored |= is;
                        Some(())
                    }
                    None => {
                        label.ai_authored = true;
                        None
                    }
                },
                "more" => value.as_bool().map(|is| label.more |= is),
                // Members of a later revision, or somebody else's: they say nothing here.
                _ => Some(()),
            };
            label.more |= understood.is_none();
        }
        label.bounded()
    }
}

/// Of two the less trusted one; one that is not said is the other.
fn less_trusted(a: Option<Source>, b: Option<Source>) -> Option<Source> {
    match (a, b) {
        // They are in order from the least trusted on.
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Reads the entries of a list, as many as a label can hold; `None` when one is not understood or there are more.
fn each(value: &Value, mut read: impl FnMut(&Value) -> Option<()>) -> Option<()> {
    let entries = value.as_array()?;
    let mut understood = entries.len() <= MAX_MARKS;
    for entry in entries.iter().take(MAX_MARKS) {
        understood &= read(entry).is_some();
    }
    understood.then_some(())
}

impl<L: std::borrow::Borrow<Label>> FromIterator<L> for Label {
    /// The high-water mark of a set: the least label that has every mark of each.
    fn from_iter<I: IntoIterator<Item = L>>(labels: I) -> Self {
        labels
            .into_iter()
            .fold(Self::new(), |all, label| all.join(label.borrow()))
    }
}

/// A label as it travels.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Label")]
pub(crate) struct Wire {
    /// Kinds of data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    sensitivity: Vec<Sensitivity>,
    /// Laws and standards that govern it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    regulated: Vec<Regulation>,
    /// Who may have written into it; the least trusted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    /// Codes of coding systems, such as security labels of HL7.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    codes: Vec<Code>,
    /// The highest confidentiality code: the level of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    high_water_mark: Option<Code>,
    /// Rules for whoever handles it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    handling: Vec<Line<128>>,
    /// URIs of what it was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    attribution: Vec<Line<512>>,
    /// An AI wrote it, or a part of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ai_authored: bool,
    /// There are marks that are not listed: handle it as the strictest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

impl From<Label> for Wire {
    fn from(label: Label) -> Self {
        let high_water_mark = label.high_water_mark();
        Self {
            high_water_mark,
            codes: label.codes().collect(),
            sensitivity: label.sensitivity.into_iter().collect(),
            regulated: label.regulated.into_iter().collect(),
            source: label.source,
            handling: label.handling.into_iter().collect(),
            attribution: label.attribution.into_iter().collect(),
            ai_authored: label.ai_authored,
            more: label.more,
        }
    }
}

impl TryFrom<Wire> for Label {
    type Error = MarkError;

    fn try_from(wire: Wire) -> Result<Self, MarkError> {
        let lists = [
            ("sensitivity", wire.sensitivity.len()),
            ("regulated", wire.regulated.len()),
            ("codes", wire.codes.len()),
            ("handling", wire.handling.len()),
            ("attribution", wire.attribution.len()),
        ];
        if let Some((member, length)) = lists.into_iter().find(|(_, len)| *len > MAX_MARKS) {
            return Err(MarkError::TooMany {
                member,
                max: MAX_MARKS,
                length,
            });
        }
        let mut label = Self {
            sensitivity: wire.sensitivity.into_iter().collect(),
            regulated: wire.regulated.into_iter().collect(),
            source: wire.source,
            codes: BTreeMap::new(),
            handling: wire.handling.into_iter().collect(),
            attribution: wire.attribution.into_iter().collect(),
            ai_authored: wire.ai_authored,
            more: wire.more,
        };
        for code in wire.codes.into_iter().chain(wire.high_water_mark) {
            label.add_code(code);
        }
        Ok(label.bounded())
    }
}

impl JsonSchema for Label {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Wire::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        Wire::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Wire::json_schema(generator)
    }
}
