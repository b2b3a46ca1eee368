//! The slowest possible search: R4's own expressions, evaluated on the raw JSON of every resource.
//!
//! It shares nothing with the store: it has its own table (HL7's, as text), own dates, own numbers, own text folding.

pub mod generate;

use std::collections::BTreeSet;

use serde_json::Value;

/// One search parameter as HL7 defines it.
#[derive(Debug, Clone)]
pub struct Official {
    pub base: &'static str,
    pub code: &'static str,
    pub kind: &'static str,
    pub expression: &'static str,
    pub targets: Vec<&'static str>,
}

pub fn official() -> Vec<Official> {
    include_str!("r4-search-parameters.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&'static str> = line.split('\t').collect();
            Official {
                base: fields[0],
                code: fields[1],
                kind: fields[2],
                expression: fields[3],
                targets: fields[4].split(',').filter(|t| !t.is_empty()).collect(),
            }
        })
        .collect()
}

/// A condition, before it is written as text.
#[derive(Debug, Clone)]
pub struct Condition {
    pub param: Official,
    pub modifier: Option<String>,
    pub values: Vec<Wanted>,
}

#[derive(Debug, Clone)]
pub enum Wanted {
    Flag(bool),
    Token(Option<String>, Option<String>),
    Date(&'static str, String),
    Reference(String),
    Text(String),
    Quantity(&'static str, String, Option<(String, String)>),
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace(',', r"\,")
        .replace('|', r"\|")
        .replace('$', r"\$")
}

impl Wanted {
    pub fn written(&self) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Token(None, code) => escaped(code.as_deref().unwrap_or("")),
            Self::Token(Some(system), code) => {
                format!(
                    "{}|{}",
                    escaped(system),
                    escaped(code.as_deref().unwrap_or(""))
                )
            }
            Self::Date(comparator, date) => format!("{comparator}{date}"),
            Self::Reference(text) | Self::Text(text) => escaped(text),
            Self::Quantity(comparator, number, None) => format!("{comparator}{number}"),
            Self::Quantity(comparator, number, Some((system, code))) => {
                format!("{comparator}{number}|{}|{}", escaped(system), escaped(code))
            }
        }
    }
}

const CHOICES: &[&str] = &[
    "Boolean",
    "DateTime",
    "Date",
    "Instant",
    "Period",
    "Timing",
    "String",
    "Quantity",
    "Age",
    "Range",
    "CodeableConcept",
    "Reference",
];

/// A value an expression leads to, and its type where the name of the element tells.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    pub value: &'a Value,
    pub choice: Option<&'static str>,
}

/// Evaluates one of HL7's expressions.
pub fn evaluate<'a>(resource: &'a Value, base: &str, expression: &str) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    for part in expression.split(" | ") {
        let part = part.trim();
        if let Some((path, rest)) = part.strip_prefix('(').and_then(|p| p.split_once(" as ")) {
            let (choice, after) = rest.split_once(')').expect("a closing parenthesis");
            let values = of_choice(walk(resource, base, path), choice);
            match after.strip_prefix('.') {
                None => found.extend(values),
                Some(member) => found.extend(values.iter().flat_map(|v| step(v.value, member))),
            }
        } else if let Some((path, rest)) = part.split_once(".as(") {
            found.extend(of_choice(
                walk(resource, base, path),
                rest.trim_end_matches(')'),
            ));
        } else if let Some((path, rest)) = part.split_once(".where(") {
            let filter = rest.strip_suffix(')').expect("a closing parenthesis");
            let values = walk(resource, base, path);
            if let Some(name) = filter.strip_prefix("resolve() is ") {
                found.extend(values.into_iter().filter(|v| {
                    let text = v.value["reference"].as_str().unwrap_or("");
                    let text = text.split("/_history").next().unwrap_or("");
                    let parts: Vec<&str> = text.split('/').collect();
                    parts.len() >= 2 && parts[parts.len() - 2] == name
                }));
            } else {
                let wanted = filter
                    .strip_prefix("system='")
                    .and_then(|f| f.strip_suffix('\''))
                    .expect("a filter");
                found.extend(values.into_iter().filter(|v| v.value["system"] == wanted));
            }
        } else {
            found.extend(walk(resource, base, part));
        }
    }
    found
}

fn of_choice<'a>(values: Vec<Found<'a>>, wanted: &str) -> Vec<Found<'a>> {
    values
        .into_iter()
        .filter(|v| {
            v.choice
                .is_some_and(|choice| choice.eq_ignore_ascii_case(wanted))
        })
        .collect()
}

fn walk<'a>(resource: &'a Value, base: &str, path: &str) -> Vec<Found<'a>> {
    let rest = path.strip_prefix(base).expect("a path of the type");
    let mut found = vec![Found {
        value: resource,
        choice: None,
    }];
    for name in rest.split('.').skip(1) {
        found = found.iter().flat_map(|f| step(f.value, name)).collect();
    }
    found
}

fn step<'a>(value: &'a Value, name: &str) -> Vec<Found<'a>> {
    let Value::Object(members) = value else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (key, value) in members {
        let choice = match key.strip_prefix(name) {
            Some("") => None,
            Some(rest) => match CHOICES.iter().find(|choice| **choice == rest) {
                Some(choice) => Some(*choice),
                None => continue,
            },
            None => continue,
        };
        let items = match value {
            Value::Array(items) => items.iter().collect(),
            other => vec![other],
        };
        found.extend(
            items
                .into_iter()
                .filter(|v| !v.is_null())
                .map(|value| Found { value, choice }),
        );
    }
    found
}

/// The values of a parameter, of the types it is about.
pub fn values<'a>(resource: &'a Value, param: &Official) -> Vec<Found<'a>> {
    let found = evaluate(resource, param.base, param.expression);
    found
        .into_iter()
        .filter(|f| match param.kind {
            "date" => f.choice != Some("String"),
            _ => true,
        })
        .collect()
}

/// Whether a resource meets a condition.
pub fn meets(resource: &Value, condition: &Condition) -> bool {
    let param = &condition.param;
    if param.code == "deceased" {
        let dead = match &resource["deceasedBoolean"] {
            Value::Bool(dead) => *dead,
            _ => !resource["deceasedDateTime"].is_null(),
        };
        return match &condition.values[0] {
            Wanted::Flag(missing) => !missing,
            _ => {
                let any = condition.values.iter().any(|wanted| match wanted {
                    Wanted::Token(system, code) => {
                        system.as_deref().is_none_or(str::is_empty)
                            && code.as_deref() == Some(&dead.to_string())
                    }
                    _ => unreachable!(),
                });
                any != (condition.modifier.as_deref() == Some("not"))
            }
        };
    }
    let found = values(resource, param);
    if let Wanted::Flag(missing) = condition.values[0] {
        return found.is_empty() == missing;
    }
    let modifier = condition.modifier.as_deref().unwrap_or("");
    let any = condition.values.iter().any(|wanted| {
        found
            .iter()
            .any(|found| matches(param, modifier, found.value, wanted))
    });
    any != (modifier == "not")
}

fn matches(param: &Official, modifier: &str, value: &Value, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Flag(_) => unreachable!(),
        Wanted::Token(system, code) => tokens(param, value).iter().any(|(has_system, has_code)| {
            let implied = has_system.is_empty()
                && system.as_deref().is_some_and(|s| implied(param) == Some(s));
            system.as_deref().is_none_or(|s| s == has_system || implied)
                && code.as_deref().is_none_or(|c| c == has_code)
        }),
        Wanted::Date(comparator, text) => {
            range_of(value).is_some_and(|has| compare_dates(comparator, has, date(text)))
        }
        Wanted::Reference(text) => {
            let Some(has) = value.as_str().or_else(|| value["reference"].as_str()) else {
                return false;
            };
            if has.starts_with('#') {
                return false;
            }
            let has = has.split("/_history").next().unwrap_or("");
            let local = !has.contains(':');
            let has = has.split('|').next().unwrap_or("");
            if text.contains(':') {
                !local && has == text
            } else if text.contains('/') {
                local && has == text
            } else {
                let wanted = if modifier.is_empty() {
                    format!("/{text}")
                } else {
                    format!("{modifier}/{text}")
                };
                local
                    && if modifier.is_empty() {
                        has.ends_with(&wanted)
                    } else {
                        has == wanted
                    }
            }
        }
        Wanted::Text(text) => texts(value).iter().any(|has| match modifier {
            "exact" => has == text,
            "contains" => fold(has).contains(&fold(text)),
            _ => fold(has).starts_with(&fold(text)),
        }),
        Wanted::Quantity(comparator, number, unit) => quantity(value, comparator, number, unit),
    }
}

fn implied(param: &Official) -> Option<&'static str> {
    Some(match (param.base, param.code) {
        ("Patient", "gender") => "http://hl7.org/fhir/administrative-gender",
        ("Patient", "address-use") => "http://hl7.org/fhir/address-use",
        ("Observation", "status") => "http://hl7.org/fhir/observation-status",
        ("Encounter", "status") => "http://hl7.org/fhir/encounter-status",
        ("MedicationRequest", "status") => {
            "http://hl7.org/fhir/CodeSystem/medicationrequest-status"
        }
        ("MedicationRequest", "intent") => {
            "http://hl7.org/fhir/CodeSystem/medicationrequest-intent"
        }
        ("MedicationRequest", "priority") => "http://hl7.org/fhir/request-priority",
        ("AllergyIntolerance", "category") => "http://hl7.org/fhir/allergy-intolerance-category",
        ("AllergyIntolerance", "criticality") => {
            "http://hl7.org/fhir/allergy-intolerance-criticality"
        }
        ("AllergyIntolerance", "type") => "http://hl7.org/fhir/allergy-intolerance-type",
        ("AllergyIntolerance", "severity") => "http://hl7.org/fhir/reaction-event-severity",
        ("Immunization" | "Procedure", "status") => "http://hl7.org/fhir/event-status",
        ("DiagnosticReport", "status") => "http://hl7.org/fhir/diagnostic-report-status",
        _ => return None,
    })
}

/// System and code of each token in a value.
pub fn tokens(param: &Official, value: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let found = match value {
        Value::String(code) => vec![(String::new(), code.clone())],
        Value::Bool(flag) => vec![(String::new(), flag.to_string())],
        Value::Object(_) if value["coding"].is_array() => value["coding"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|coding| (text(&coding["system"]), text(&coding["code"])))
            .collect(),
        Value::Object(_) if ["telecom", "phone", "email"].contains(&param.code) => {
            vec![(String::new(), text(&value["value"]))]
        }
        Value::Object(_) if value["value"].is_string() => {
            vec![(text(&value["system"]), text(&value["value"]))]
        }
        Value::Object(_) => vec![(text(&value["system"]), text(&value["code"]))],
        _ => vec![],
    };
    found
        .into_iter()
        .filter(|(system, code)| !system.is_empty() || !code.is_empty())
        .collect()
}

pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != "use" && *name != "period" && *name != "type")
            .flat_map(|(_, value)| match value {
                Value::Array(items) => items
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
                Value::String(text) => vec![text.clone()],
                _ => vec![],
            })
            .collect(),
        _ => vec![],
    }
}

/// Text without case, accents (of the letters the tests use), punctuation and doubled space.
pub fn fold(text: &str) -> String {
    let letters: String = text
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'é' | 'è' | 'ë' => 'e',
            'ö' | 'ó' => 'o',
            'ü' | 'ú' => 'u',
            'ñ' => 'n',
            other => other,
        })
        .filter(|c| !c.is_ascii_punctuation())
        .collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

// Dates: microseconds as i128, by counting every year and month.

type Range = (i128, i128);
const DAY: i128 = 86_400_000_000;

fn is_leap(year: i128) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn month_days(year: i128, month: i128) -> i128 {
    [
        31,
        if is_leap(year) { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ][month as usize - 1]
}

fn midnight(year: i128, month: i128, day: i128) -> i128 {
    let mut days = day - 1;
    for y in 1..year {
        days += if is_leap(y) { 366 } else { 365 };
    }
    for m in 1..month {
        days += month_days(year, m);
    }
    days * DAY
}

fn number(text: &str) -> i128 {
    text.parse().expect("digits")
}

pub fn date(text: &str) -> Range {
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let parts: Vec<i128> = day.split('-').map(number).collect();
    let year = parts[0];
    match (parts.len(), time) {
        (1, _) => (midnight(year, 1, 1), midnight(year + 1, 1, 1)),
        (2, _) => {
            let start = midnight(year, parts[1], 1);
            (start, start + month_days(year, parts[1]) * DAY)
        }
        (_, None) => {
            let start = midnight(year, parts[1], parts[2]);
            (start, start + DAY)
        }
        (_, Some(time)) => {
            let (clock, offset) = match time.find(['Z', '+', '-']) {
                Some(at) => (&time[..at], &time[at..]),
                None => (time, "Z"),
            };
            let offset = match offset.strip_prefix('Z') {
                Some(_) => 0,
                None => {
                    let minutes = number(&offset[1..3]) * 60 + number(&offset[4..6]);
                    if offset.starts_with('-') {
                        -minutes
                    } else {
                        minutes
                    }
                }
            };
            let parts_of: Vec<&str> = clock.split(':').collect();
            let mut start = midnight(year, parts[1], parts[2]);
            start += (number(parts_of[0]) * 60 + number(parts_of[1]) - offset) * 60_000_000;
            let Some(seconds) = parts_of.get(2) else {
                return (start, start + 60_000_000);
            };
            match seconds.split_once('.') {
                None => (
                    start + number(seconds) * 1_000_000,
                    start + (number(seconds) + 1) * 1_000_000,
                ),
                Some((whole, fraction)) => {
                    let unit = 10_i128.pow(6 - fraction.len() as u32);
                    let at = start + number(whole) * 1_000_000 + number(fraction) * unit;
                    (at, at + unit)
                }
            }
        }
    }
}

const BEGINNING: i128 = i128::MIN / 4;
const END: i128 = i128::MAX / 4;

pub fn range_of(value: &Value) -> Option<Range> {
    if let Some(text) = value.as_str() {
        return Some(date(text));
    }
    if value["event"].is_array() || value["repeat"].is_object() {
        let mut ranges: Vec<Range> = value["event"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(range_of)
            .collect();
        if value["repeat"]["boundsPeriod"].is_object() {
            ranges.extend(range_of(&value["repeat"]["boundsPeriod"]));
        }
        let start = ranges.iter().map(|r| r.0).min()?;
        let end = ranges.iter().map(|r| r.1).max()?;
        return Some((start, end));
    }
    let (start, end) = (value["start"].as_str(), value["end"].as_str());
    if start.is_none() && end.is_none() {
        return None;
    }
    Some((
        start.map_or(BEGINNING, |t| date(t).0),
        end.map_or(END, |t| date(t).1),
    ))
}

fn compare_dates(comparator: &str, has: Range, wanted: Range) -> bool {
    let contained = wanted.0 <= has.0 && has.1 <= wanted.1;
    match comparator {
        "" | "eq" => contained,
        "ne" => !contained,
        "gt" => has.1 > wanted.1,
        "lt" => has.0 < wanted.0,
        "ge" => has.1 > wanted.1 || contained,
        "le" => has.0 < wanted.0 || contained,
        "sa" => has.0 >= wanted.1,
        "eb" => has.1 <= wanted.0,
        "ap" => {
            let length = wanted.1 - wanted.0;
            has.0 < wanted.1 + length && has.1 > wanted.0 - length
        }
        other => panic!("comparator {other}"),
    }
}

// Numbers: whole multiples of 10^-12.

const SCALE: u32 = 12;

pub fn scaled(text: &str) -> i128 {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, power) = match text.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, power.parse::<i32>().expect("an exponent")),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = number(&format!("{whole}{fraction}"));
    let value = digits * 10_i128.pow((SCALE as i32 + power - fraction.len() as i32) as u32);
    if negative { -value } else { value }
}

fn quantity(
    value: &Value,
    comparator: &str,
    wanted: &str,
    unit: &Option<(String, String)>,
) -> bool {
    let amount = |q: &Value| {
        q["value"]
            .is_number()
            .then(|| scaled(&q["value"].to_string()))
    };
    let is_range = value["low"].is_object() || value["high"].is_object();
    let (low, high, of) = if is_range {
        let of = if value["low"].is_object() {
            &value["low"]
        } else {
            &value["high"]
        };
        (amount(&value["low"]), amount(&value["high"]), of)
    } else {
        match (amount(value), value["comparator"].as_str()) {
            (n, Some("<" | "<=")) => (None, n, value),
            (n, Some(">" | ">=")) => (n, None, value),
            (n, _) => (n, n, value),
        }
    };
    if low.is_none() && high.is_none() {
        return false;
    }
    let (low, high) = (low.unwrap_or(BEGINNING), high.unwrap_or(END));
    let unit_fits = match unit {
        None => true,
        Some((system, unit)) if system.is_empty() => of["code"] == **unit || of["unit"] == **unit,
        Some((system, code)) => of["system"] == **system && of["code"] == **code,
    };
    let exact = scaled(wanted);
    let places = wanted
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len() as u32);
    let half = 10_i128.pow(SCALE - places) / 2;
    let same = exact - half <= low && high < exact + half;
    unit_fits
        && match comparator {
            "" | "eq" => same,
            "ne" => !same,
            "gt" => high > exact,
            "lt" => low < exact,
            "ge" => high >= exact,
            "le" => low <= exact,
            "sa" => low > exact,
            "eb" => high < exact,
            "ap" => {
                let margin = (exact.abs() / 10).max(half);
                high >= exact - margin && low <= exact + margin
            }
            other => panic!("comparator {other}"),
        }
}

/// Whether a scope of these patients sees a resource.
pub fn visible(resource: &Value, patients: Option<&BTreeSet<String>>) -> bool {
    let Some(patients) = patients else {
        return true;
    };
    if resource["resourceType"] == "Patient" {
        return patients.contains(resource["id"].as_str().expect("an id"));
    }
    let mut owners = 0;
    for member in ["subject", "patient", "beneficiary"] {
        for target in step(resource, member) {
            let text = target.value["reference"].as_str().unwrap_or("");
            let text = text.split("/_history").next().unwrap_or("");
            match text.split('/').collect::<Vec<_>>()[..] {
                ["Patient", id] if patients.contains(id) => owners += 1,
                [other, _] if other != "Patient" && other.chars().all(char::is_alphabetic) => {}
                _ => return false,
            }
        }
    }
    owners > 0
}
