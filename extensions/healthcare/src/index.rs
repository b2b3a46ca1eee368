//! What a resource says about itself: identity, whose it is, and the rows by which it is found.

use crate::dates::DateRange;
use crate::decimal::{Decimal, KEY_MAX, KEY_MIN};
use crate::json::{JsonError, Node};
use crate::scope::{is_id, is_type};
use crate::search::params::{self, Def, Rule};
use crate::search::text::{normalised, soundex};
use crate::title;
use crate::types::ParamKind;

/// Why a resource is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// Not JSON.
    #[error("expected one JSON object, the resource")]
    Syntax,
    /// Nested deeper than any resource is.
    #[error("nested deeper than 64 levels")]
    TooDeep,
    /// A member appears twice in one object, so that readers could disagree on its value.
    #[error("an object has a member twice")]
    DuplicateMember,
    /// Larger than is stored.
    #[error("larger than {} bytes", crate::store::MAX_RESOURCE_BYTES)]
    TooLarge,
    /// No `resourceType`, or not the name of a type.
    #[error("resourceType: expected the name of a resource type")]
    ResourceType,
    /// No `id`, or not an id.
    #[error("id: expected 1 to 64 characters of A-Z a-z 0-9 - .")]
    Id,
    /// `meta.versionId` is not an id.
    #[error("meta.versionId: expected 1 to 64 characters of A-Z a-z 0-9 - .")]
    VersionId,
    /// A date that is searched by is not one.
    #[error("search parameter {param}: the resource has a date that is not a FHIR date")]
    Date {
        /// The search parameter.
        param: &'static str,
    },
    /// A number that is searched by is too long, or its exponent too large.
    #[error(
        "search parameter {param}: the resource has a number of over 1024 characters or with an exponent over 1000000"
    )]
    Number {
        /// The search parameter.
        param: &'static str,
    },
}

/// A resource with its index rows.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) resource_type: String,
    pub(crate) id: String,
    pub(crate) version_id: String,
    pub(crate) last_updated: Option<String>,
    pub(crate) title: String,
    pub(crate) synthetic: bool,
    /// The patients it belongs to. Empty text: one that cannot be told for certain, and so is in no scope of patients.
    pub(crate) patients: Vec<String>,
    pub(crate) rows: Vec<(&'static str, Row)>,
}

/// One way to find a resource by a parameter.
#[derive(Debug, PartialEq)]
pub(crate) enum Row {
    /// The element is there, whatever it holds.
    Present,
    /// Empty system: none. Empty code: none.
    Token {
        system: String,
        code: String,
    },
    Date(DateRange),
    Reference(Reference),
    Text {
        normal: String,
        exact: String,
    },
    /// Sort keys of the lowest and highest value.
    Quantity {
        low: String,
        high: String,
        system: String,
        code: String,
        unit: String,
    },
}

/// Where a reference points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `Type/id`, on this server.
    Local { resource_type: String, id: String },
    /// Anything else, whole.
    Url(String),
}

impl Reference {
    /// Reads a reference. `None`: it points inside the resource, or nowhere.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let current = text
            .split_once("/_history/")
            .map_or(text, |(current, _)| current);
        match current.split_once('/') {
            Some((resource_type, id)) if is_type(resource_type) && is_id(id) => Some(Self::Local {
                resource_type: resource_type.to_owned(),
                id: id.to_owned(),
            }),
            _ => Some(Self::Url(current.to_owned())),
        }
    }

    /// The type it points at, as far as its text tells.
    fn target_type(&self) -> Option<&str> {
        match self {
            Self::Local { resource_type, .. } => Some(resource_type),
            Self::Url(url) => {
                let mut parts = url.rsplit('/');
                parts.next().filter(|id| is_id(id))?;
                parts.next().filter(|name| is_type(name))
            }
        }
    }
}

/// Reads and indexes a resource.
pub(crate) fn index(text: &str) -> Result<Indexed, ResourceError> {
    let node = Node::parse(text).map_err(|error| match error {
        JsonError::Syntax => ResourceError::Syntax,
        JsonError::TooDeep => ResourceError::TooDeep,
        JsonError::DuplicateMember => ResourceError::DuplicateMember,
    })?;
    if !matches!(node, Node::Object(_)) {
        return Err(ResourceError::Syntax);
    }
    let resource_type = node
        .text_of("resourceType")
        .filter(|name| is_type(name))
        .ok_or(ResourceError::ResourceType)?;
    let id = node
        .text_of("id")
        .filter(|id| is_id(id))
        .ok_or(ResourceError::Id)?;
    let version_id = match node.get("meta").and_then(|meta| meta.get("versionId")) {
        None => "1",
        Some(version) => version
            .text()
            .filter(|v| is_id(v))
            .ok_or(ResourceError::VersionId)?,
    };
    let mut rows = Vec::new();
    let own = params::of_type(resource_type).unwrap_or(&[]);
    for def in params::COMMON.iter().chain(own) {
        rows_of(def, &node, &mut rows)?;
    }
    Ok(Indexed {
        version_id: version_id.to_owned(),
        last_updated: node.first_text("meta.lastUpdated").map(str::to_owned),
        title: title::of(resource_type, id, &node),
        synthetic: is_synthetic(&node),
        patients: patients(resource_type, id, &node),
        resource_type: resource_type.to_owned(),
        id: id.to_owned(),
        rows,
    })
}

/// Tagged as test health data.
fn is_synthetic(node: &Node) -> bool {
    node.at("meta.security").iter().any(|label| {
        label.text_of("code") == Some("HTEST")
            && label.text_of("system") == Some("http://terminology.hl7.org/CodeSystem/v3-ActReason")
    })
}

/// The patients a resource belongs to; see [`crate::scope::AccessScope`].
fn patients(resource_type: &str, id: &str, node: &Node) -> Vec<String> {
    if resource_type == "Patient" {
        return vec![id.to_owned()];
    }
    let mut patients: Vec<String> = ["subject", "patient", "beneficiary"]
        .iter()
        .flat_map(|member| node.at(member))
        .filter_map(
            |target| match target.text_of("reference").and_then(Reference::parse) {
                Some(Reference::Local { resource_type, id }) => {
                    (resource_type == "Patient").then_some(id)
                }
                _ => Some(String::new()),
            },
        )
        .collect();
    patients.sort();
    patients.dedup();
    patients
}

fn rows_of(
    def: &'static Def,
    node: &Node,
    rows: &mut Vec<(&'static str, Row)>,
) -> Result<(), ResourceError> {
    if def.rule == Rule::Deceased {
        let dead = match node.get("deceasedBoolean") {
            Some(Node::Bool(dead)) => *dead,
            _ => node.get("deceasedDateTime").is_some(),
        };
        rows.push((def.name, token("", if dead { "true" } else { "false" })));
        rows.push((def.name, Row::Present));
        return Ok(());
    }
    let mut present = false;
    for path in def.paths {
        for leaf in node.at(path) {
            present |= leaf_rows(def, leaf, &mut |row| rows.push((def.name, row)))?;
        }
    }
    if present {
        rows.push((def.name, Row::Present));
    }
    Ok(())
}

/// Adds the rows of one value. Whether the value counts as one of this parameter.
fn leaf_rows(
    def: &'static Def,
    leaf: &Node,
    add: &mut dyn FnMut(Row),
) -> Result<bool, ResourceError> {
    match def.kind {
        ParamKind::Token => tokens(def.rule, leaf).into_iter().for_each(add),
        ParamKind::Date => {
            if let Some(range) = date(leaf).map_err(|_| ResourceError::Date { param: def.name })? {
                add(Row::Date(range));
            }
        }
        ParamKind::Reference => {
            let text = leaf.text().or_else(|| leaf.text_of("reference"));
            let target = text.and_then(Reference::parse);
            if def.rule == Rule::OnlyTargets {
                let target_type = target.as_ref().and_then(Reference::target_type);
                if !target_type.is_some_and(|name| def.targets.contains(&name)) {
                    return Ok(false);
                }
            }
            if let (Rule::Canonical, Some(text)) = (def.rule, text) {
                add(Row::Reference(Reference::Url(text.to_owned())));
                if let Some((url, _version)) = text.split_once('|') {
                    add(Row::Reference(Reference::Url(url.to_owned())));
                }
            } else if let Some(target) = target {
                add(Row::Reference(target));
            }
        }
        ParamKind::String => {
            for text in texts(leaf) {
                if def.rule == Rule::Phonetic {
                    for code in text
                        .split(|c: char| c.is_whitespace() || c == '-')
                        .filter_map(soundex)
                    {
                        add(Row::Text {
                            normal: code.clone(),
                            exact: code,
                        });
                    }
                } else {
                    add(Row::Text {
                        normal: normalised(text),
                        exact: text.to_owned(),
                    });
                }
            }
        }
        ParamKind::Quantity => {
            if let Some(row) = quantity(leaf).ok_or(ResourceError::Number { param: def.name })? {
                add(row);
            }
        }
    }
    Ok(true)
}

fn token(system: &str, code: &str) -> Row {
    Row::Token {
        system: system.to_owned(),
        code: code.to_owned(),
    }
}

fn tokens(rule: Rule, leaf: &Node) -> Vec<Row> {
    match leaf {
        Node::Text(code) => vec![token("", code)],
        Node::Bool(flag) => vec![token("", if *flag { "true" } else { "false" })],
        Node::Object(_) => {
            // A CodeableConcept has codings; a Coding, an Identifier or a ContactPoint is one itself.
            let codings = match leaf.get("coding") {
                Some(codings) => codings.items(),
                None => std::slice::from_ref(leaf),
            };
            codings
                .iter()
                .filter_map(|coding| {
                    let system = match rule {
                        Rule::Contact => "",
                        _ => coding.text_of("system").unwrap_or(""),
                    };
                    let code = coding
                        .text_of("code")
                        .or_else(|| coding.text_of("value"))
                        .unwrap_or("");
                    (!system.is_empty() || !code.is_empty()).then(|| token(system, code))
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// A date, a period, or from the first to the last moment of a timing.
fn date(leaf: &Node) -> Result<Option<DateRange>, crate::dates::DateError> {
    if let Some(text) = leaf.text() {
        return text.parse().map(Some);
    }
    if leaf.get("event").is_some() || leaf.get("repeat").is_some() {
        let mut outer: Option<DateRange> = None;
        for moment in leaf
            .at("event")
            .into_iter()
            .chain(leaf.at("repeat.boundsPeriod"))
        {
            if let Some(range) = date(moment)? {
                outer = Some(outer.map_or(range, |outer| DateRange {
                    start: outer.start.min(range.start),
                    end: outer.end.max(range.end),
                }));
            }
        }
        return Ok(outer);
    }
    let start = leaf
        .text_of("start")
        .map(str::parse::<DateRange>)
        .transpose()?;
    let end = leaf
        .text_of("end")
        .map(str::parse::<DateRange>)
        .transpose()?;
    Ok((start.is_some() || end.is_some()).then(|| DateRange {
        start: start.map_or(DateRange::ALWAYS.start, |range| range.start),
        end: end.map_or(DateRange::ALWAYS.end, |range| range.end),
    }))
}

/// A text, or the texts of a HumanName or an Address.
fn texts(leaf: &Node) -> Vec<&str> {
    const PARTS: &[&str] = &[
        "text",
        "family",
        "given",
        "prefix",
        "suffix",
        "line",
        "city",
        "district",
        "state",
        "postalCode",
        "country",
    ];
    match leaf {
        Node::Text(text) => vec![text],
        Node::Object(_) => PARTS
            .iter()
            .flat_map(|part| leaf.at(part))
            .filter_map(Node::text)
            .collect(),
        _ => Vec::new(),
    }
}

/// The row of a Quantity or a Range, if it has a number. `None`: a number out of bounds.
fn quantity(leaf: &Node) -> Option<Option<Row>> {
    let key = |node: Option<&Node>| match node {
        Some(Node::Number(text)) => Decimal::parse(text).map(|number| Some(number.sort_key())),
        _ => Some(None),
    };
    let (low, high, of) = if leaf.get("low").is_some() || leaf.get("high").is_some() {
        let (low, high) = (leaf.get("low"), leaf.get("high"));
        let low_key = key(low.and_then(|q| q.get("value")))?;
        let high_key = key(high.and_then(|q| q.get("value")))?;
        (low_key, high_key, low.or(high))
    } else {
        let value = key(leaf.get("value"))?;
        match leaf.text_of("comparator") {
            Some("<" | "<=") => (None, value, Some(leaf)),
            Some(">" | ">=") => (value, None, Some(leaf)),
            _ => (value.clone(), value, Some(leaf)),
        }
    };
    if low.is_none() && high.is_none() {
        return Some(None);
    }
    let member = |name| of.and_then(|q| q.text_of(name)).unwrap_or("").to_owned();
    Some(Some(Row::Quantity {
        low: low.unwrap_or_else(|| KEY_MIN.to_owned()),
        high: high.unwrap_or_else(|| KEY_MAX.to_owned()),
        system: member("system"),
        code: member("code"),
        unit: member("unit"),
    }))
}
