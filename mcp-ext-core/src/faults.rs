//! What is wrong with a value: every fault at once, in words that say what to send instead.
//!
//! Values are read by serde; only when that fails is the value walked against the schema of its type. A fault says
//! what was expected and the JSON type and length of what was seen, never the value, except where it is marked so.

mod pattern;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::schema::{TypeSchema, resolve, root, target};
use pattern::Pattern;

/// Most faults reported of one value; one more then says how many were left out.
pub const MOST_FAULTS: usize = 64;

/// Most schema and value pairs looked at, and the deepest nesting followed.
const MOST_STEPS: usize = 100_000;
const DEEPEST: usize = 128;

/// Longest piece of a peer's name, and longest value under `echo`, in characters.
const LONGEST_NAME: usize = 64;
const LONGEST_ECHO: usize = 64;

/// Most names of an enum that a fault lists.
const MOST_NAMES: usize = 16;

/// One thing wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Where, as a JSON pointer (RFC 6901); empty for the value as a whole.
    pub pointer: String,
    /// What was expected.
    pub expected: String,
    /// What was seen: a JSON type and its length.
    pub seen: String,
    /// All of it in one sentence, with a suggestion where there is one.
    pub message: String,
}

/// Walks a value that serde refused against the schema of its type, and gives every fault found.
///
/// `echo` names the members whose value may be shown, by their path (`/course/id`; indices of arrays are left out, `*`
/// is any one member). Empty when the schema admits the value: see [`from_serde`] for what to say then.
///
/// ```
/// use mcp_ext_core::faults::find;
/// use mcp_ext_core::schema::TypeSchema;
/// use schemars::JsonSchema;
/// use serde_json::json;
///
/// #[derive(JsonSchema)]
/// #[serde(rename_all = "camelCase")]
/// #[allow(dead_code)]
/// struct RubricParams {
///     rubric_id: String,
///     limit: Option<u8>,
/// }
///
/// const PARAMS: TypeSchema = TypeSchema::of::<RubricParams>();
/// let faults = find(&json!({ "rubricId": 7, "limit": 300 }), &PARAMS, &[]);
/// assert_eq!(faults[1].message, "rubricId: expected a string, saw an integer");
/// assert_eq!(faults[0].message, "limit: expected an integer from 0 to 255 or null, saw an integer");
/// ```
#[must_use]
pub fn find(value: &Value, schema: &TypeSchema, echo: &[&str]) -> Vec<Fault> {
    search(value, schema, echo, false)
}

/// As [`find`], for settings read with [`lenient`](crate::algebra::lenient): members of sets and keys of maps that this
/// side does not know are no faults.
#[must_use]
pub fn find_in_settings(value: &Value, schema: &TypeSchema) -> Vec<Fault> {
    search(value, schema, &[], true)
}

fn search(value: &Value, schema: &TypeSchema, echo: &[&str], lenient: bool) -> Vec<Fault> {
    let root = root(schema);
    let mut finder = Finder {
        root: &root,
        echo,
        lenient,
        steps: 0,
        patterns: BTreeMap::new(),
    };
    let mut found = Found::default();
    finder.walk(value, &root, &Path::Root, 0, &mut found);
    let mut faults = found.faults;
    if found.more > 0 {
        let seen = format!("{} more faults", found.more);
        faults.push(Fault {
            pointer: String::new(),
            expected: "a value without faults".to_owned(),
            message: format!("and {seen}; mend these first"),
            seen,
        });
    }
    faults
}

/// What serde's own error says, without the value that its message may hold.
///
/// ```
/// use mcp_ext_core::faults::from_serde;
/// use serde_json::json;
///
/// let value = json!("4111 1111 1111 1111");
/// let error = serde_json::from_value::<u32>(value.clone()).unwrap_err();
/// let fault = from_serde(&error, &value);
/// assert_eq!(fault.message, "expected u32, saw a string");
/// ```
#[must_use]
pub fn from_serde(error: &serde_json::Error, value: &Value) -> Fault {
    let text = error.to_string();
    let text = match text.rsplit_once(" at line ") {
        Some((text, _)) if error.line() > 0 => text,
        _ => &text,
    };
    let place = match (error.line(), error.column()) {
        (0, _) => String::new(),
        (line, column) => format!(" (line {line}, column {column})"),
    };
    let (expected, seen) = match error.classify() {
        serde_json::error::Category::Data => explain(text),
        serde_json::error::Category::Eof => (
            Some("the rest of the JSON text".to_owned()),
            Some("its end".to_owned()),
        ),
        serde_json::error::Category::Syntax => (
            Some("well-formed JSON".to_owned()),
            Some("something else".to_owned()),
        ),
        serde_json::error::Category::Io => (
            Some("a readable text".to_owned()),
            Some("a failure to read".to_owned()),
        ),
    };
    let expected = expected.unwrap_or_else(|| "a value that the type admits".to_owned());
    let seen = seen.unwrap_or_else(|| kind(value));
    Fault {
        pointer: String::new(),
        message: format!("expected {expected}, saw {seen}{place}"),
        expected,
        seen,
    }
}

/// What was expected and seen, from the messages that serde itself words. The value is quoted in them before the last
/// `, expected`; what follows that is the type's own.
fn explain(text: &str) -> (Option<String>, Option<String>) {
    let quoted = |text: &str| {
        let name = text.strip_prefix('`')?.strip_suffix('`')?;
        (name.len() <= LONGEST_NAME && !name.contains('`')).then(|| format!("`{name}`"))
    };
    if let Some(name) = text.strip_prefix("missing field ").and_then(quoted) {
        return (
            Some(format!("the member {name}")),
            Some("nothing".to_owned()),
        );
    }
    if let Some(name) = text.strip_prefix("duplicate field ").and_then(quoted) {
        return (
            Some(format!("the member {name} once")),
            Some("it again".to_owned()),
        );
    }
    let seen = |text: &str| {
        let types = [
            ("null", "null"),
            ("unit", "null"),
            ("boolean", "a boolean"),
            ("integer", "an integer"),
            ("floating point", "a number with a fraction or exponent"),
            ("string", "a string"),
            ("character", "a string"),
            ("sequence", "an array"),
            ("map", "an object"),
        ];
        types
            .iter()
            .find(|(word, _)| text.starts_with(word))
            .map(|(_, seen)| (*seen).to_owned())
    };
    let known = [
        ("invalid type: ", None),
        ("invalid value: ", None),
        ("invalid length ", Some("another length")),
        ("unknown variant ", Some("an unknown name")),
        ("unknown field ", Some("an unknown member")),
    ];
    for (prefix, words) in known {
        if let Some(rest) = text.strip_prefix(prefix)
            && let Some((_, expected)) = rest.rsplit_once(", expected ")
        {
            return (
                Some(expected.chars().take(200).collect()),
                words.map(str::to_owned).or_else(|| seen(rest)),
            );
        }
    }
    (None, None)
}

/// The known name that a name was probably meant to be.
///
/// ```
/// use mcp_ext_core::faults::nearest;
///
/// assert_eq!(nearest("rubric_id", ["rubricId", "course"]), Some("rubricId"));
/// assert_eq!(nearest("colour", ["rubricId", "course"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Case and separators are what most often differ, and cost nothing.
    let plain = |text: &str| -> Vec<char> {
        let kept = text
            .chars()
            .filter(|c| !matches!(c, '_' | '-' | ' '))
            .flat_map(char::to_lowercase);
        kept.take(LONGEST_NAME + 1).collect()
    };
    let name = plain(name);
    if name.is_empty() || name.len() > LONGEST_NAME {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let other = plain(candidate);
        let most = name.len().max(other.len()) / 3;
        if other.len() > LONGEST_NAME || name.len().abs_diff(other.len()) > most {
            continue;
        }
        let distance = distance(&name, &other);
        if distance <= most && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two texts (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

// --- places ----------------------------------------------------------------------------------------------------

/// Where the walk is; written out only when there is a fault.
enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(outer, name) => {
                format!(
                    "{}/{}",
                    outer.pointer(),
                    cut(name, LONGEST_NAME)
                        .replace('~', "~0")
                        .replace('/', "~1")
                )
            }
            Self::Index(outer, i) => format!("{}/{i}", outer.pointer()),
        }
    }

    /// `course.items[2].id`
    fn words(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(Path::Root, name) => cut(name, LONGEST_NAME),
            Self::Member(outer, name) => format!("{}.{}", outer.words(), cut(name, LONGEST_NAME)),
            Self::Index(outer, i) => format!("{}[{i}]", outer.words()),
        }
    }

    /// Whether the path, indices aside, is the one that `echo` names, read from its end.
    fn is(&self, mut names: std::str::Split<'_, char>) -> bool {
        match self {
            Self::Root => names.next().is_none(),
            Self::Index(outer, _) => outer.is(names),
            Self::Member(outer, name) => {
                names
                    .next_back()
                    .is_some_and(|wanted| wanted == "*" || wanted == *name)
                    && outer.is(names)
            }
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[derive(Default)]
struct Found {
    faults: Vec<Fault>,
    more: usize,
}

impl Found {
    fn push(&mut self, fault: impl FnOnce() -> Fault) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault());
        } else {
            self.more += 1;
        }
    }

    fn take(&mut self, other: Self) {
        for fault in other.faults {
            self.push(|| fault);
        }
        self.more += other.more;
    }

    fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

// --- the walk --------------------------------------------------------------------------------------------------

struct Finder<'s> {
    root: &'s Value,
    echo: &'s [&'s str],
    lenient: bool,
    steps: usize,
    patterns: BTreeMap<&'s str, Option<Pattern>>,
}

/// How well an alternative fits, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// Its tag is there.
    Tagged,
    /// The JSON type is right.
    Type,
    /// It has a tag, and the value another or none.
    OtherTag,
    /// The JSON type is wrong.
    OtherType,
}

impl<'s> Finder<'s> {
    fn walk(
        &mut self,
        value: &Value,
        schema: &'s Value,
        at: &Path<'_>,
        depth: usize,
        found: &mut Found,
    ) {
        self.steps += 1;
        if self.steps > MOST_STEPS || depth > DEEPEST {
            return;
        }
        let Some(map) = schema.as_object() else {
            if *schema == Value::Bool(false) {
                found.push(|| self.fault(at, "nothing here".to_owned(), value, ""));
            }
            return;
        };
        if let Some(target) = map
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|r| target(self.root, r))
        {
            self.walk(value, target, at, depth + 1, found);
        }
        if map.get("type").is_some_and(|ty| !has_type(value, ty)) {
            found.push(|| self.fault(at, self.expectation(schema), value, ""));
            return;
        }
        if let Some(names) = names(map)
            && !names.contains(&value)
        {
            let meant = value
                .as_str()
                .and_then(|v| nearest(v, names.iter().filter_map(|n| n.as_str())));
            let hint = meant
                .map(|meant| format!("; did you mean {meant:?}?"))
                .unwrap_or_default();
            found.push(|| self.fault(at, self.expectation(schema), value, &hint));
            return;
        }
        let fits = match value {
            Value::Number(_) => fits_range(value, map),
            Value::String(text) => self.fits_text(text, map),
            Value::Array(list) => fits_count(list.len(), map, "minItems", "maxItems"),
            Value::Object(members) => {
                fits_count(members.len(), map, "minProperties", "maxProperties")
            }
            _ => true,
        };
        if !fits {
            found.push(|| self.fault(at, self.expectation(schema), value, ""));
        }
        match value {
            Value::Array(list) => self.walk_array(list, map, at, depth, found),
            Value::Object(members) => self.walk_object(members, map, at, depth, found),
            _ => {}
        }
        for branch in map
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.walk(value, branch, at, depth + 1, found);
        }
        for keyword in ["oneOf", "anyOf"] {
            if let Some(branches) = map.get(keyword).and_then(Value::as_array) {
                self.walk_alternatives(value, schema, branches, at, depth, found);
            }
        }
    }

    fn walk_array(
        &mut self,
        list: &[Value],
        map: &'s Map<String, Value>,
        at: &Path<'_>,
        depth: usize,
        found: &mut Found,
    ) {
        let first = map
            .get("prefixItems")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let rest = map.get("items");
        for (i, member) in list.iter().enumerate() {
            let Some(schema) = first.get(i).or(rest) else {
                return;
            };
            let scalar = !matches!(member, Value::Array(_) | Value::Object(_));
            // A member this side does not know is dropped, so only its type counts.
            if self.lenient && scalar && i >= first.len() && self.has_type_of(member, schema, 0) {
                continue;
            }
            self.walk(member, schema, &Path::Index(at, i), depth + 1, found);
        }
    }

    fn walk_object(
        &mut self,
        members: &Map<String, Value>,
        map: &'s Map<String, Value>,
        at: &Path<'_>,
        depth: usize,
        found: &mut Found,
    ) {
        let known = map.get("properties").and_then(Value::as_object);
        let is_known = |name: &str| known.is_some_and(|known| known.contains_key(name));
        for name in map
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if members.contains_key(name) {
                continue;
            }
            let schema = known
                .and_then(|known| known.get(name))
                .unwrap_or(&Value::Bool(true));
            let expected = self.expectation(schema);
            // A name that is nearly right is more likely a slip than something else.
            let slip = nearest(
                name,
                members
                    .keys()
                    .map(String::as_str)
                    .filter(|name| !is_known(name)),
            );
            let hint = slip
                .map(|slip| format!("; saw {slip:?} instead"))
                .unwrap_or_default();
            let here = Path::Member(at, name);
            found.push(|| Fault {
                pointer: here.pointer(),
                message: format!(
                    "{}: required and missing, expected {expected}{hint}",
                    here.words()
                ),
                expected,
                seen: "nothing".to_owned(),
            });
        }
        let patterns = map.get("patternProperties").and_then(Value::as_object);
        for (name, member) in members {
            let here = Path::Member(at, name);
            if let Some(schema) = known.and_then(|known| known.get(name)) {
                self.walk(member, schema, &here, depth + 1, found);
                continue;
            }
            let mut matched = false;
            for (pattern, schema) in patterns.into_iter().flatten() {
                if self.matches(pattern, name) {
                    matched = true;
                    self.walk(member, schema, &here, depth + 1, found);
                }
            }
            match map.get("additionalProperties") {
                _ if matched => {}
                Some(Value::Bool(false)) if !self.lenient => {
                    let names = || known.into_iter().flat_map(Map::keys).map(String::as_str);
                    let mut expected = match names().count() {
                        0 => String::new(),
                        1..=MOST_NAMES => format!(
                            "a known member ({})",
                            names().collect::<Vec<_>>().join(", ")
                        ),
                        _ => "a known member".to_owned(),
                    };
                    for pattern in patterns.into_iter().flat_map(Map::keys) {
                        let or = if expected.is_empty() { "" } else { " or " };
                        expected.push_str(&format!("{or}a name that matches {pattern}"));
                    }
                    if expected.is_empty() {
                        expected.push_str("no members");
                    }
                    let meant = nearest(name, names());
                    let hint = meant
                        .map(|meant| format!("; did you mean {meant:?}?"))
                        .unwrap_or_default();
                    found.push(|| Fault {
                        pointer: here.pointer(),
                        message: format!(
                            "{}: not a known member, expected {expected}{hint}",
                            here.words()
                        ),
                        expected,
                        seen: "an unknown member".to_owned(),
                    });
                }
                Some(schema @ Value::Object(_)) => {
                    self.walk(member, schema, &here, depth + 1, found)
                }
                _ => {}
            }
        }
    }

    /// No fault where one alternative fits; else the faults of the one that was probably meant.
    fn walk_alternatives(
        &mut self,
        value: &Value,
        schema: &'s Value,
        branches: &'s [Value],
        at: &Path<'_>,
        depth: usize,
        found: &mut Found,
    ) {
        let mut best: Option<(Fit, Found, &Value)> = None;
        for branch in branches {
            let mut own = Found::default();
            self.walk(value, branch, at, depth + 1, &mut own);
            if own.is_empty() {
                return;
            }
            let fit = self.fit(value, branch, 0);
            let count = |found: &Found| found.faults.len() + found.more;
            if best
                .as_ref()
                .is_none_or(|(f, least, _)| (fit, count(&own)) < (*f, count(least)))
            {
                best = Some((fit, own, branch));
            }
        }
        let Some((fit, own, branch)) = best else {
            return;
        };
        match fit {
            Fit::Tagged => found.take(own),
            Fit::Type => {
                // Several names, each its own alternative, are one list of names.
                let all = branches
                    .iter()
                    .filter(|branch| self.fit(value, branch, 0) == Fit::Type);
                let listed: Option<Vec<&Value>> = all
                    .map(|branch| names(resolve(self.root, branch)?.as_object()?))
                    .collect::<Option<Vec<_>>>()
                    .map(|lists| lists.concat());
                match (listed, value.as_str()) {
                    (Some(listed), Some(text)) => {
                        let meant = nearest(text, listed.iter().filter_map(|name| name.as_str()));
                        let hint = meant
                            .map(|meant| format!("; did you mean {meant:?}?"))
                            .unwrap_or_default();
                        found.push(|| self.fault(at, list_names(&listed), value, &hint));
                    }
                    _ => found.take(own),
                }
            }
            // The tags may be those of alternatives further in, whose faults are told already.
            Fit::OtherTag if !self.is_tagged(branch) => found.take(own),
            Fit::OtherTag => self.wrong_tag(value, branches, at, found),
            Fit::OtherType => found.push(|| self.fault(at, self.expectation(schema), value, "")),
        }
    }

    fn fit(&self, value: &Value, branch: &'s Value, depth: usize) -> Fit {
        let Some(schema) = resolve(self.root, branch).filter(|_| depth < DEEPEST) else {
            return Fit::OtherType;
        };
        let ty = schema.get("type").or_else(|| branch.get("type"));
        if ty.is_none()
            && let Some(inner) = schema
                .get("oneOf")
                .or_else(|| schema.get("anyOf"))
                .and_then(Value::as_array)
        {
            return inner
                .iter()
                .map(|inner| self.fit(value, inner, depth + 1))
                .min()
                .unwrap_or(Fit::OtherType);
        }
        if ty.is_some_and(|ty| !has_type(value, ty)) {
            return Fit::OtherType;
        }
        let Some(members) = value.as_object() else {
            return Fit::Type;
        };
        let tags = self.tags(branch);
        match (tags.is_empty(), wrapper(schema)) {
            (true, None) => Fit::Type,
            (true, Some(name)) => {
                if members.contains_key(name) {
                    Fit::Tagged
                } else {
                    Fit::OtherTag
                }
            }
            (false, _) => {
                if tags
                    .iter()
                    .all(|(name, tag)| members.get(*name) == Some(*tag))
                {
                    Fit::Tagged
                } else {
                    Fit::OtherTag
                }
            }
        }
    }

    /// The members of an alternative that can have one value only.
    fn tags(&self, branch: &'s Value) -> Vec<(&'s str, &'s Value)> {
        let own = branch
            .get("properties")
            .or_else(|| resolve(self.root, branch)?.get("properties"));
        let properties = own.and_then(Value::as_object).into_iter().flatten();
        properties
            .filter_map(|(name, schema)| Some((name.as_str(), schema.get("const")?)))
            .collect()
    }

    fn is_tagged(&self, branch: &'s Value) -> bool {
        !self.tags(branch).is_empty() || resolve(self.root, branch).and_then(wrapper).is_some()
    }

    /// One fault for a tag that names no alternative, or for an object that wraps none.
    fn wrong_tag(&self, value: &Value, branches: &'s [Value], at: &Path<'_>, found: &mut Found) {
        let mut tags: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        let mut wrappers = Vec::new();
        for branch in branches {
            for (name, tag) in self.tags(branch) {
                tags.entry(name).or_default().push(tag);
            }
            wrappers.extend(resolve(self.root, branch).and_then(wrapper));
        }
        let members = value.as_object();
        // The tag that most alternatives have.
        if let Some((name, listed)) = tags.iter().max_by_key(|(_, listed)| listed.len()) {
            let here = Path::Member(at, name);
            let expected = list_names(listed);
            match members.and_then(|members| members.get(*name)) {
                Some(seen) => {
                    let known = listed.iter().filter_map(|tag| tag.as_str());
                    let meant = seen.as_str().and_then(|seen| nearest(seen, known));
                    let hint = meant
                        .map(|meant| format!("; did you mean {meant:?}?"))
                        .unwrap_or_default();
                    found.push(|| self.fault(&here, expected, seen, &hint));
                }
                None => found.push(|| Fault {
                    pointer: here.pointer(),
                    message: format!(
                        "{}: required and missing, expected {expected}",
                        here.words()
                    ),
                    expected,
                    seen: "nothing".to_owned(),
                }),
            }
            return;
        }
        let only = members
            .filter(|members| members.len() == 1)
            .and_then(|members| members.keys().next());
        let meant = only.and_then(|only| nearest(only, wrappers.iter().copied()));
        let hint = meant
            .map(|meant| format!("; did you mean {meant:?}?"))
            .unwrap_or_default();
        let expected = format!("an object with one member, {}", wrappers.join(" or "));
        found.push(|| self.fault(at, expected, value, &hint));
    }

    fn has_type_of(&self, value: &Value, schema: &Value, depth: usize) -> bool {
        let Some(schema) = resolve(self.root, schema).filter(|_| depth < DEEPEST) else {
            return true;
        };
        if let Some(ty) = schema.get("type") {
            return has_type(value, ty);
        }
        let branches = schema
            .get("oneOf")
            .or_else(|| schema.get("anyOf"))
            .and_then(Value::as_array);
        branches.is_none_or(|all| {
            all.iter()
                .any(|branch| self.has_type_of(value, branch, depth + 1))
        })
    }

    fn fits_text(&mut self, text: &str, map: &'s Map<String, Value>) -> bool {
        self.steps += text.len() / 64;
        fits_count(text.chars().count(), map, "minLength", "maxLength")
            && map
                .get("pattern")
                .and_then(Value::as_str)
                .is_none_or(|pattern| self.matches(pattern, text))
    }

    /// Whether a text matches; a pattern or a text that cannot be judged is no fault.
    fn matches(&mut self, pattern: &'s str, text: &str) -> bool {
        let compiled = self
            .patterns
            .entry(pattern)
            .or_insert_with(|| Pattern::new(pattern));
        compiled
            .as_ref()
            .and_then(|pattern| pattern.occurs_in(text))
            .unwrap_or(true)
    }

    fn fault(&self, at: &Path<'_>, expected: String, value: &Value, hint: &str) -> Fault {
        let seen = self.seen(at, value);
        let place = at.words();
        let colon = if place.is_empty() { "" } else { ": " };
        Fault {
            pointer: at.pointer(),
            message: format!("{place}{colon}expected {expected}, saw {seen}{hint}"),
            expected,
            seen,
        }
    }

    /// The type and length of a value, or the value itself where that may be shown.
    fn seen(&self, at: &Path<'_>, value: &Value) -> String {
        let scalar = !matches!(value, Value::Array(_) | Value::Object(_));
        let shown = |path: &&str| at.is(path.strip_prefix('/').unwrap_or(path).split('/'));
        if scalar && self.echo.iter().any(shown) {
            cut(&value.to_string(), LONGEST_ECHO)
        } else {
            kind(value)
        }
    }

    /// What a schema expects, in words.
    fn expectation(&self, schema: &Value) -> String {
        let mut parts = Vec::new();
        self.expectations(schema, 0, &mut parts);
        let mut seen = BTreeSet::new();
        parts.retain(|part| seen.insert(part.clone()));
        // `null` reads best at the end.
        if let Some(at) = parts.iter().position(|part| part == "null") {
            let null = parts.remove(at);
            parts.push(null);
        }
        if parts.is_empty() {
            "a value".to_owned()
        } else {
            parts.join(" or ")
        }
    }

    fn expectations(&self, schema: &Value, depth: usize, parts: &mut Vec<String>) {
        if depth > 8 || parts.len() > MOST_NAMES {
            return;
        }
        let Some(map) = schema.as_object() else {
            return;
        };
        if let Some(listed) = names(map) {
            let (null, listed): (Vec<&Value>, Vec<&Value>) =
                listed.into_iter().partition(|name| name.is_null());
            if !listed.is_empty() {
                parts.push(list_names(&listed));
            }
            if !null.is_empty() {
                parts.push("null".to_owned());
            }
            return;
        }
        let types = match map.get("type") {
            Some(Value::String(ty)) => vec![ty.as_str()],
            Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        parts.extend(types.iter().map(|ty| type_words(ty, map)));
        if !types.is_empty() {
            return;
        }
        if let Some(target) = map
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|r| target(self.root, r))
        {
            self.expectations(target, depth + 1, parts);
        }
        for keyword in ["oneOf", "anyOf"] {
            for branch in map
                .get(keyword)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                self.expectations(branch, depth + 1, parts);
            }
        }
    }
}

// --- keywords --------------------------------------------------------------------------------------------------

/// The values that `enum` or `const` admits.
fn names(map: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (map.get("const"), map.get("enum")) {
        (Some(one), _) => Some(vec![one]),
        (None, Some(Value::Array(all))) => Some(all.iter().collect()),
        _ => None,
    }
}

fn list_names(listed: &[&Value]) -> String {
    let shown = listed.iter().take(MOST_NAMES).map(|name| name.to_string());
    let shown = shown.collect::<Vec<_>>().join(", ");
    match listed.len() {
        1 => shown,
        n if n > MOST_NAMES => format!("one of {shown} and {} others", n - MOST_NAMES),
        _ => format!("one of {shown}"),
    }
}

/// The one member an externally tagged alternative wraps its content in.
fn wrapper(schema: &Value) -> Option<&str> {
    let required = schema.get("required")?.as_array()?;
    let properties = schema.get("properties")?.as_object()?;
    match required[..] {
        [Value::String(ref name)]
            if properties.len() == 1
                && schema.get("additionalProperties")? == &Value::Bool(false) =>
        {
            Some(name)
        }
        _ => None,
    }
}

/// As serde sees it: `1.0` is no integer.
fn has_type(value: &Value, ty: &Value) -> bool {
    let is = |ty: &str| match ty {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    match ty {
        Value::String(ty) => is(ty),
        Value::Array(types) => types.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

/// What an integer format admits, where the schema does not say so itself.
fn format_range(map: &Map<String, Value>) -> (Option<i128>, Option<i128>) {
    let signed = |bits: u32| {
        (
            Some(-(1_i128 << (bits - 1))),
            Some((1_i128 << (bits - 1)) - 1),
        )
    };
    let unsigned = |bits: u32| (Some(0), Some((1_i128 << bits) - 1));
    match map.get("format").and_then(Value::as_str) {
        Some("int8") => signed(8),
        Some("int16") => signed(16),
        Some("int32") => signed(32),
        Some("int64" | "int") => signed(64),
        Some("uint8") => unsigned(8),
        Some("uint16") => unsigned(16),
        Some("uint32") => unsigned(32),
        Some("uint64" | "uint") => unsigned(64),
        _ => (None, None),
    }
}

fn whole(value: &Value) -> Option<i128> {
    value
        .as_i64()
        .map(i128::from)
        .or_else(|| value.as_u64().map(i128::from))
}

fn fits_range(value: &Value, map: &Map<String, Value>) -> bool {
    let bound = |keyword| map.get(keyword);
    if let Some(n) = whole(value) {
        let (low, high) = format_range(map);
        if low.is_some_and(|low| n < low) || high.is_some_and(|high| n > high) {
            return false;
        }
    }
    // Whole numbers are compared exactly, others as floats.
    let compare = |bound: &Value| match (whole(value), whole(bound)) {
        (Some(n), Some(bound)) => Some(n.cmp(&bound)),
        _ => value.as_f64()?.partial_cmp(&bound.as_f64()?),
    };
    !(bound("minimum")
        .and_then(compare)
        .is_some_and(|o| o.is_lt())
        || bound("maximum")
            .and_then(compare)
            .is_some_and(|o| o.is_gt())
        || bound("exclusiveMinimum")
            .and_then(compare)
            .is_some_and(|o| o.is_le())
        || bound("exclusiveMaximum")
            .and_then(compare)
            .is_some_and(|o| o.is_ge()))
}

fn fits_count(count: usize, map: &Map<String, Value>, least: &str, most: &str) -> bool {
    let bound = |keyword| map.get(keyword).and_then(Value::as_u64);
    let count = count as u64;
    bound(least).is_none_or(|least| count >= least) && bound(most).is_none_or(|most| count <= most)
}

fn type_words(ty: &str, map: &Map<String, Value>) -> String {
    let between = |least: &str, most: &str| {
        let (low, high) = match ty {
            "integer" => format_range(map),
            _ => (None, None),
        };
        let low = map
            .get(least)
            .map(ToString::to_string)
            .or_else(|| low.map(|n| n.to_string()));
        let high = map
            .get(most)
            .map(ToString::to_string)
            .or_else(|| high.map(|n| n.to_string()));
        (low, high)
    };
    let counted = |what: &str, unit: &str, least: &str, most: &str| match between(least, most) {
        (None, None) => what.to_owned(),
        (Some(low), Some(high)) if low == high => format!("{what} of {low} {unit}"),
        (Some(low), Some(high)) => format!("{what} of {low} to {high} {unit}"),
        (Some(low), None) => format!("{what} of at least {low} {unit}"),
        (None, Some(high)) => format!("{what} of at most {high} {unit}"),
    };
    match ty {
        "integer" | "number" => {
            let what = if ty == "integer" {
                "an integer"
            } else {
                "a number"
            };
            match between("minimum", "maximum") {
                (None, None) => what.to_owned(),
                (Some(low), Some(high)) => format!("{what} from {low} to {high}"),
                (Some(low), None) => format!("{what} of at least {low}"),
                (None, Some(high)) => format!("{what} of at most {high}"),
            }
        }
        "string" => {
            let mut words = counted("a string", "characters", "minLength", "maxLength");
            if let Some(format) = map.get("format").and_then(Value::as_str) {
                words.push_str(&format!(" ({format})"));
            }
            if let Some(pattern) = map.get("pattern").and_then(Value::as_str) {
                words.push_str(&format!(" that matches {pattern}"));
            }
            words
        }
        "array" => counted("an array", "members", "minItems", "maxItems"),
        "object" => counted("an object", "members", "minProperties", "maxProperties"),
        "boolean" => "a boolean".to_owned(),
        other => other.to_owned(),
    }
}

/// The JSON type of a value and its length.
fn kind(value: &Value) -> String {
    let counted = |what: &str, count: usize, unit: &str| {
        format!(
            "{what} of {count} {unit}{}",
            if count == 1 { "" } else { "s" }
        )
    };
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(n) if n.is_f64() => "a number with a fraction or exponent".to_owned(),
        Value::Number(n) if n.is_u64() => "an integer".to_owned(),
        Value::Number(_) => "a negative integer".to_owned(),
        Value::String(text) => counted("a string", text.chars().count(), "character"),
        Value::Array(list) => counted("an array", list.len(), "member"),
        Value::Object(members) => counted("an object", members.len(), "member"),
    }
}
