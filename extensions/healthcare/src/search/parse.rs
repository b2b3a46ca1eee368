//! From the words of a search to typed conditions. Nothing unknown passes.

use mcp_ext_core::faults::nearest;

use crate::dates::DateRange;
use crate::decimal::Decimal;
use crate::index::Reference;
use crate::scope::{is_id, is_type};
use crate::search::error::{SearchError, shown};
use crate::search::params::{self, Def, Rule};
use crate::search::text::{normalised, soundex};
use crate::search::{MAX_PARAMS, MAX_QUERY_BYTES, MAX_SORT, MAX_VALUE_BYTES, MAX_VALUES};
use crate::types::{ParamKind, SearchParam, SearchParams};

/// A search that makes sense.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) resource_type: &'static str,
    pub(crate) clauses: Vec<Clause>,
    pub(crate) sort: Vec<Sort>,
    pub(crate) applied: Vec<SearchParam>,
}

/// One condition.
#[derive(Debug)]
pub(crate) struct Clause {
    pub(crate) def: &'static Def,
    pub(crate) predicate: Predicate,
}

#[derive(Debug)]
pub(crate) enum Predicate {
    Missing(bool),
    Token { not: bool, any: Vec<TokenMatch> },
    Date(Vec<(Comparator, DateRange)>),
    Reference(Vec<ReferenceMatch>),
    Text { mode: TextMode, any: Vec<String> },
    Quantity(Vec<QuantityMatch>),
}

#[derive(Debug)]
pub(crate) struct TokenMatch {
    /// `None`: any or none. Empty: none.
    pub(crate) system: Option<String>,
    /// `None`: any.
    pub(crate) code: Option<String>,
}

#[derive(Debug)]
pub(crate) enum ReferenceMatch {
    Id(String),
    To(Reference),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextMode {
    StartsWith,
    Contains,
    Exact,
}

#[derive(Debug)]
pub(crate) struct QuantityMatch {
    pub(crate) comparator: Comparator,
    /// The sort key of the number.
    pub(crate) value: String,
    /// The sort keys of the lowest value that is about the same, and of the first above it that is not.
    pub(crate) range: (String, String),
    pub(crate) unit: Unit,
}

#[derive(Debug)]
pub(crate) enum Unit {
    Any,
    /// Its code, or as it is printed.
    Named(String),
    Coded {
        system: String,
        code: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

/// One thing to sort by.
#[derive(Debug)]
pub(crate) struct Sort {
    pub(crate) def: &'static Def,
    pub(crate) descending: bool,
}

/// Reads a search.
pub(crate) fn parse(params: &SearchParams) -> Result<Query, SearchError> {
    let names = || params::TYPES.iter().map(|(name, _)| *name);
    let Some((resource_type, own)) = params::TYPES
        .iter()
        .find(|(name, _)| *name == params.resource_type)
    else {
        return Err(SearchError::UnknownType {
            seen: shown(&params.resource_type),
            suggestion: nearest(&params.resource_type, names()),
        });
    };
    bounded(params)?;
    let mut clauses = Vec::new();
    let mut applied = Vec::new();
    for param in &params.params {
        let (clause, values) = clause(resource_type, own, param)?;
        applied.push(SearchParam {
            name: param.name.clone(),
            modifier: param.modifier.clone(),
            values,
        });
        clauses.push(clause);
    }
    let sort = params
        .sort
        .iter()
        .map(|name| sort(resource_type, own, name))
        .collect::<Result<_, _>>()?;
    Ok(Query {
        resource_type,
        clauses,
        sort,
        applied,
    })
}

fn bounded(params: &SearchParams) -> Result<(), SearchError> {
    let limit = |what, limit, seen| {
        if seen > limit {
            return Err(SearchError::TooMany { what, limit, seen });
        }
        Ok(())
    };
    limit("params", MAX_PARAMS, params.params.len())?;
    limit("sort", MAX_SORT, params.sort.len())?;
    let mut bytes = 0;
    for param in &params.params {
        limit("values of one parameter", MAX_VALUES, param.values.len())?;
        bytes += param.name.len() + param.modifier.as_ref().map_or(0, String::len);
        for value in &param.values {
            limit("bytes of a value", MAX_VALUE_BYTES, value.len())?;
            bytes += value.len();
        }
    }
    limit("bytes of all params together", MAX_QUERY_BYTES, bytes)
}

fn find(own: &'static [Def], name: &str) -> Option<&'static Def> {
    params::COMMON
        .iter()
        .chain(own)
        .find(|def| def.name == name)
}

fn names(own: &'static [Def]) -> impl Iterator<Item = &'static str> {
    own.iter().chain(params::COMMON).map(|def| def.name)
}

fn clause(
    resource_type: &'static str,
    own: &'static [Def],
    param: &SearchParam,
) -> Result<(Clause, Vec<String>), SearchError> {
    let Some(def) = find(own, &param.name) else {
        return Err(SearchError::UnknownParameter {
            resource_type,
            seen: shown(&param.name),
            suggestion: nearest(&param.name, names(own)),
            hint: hint(&param.name),
        });
    };
    let values = split(def, &param.values)?;
    let predicate = predicate(def, param.modifier.as_deref(), &values)?;
    Ok((Clause { def, predicate }, values))
}

/// What a caller who wrote that name most likely wants.
fn hint(name: &str) -> &'static str {
    match name {
        "_sort" => "use the member `sort`",
        "_count" => "use the member `count`",
        _ if name.contains(':') => "put what follows the colon into `modifier`",
        _ if name.contains('.') || name == "_has" => {
            "chained search is not supported: search the other type first"
        }
        _ => "fhir_capabilities lists the search parameters of a type",
    }
}

fn sort(resource_type: &'static str, own: &'static [Def], text: &str) -> Result<Sort, SearchError> {
    let (name, descending) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text, false),
    };
    match find(own, name) {
        Some(def) if def.sortable() => Ok(Sort { def, descending }),
        _ => {
            let sortable = own
                .iter()
                .chain(params::COMMON)
                .filter(|def| def.sortable());
            Err(SearchError::Sort {
                resource_type,
                seen: shown(text),
                suggestion: nearest(name, sortable.map(|def| def.name)),
            })
        }
    }
}

/// The values, commas taken as "or". Escapes stay; they are undone once the parts of a value are known.
fn split(def: &'static Def, values: &[String]) -> Result<Vec<String>, SearchError> {
    let mut found = Vec::new();
    for value in values {
        found.extend(split_at(value, ',').into_iter().map(str::to_owned));
    }
    if found.len() > MAX_VALUES {
        return Err(SearchError::TooMany {
            what: "values of one parameter",
            limit: MAX_VALUES,
            seen: found.len(),
        });
    }
    if found.is_empty() {
        return Err(invalid(def, "", "at least one value"));
    }
    for value in &found {
        if value.is_empty() {
            return Err(invalid(
                def,
                value,
                "a value that is not empty; to find what has none, use modifier `missing`",
            ));
        }
        if value.chars().any(char::is_control) {
            return Err(invalid(def, value, "a value without control characters"));
        }
    }
    Ok(found)
}

/// Splits at a character, where no backslash is before it.
fn split_at(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        if c == separator && !escaped {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

fn unescaped(def: &'static Def, text: &str) -> Result<String, SearchError> {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        match chars.next() {
            Some(c @ (',' | '|' | '$' | '\\')) => result.push(c),
            _ => return Err(invalid(def, text, r"after a backslash one of , | $ \")),
        }
    }
    Ok(result)
}

fn invalid(def: &'static Def, value: &str, expected: impl Into<String>) -> SearchError {
    SearchError::InvalidValue {
        name: def.name,
        expected: expected.into(),
        length: value.chars().count(),
    }
}

fn predicate(
    def: &'static Def,
    modifier: Option<&str>,
    values: &[String],
) -> Result<Predicate, SearchError> {
    let mut referenced_type = None;
    if let Some(modifier) = modifier {
        if def.kind == ParamKind::Reference && modifier != "missing" && is_target(def, modifier) {
            referenced_type = Some(modifier);
        } else if !def.modifiers().contains(&modifier) {
            let supported: Vec<_> = def.modifiers().iter().chain(def.targets).copied().collect();
            return Err(SearchError::UnsupportedModifier {
                name: def.name,
                seen: shown(modifier),
                suggestion: nearest(modifier, supported.iter().copied()),
                supported,
            });
        }
    }
    if modifier == Some("missing") {
        return match values {
            [value] if value == "true" => Ok(Predicate::Missing(true)),
            [value] if value == "false" => Ok(Predicate::Missing(false)),
            _ => Err(invalid(def, &values.concat(), "`true` or `false`, once")),
        };
    }
    fn each<T>(
        values: &[String],
        read: impl Fn(&str) -> Result<T, SearchError>,
    ) -> Result<Vec<T>, SearchError> {
        values.iter().map(|value| read(value)).collect()
    }
    Ok(match def.kind {
        ParamKind::Token => Predicate::Token {
            not: modifier == Some("not"),
            any: each(values, |value| token(def, value))?,
        },
        ParamKind::Date => Predicate::Date(each(values, |value| date(def, value))?),
        ParamKind::Reference => Predicate::Reference(each(values, |value| {
            reference(def, referenced_type, value)
        })?),
        ParamKind::String => {
            let mode = match modifier {
                _ if def.rule == Rule::Phonetic => TextMode::Exact,
                Some("exact") => TextMode::Exact,
                Some("contains") => TextMode::Contains,
                _ => TextMode::StartsWith,
            };
            Predicate::Text {
                mode,
                any: each(values, |value| text(def, mode, value))?,
            }
        }
        ParamKind::Quantity => Predicate::Quantity(each(values, |value| quantity(def, value))?),
    })
}

/// Whether a reference may point at that type.
fn is_target(def: &'static Def, name: &str) -> bool {
    is_type(name) && (def.targets.is_empty() || def.targets.contains(&name))
}

fn token(def: &'static Def, value: &str) -> Result<TokenMatch, SearchError> {
    const FORM: &str = "`code`, `system|code`, `|code` or `system|`";
    let (system, code) = match split_at(value, '|')[..] {
        [code] => (None, code),
        [system, code] if !(system.is_empty() && code.is_empty()) => {
            (Some(unescaped(def, system)?), code)
        }
        _ => return Err(invalid(def, value, FORM)),
    };
    let code = unescaped(def, code)?;
    if def.rule == Rule::Id && (system.is_some() || !is_id(&code)) {
        return Err(invalid(def, value, "the id of a resource"));
    }
    let code = (!code.is_empty()).then_some(code);
    Ok(TokenMatch { system, code })
}

/// Parts a comparator from what follows it.
fn comparator<'a>(def: &'static Def, value: &'a str) -> Result<(Comparator, &'a str), SearchError> {
    let letters = value.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (letters, rest) = value.split_at(letters);
    let comparator = match letters {
        "" | "eq" => Comparator::Eq,
        "ne" => Comparator::Ne,
        "gt" => Comparator::Gt,
        "lt" => Comparator::Lt,
        "ge" => Comparator::Ge,
        "le" => Comparator::Le,
        "sa" => Comparator::Sa,
        "eb" => Comparator::Eb,
        "ap" => Comparator::Ap,
        // A longer run is no mistyped comparator but some text, perhaps about a person: not repeated.
        _ if letters.len() == 2 => {
            return Err(SearchError::UnsupportedComparator {
                name: def.name,
                seen: shown(letters),
            });
        }
        _ => return Err(invalid(def, value, form(def.kind))),
    };
    Ok((comparator, rest))
}

fn form(kind: ParamKind) -> &'static str {
    match kind {
        ParamKind::Date => {
            "a comparator or none, then YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss] with Z or +hh:mm, of a day that exists"
        }
        _ => {
            "a comparator or none, then `number`, `number|system|code` or `number||unit`, the number as in JSON"
        }
    }
}

fn date(def: &'static Def, value: &str) -> Result<(Comparator, DateRange), SearchError> {
    let (comparator, date) = comparator(def, value)?;
    match date.parse() {
        Ok(range) => Ok((comparator, range)),
        Err(_) => Err(invalid(def, value, form(def.kind))),
    }
}

fn quantity(def: &'static Def, value: &str) -> Result<QuantityMatch, SearchError> {
    let (comparator, rest) = comparator(def, value)?;
    let (number, unit) = match split_at(rest, '|')[..] {
        [number] => (number, Unit::Any),
        [number, "", unit] if !unit.is_empty() => (number, Unit::Named(unescaped(def, unit)?)),
        [number, system, code] if !code.is_empty() => {
            let (system, code) = (unescaped(def, system)?, unescaped(def, code)?);
            (number, Unit::Coded { system, code })
        }
        _ => return Err(invalid(def, value, form(def.kind))),
    };
    let number = Decimal::parse(number).ok_or_else(|| invalid(def, value, form(def.kind)))?;
    let (low, high) = match comparator {
        Comparator::Ap => number.approximate_range(),
        _ => number.precision_range(),
    }
    .ok_or_else(|| invalid(def, value, form(def.kind)))?;
    Ok(QuantityMatch {
        comparator,
        value: number.sort_key(),
        range: (low.sort_key(), high.sort_key()),
        unit,
    })
}

fn reference(
    def: &'static Def,
    of_type: Option<&str>,
    value: &str,
) -> Result<ReferenceMatch, SearchError> {
    let expected = || {
        let example = def.targets.first().unwrap_or(&"Patient");
        let all = def.targets.join(", ");
        let types = if all.is_empty() { "" } else { "; types: " };
        format!("`{example}/123`, `123` or an absolute URL, without version{types}{all}")
    };
    let text = unescaped(def, value)?;
    if is_id(&text) {
        return Ok(match of_type {
            None => ReferenceMatch::Id(text),
            Some(name) => ReferenceMatch::To(Reference::Local {
                resource_type: name.to_owned(),
                id: text,
            }),
        });
    }
    if text.contains("/_history/") {
        return Err(invalid(def, value, expected()));
    }
    if text.starts_with("http://") || text.starts_with("https://") || text.starts_with("urn:") {
        if of_type.is_some() {
            return Err(invalid(
                def,
                value,
                "an id alone, since the modifier names the type",
            ));
        }
        return Ok(ReferenceMatch::To(Reference::Url(text)));
    }
    match Reference::parse(&text) {
        Some(Reference::Local { resource_type, id })
            if is_target(def, &resource_type)
                && of_type.is_none_or(|name| name == resource_type) =>
        {
            Ok(ReferenceMatch::To(Reference::Local { resource_type, id }))
        }
        _ => Err(invalid(def, value, expected())),
    }
}

fn text(def: &'static Def, mode: TextMode, value: &str) -> Result<String, SearchError> {
    let text = unescaped(def, value)?;
    if def.rule == Rule::Phonetic {
        return soundex(&text).ok_or_else(|| invalid(def, value, "a name in Latin letters"));
    }
    if mode == TextMode::Exact {
        return Ok(text);
    }
    let normal = normalised(&text);
    if normal.is_empty() {
        return Err(invalid(def, value, "a text with a letter or digit in it"));
    }
    Ok(normal)
}
