//! Resources and conditions, made at random from a seed.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Condition, Official, Wanted, evaluate, texts, tokens, values};

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    pub fn percent(&mut self, n: usize) -> bool {
        self.below(100) < n
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn comparator(&mut self) -> &'static str {
        COMPARATORS[self.below(COMPARATORS.len())]
    }

    fn text(&mut self, items: &[&str]) -> String {
        (*self.pick(items)).to_owned()
    }
}

pub const TYPES: &[&str] = &[
    "Patient",
    "Observation",
    "Condition",
    "Encounter",
    "MedicationRequest",
    "AllergyIntolerance",
    "Immunization",
    "Procedure",
    "DiagnosticReport",
];
const SYSTEMS: &[&str] = &["http://s/1", "http://s/2", "urn:oid:1.2"];
const CODES: &[&str] = &[
    "a",
    "b",
    "A",
    "a,b",
    "x|y",
    r"back\slash",
    "50050",
    "male",
    "final",
];
const DATES: &[&str] = &[
    "1974",
    "2012",
    "2012-02",
    "2012-02-15",
    "2012-03",
    "2016-02-29",
    "2016-02",
    "2012-02-15T10:00:00Z",
    "2012-02-15T23:30:00-05:00",
    "2012-02-15T10:00:00.5Z",
    "2012-02-15T10:00:00.50Z",
    "2012-12-31T23:59:59+14:00",
    "2013-01-01",
    "1999-12",
];
const NUMBERS: &[&str] = &[
    "69.5", "70", "70.0", "70.2", "70.5", "69.49", "71", "-5.45", "-5.4", "0", "5.4", "0.001",
    "7E1", "63", "77", "100", "1000000",
];
const UNITS: &[&str] = &["mg", "kg", "mm[Hg]"];
const WORDS: &[&str] = &[
    "Smith",
    "smithson",
    "Élodie",
    "elodie",
    "O'Neil",
    "van  der Berg",
    "Ñandú",
    "Smith, Jr",
    "Müller",
    "x|y",
    "S",
    "lot-7",
];
const REFERENCES: &[&str] = &[
    "Practitioner/x",
    "Organization/x",
    "Group/p0",
    "Encounter/e1",
    "Observation/o1",
    "Observation/o1/_history/3",
    "Medication/m1",
    "Location/x",
    "http://other.example/fhir/Patient/p0",
    "http://other.example/fhir/Practitioner/x",
    "urn:uuid:6f2a1d3e-9c47-5b8a-a1f0-2d4e6c8b0a17",
    "#contained",
    "Specimen/s.1",
];
pub const PATIENTS: &[&str] = &["p0", "p1", "p2"];

fn reference(dice: &mut Dice) -> Value {
    match dice.below(20) {
        0 => json!({"display": "by name only"}),
        1 => json!({"identifier": {"system": "http://s/1", "value": "a"}}),
        2 => json!({"reference": format!("Patient/{}/_history/2", dice.pick(PATIENTS))}),
        3..=11 => json!({"reference": format!("Patient/{}", dice.pick(PATIENTS))}),
        _ => json!({"reference": dice.pick(REFERENCES)}),
    }
}

fn coding(dice: &mut Dice) -> Value {
    let mut coding = Map::new();
    if dice.percent(70) {
        coding.insert("system".to_owned(), json!(dice.pick(SYSTEMS)));
    }
    if dice.percent(90) {
        coding.insert("code".to_owned(), json!(dice.pick(CODES)));
    }
    Value::Object(coding)
}

fn period(dice: &mut Dice) -> Value {
    let mut period = Map::new();
    for member in ["start", "end"] {
        if dice.percent(70) {
            period.insert(member.to_owned(), json!(dice.pick(DATES)));
        }
    }
    Value::Object(period)
}

fn amount(dice: &mut Dice) -> Value {
    let number: Value = serde_json::from_str(&dice.text(NUMBERS)).expect("a number");
    let mut quantity = json!({"value": number});
    if dice.percent(70) {
        quantity["code"] = json!(dice.pick(UNITS));
        quantity["system"] = json!(dice.pick(SYSTEMS));
    }
    if dice.percent(30) {
        quantity["unit"] = json!(dice.pick(UNITS));
    }
    if dice.percent(25) {
        quantity["comparator"] = json!(dice.pick(&["<", "<=", ">", ">="]));
    }
    if dice.percent(5) {
        quantity.as_object_mut().expect("an object").remove("value");
    }
    quantity
}

/// A value for a parameter whose element ends in a type name such as `Period`, or has one type.
fn leaf(dice: &mut Dice, param: &Official, name: &str) -> Value {
    match param.kind {
        "token" => match param.code {
            "active" => json!(dice.percent(50)),
            "identifier" => json!({"system": dice.pick(SYSTEMS), "value": dice.pick(CODES)}),
            "telecom" | "email" | "phone" => {
                json!({"system": dice.pick(&["phone", "email", "fax"]), "value": dice.pick(CODES)})
            }
            "class" => coding(dice),
            "gender" | "address-use" | "status" | "intent" | "priority" | "criticality" => {
                json!(dice.pick(CODES))
            }
            "category" | "type" | "severity" if param.base == "AllergyIntolerance" => {
                json!(dice.pick(CODES))
            }
            _ => {
                let codings: Vec<Value> = (0..dice.below(3)).map(|_| coding(dice)).collect();
                if codings.is_empty() {
                    json!({"text": "by words only"})
                } else {
                    json!({ "coding": codings })
                }
            }
        },
        "date" if name.ends_with("Period") || name == "period" => period(dice),
        "date" if name.ends_with("Timing") => match dice.below(3) {
            0 => json!({"event": [dice.pick(DATES), dice.pick(DATES)]}),
            1 => json!({"repeat": {"boundsPeriod": period(dice)}}),
            _ => json!({"event": [dice.pick(DATES)], "repeat": {"boundsPeriod": period(dice)}}),
        },
        "date" if name.ends_with("String") => json!("some time ago"),
        "date" => json!(dice.pick(DATES)),
        "reference" if param.code == "instantiates-canonical" => {
            json!(dice.pick(&["http://c/1|2.0", "http://c/1", "http://c/2|1"]))
        }
        "reference" => reference(dice),
        "string" if name == "name" => {
            json!({"use": "official", "family": dice.pick(WORDS), "given": [dice.pick(WORDS), dice.pick(WORDS)]})
        }
        "string" if name == "address" => {
            json!({"use": "home", "line": [dice.pick(WORDS)], "city": dice.pick(WORDS)})
        }
        "string" => json!(dice.pick(WORDS)),
        _ if name.ends_with("Range") => match dice.below(3) {
            0 => json!({"low": amount(dice)}),
            1 => json!({"high": amount(dice)}),
            _ => json!({"low": amount(dice), "high": amount(dice)}),
        },
        _ => amount(dice),
    }
}

/// Puts a value where one part of an expression looks for it.
fn put(dice: &mut Dice, resource: &mut Value, param: &Official, part: &str) {
    let capital = |name: &str| format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    let path = if let Some((path, rest)) = part.strip_prefix('(').and_then(|p| p.split_once(" as "))
    {
        let (choice, after) = rest.split_once(')').expect("a closing parenthesis");
        format!("{path}{}{after}", capital(choice))
    } else if let Some((path, rest)) = part.split_once(".as(") {
        format!("{path}{}", capital(rest.trim_end_matches(')')))
    } else if let Some((path, _)) = part.split_once(".where(") {
        path.to_owned()
    } else {
        let choices: &[&str] = match part {
            "Observation.effective" => &["DateTime", "Period", "Timing", "Instant"],
            "Procedure.performed" => &["DateTime", "Period", "String"],
            "DiagnosticReport.effective" => &["DateTime", "Period"],
            "Immunization.occurrence" => &["DateTime", "String"],
            _ => &[""],
        };
        format!("{part}{}", dice.pick(choices))
    };
    if path.contains("SampledData") {
        return;
    }
    let steps: Vec<&str> = path.split('.').skip(1).collect();
    let (last, before) = steps.split_last().expect("a path");
    let mut at = resource;
    for name in before {
        let many = dice.percent(60);
        let fresh = dice.percent(30);
        let next = at
            .as_object_mut()
            .expect("an object")
            .entry(*name)
            .or_insert_with(|| if many { json!([{}]) } else { json!({}) });
        at = match next {
            Value::Array(items) => {
                if fresh {
                    items.push(json!({}));
                }
                items.last_mut().expect("an item")
            }
            other => other,
        };
        if !at.is_object() {
            return;
        }
    }
    let value = if dice.percent(70) {
        leaf(dice, param, last)
    } else {
        let items = (0..=dice.below(2))
            .map(|_| leaf(dice, param, last))
            .collect();
        Value::Array(items)
    };
    at.as_object_mut()
        .expect("an object")
        .entry(*last)
        .or_insert(value);
}

/// A resource with some of the elements that its parameters look at.
pub fn resource(dice: &mut Dice, table: &[Official], base: &str, id: &str) -> Value {
    let mut resource = json!({"resourceType": base, "id": id});
    if dice.percent(50) {
        resource["meta"] = json!({"lastUpdated": dice.pick(&["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.123Z", "2025-06-30T12:00:00+02:00"]), "versionId": dice.text(&["1", "2"])});
    }
    if dice.percent(60) {
        let member = if base == "AllergyIntolerance" || base == "Immunization" {
            "patient"
        } else {
            "subject"
        };
        if base != "Patient" {
            resource[member] = json!({"reference": format!("Patient/{}", dice.pick(PATIENTS))});
        }
    }
    for param in table.iter().filter(|param| param.base == base) {
        if param.code == "deceased" {
            match dice.below(4) {
                0 => resource["deceasedBoolean"] = json!(dice.percent(50)),
                1 => resource["deceasedDateTime"] = json!(dice.pick(DATES)),
                _ => {}
            }
            continue;
        }
        for part in param.expression.split(" | ") {
            if dice.percent(35) {
                put(dice, &mut resource, param, part.trim());
            }
        }
    }
    resource
}

const COMPARATORS: &[&str] = &["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];

/// A condition whose values are mostly taken from a resource, so that it finds something.
pub fn condition(
    dice: &mut Dice,
    table: &[Official],
    resources: &[Value],
    base: &str,
) -> Condition {
    let own: Vec<&Official> = table
        .iter()
        .filter(|p| p.base == base && p.code != "phonetic")
        .collect();
    let with_values: Vec<&Official> = own
        .iter()
        .copied()
        .filter(|param| {
            resources
                .iter()
                .any(|r| !evaluate(r, param.base, expression(param)).is_empty())
        })
        .collect();
    // The kind first: there are many tokens, and few quantities.
    let pool = if dice.percent(85) && !with_values.is_empty() {
        with_values
    } else {
        own
    };
    let kind = dice.pick(&pool).kind;
    let kind = if pool.iter().any(|p| p.kind == "quantity") && dice.percent(20) {
        "quantity"
    } else if pool.iter().any(|p| p.kind == "date") && dice.percent(20) {
        "date"
    } else {
        kind
    };
    let of_kind: Vec<&Official> = pool.into_iter().filter(|p| p.kind == kind).collect();
    let param = *dice.pick(&of_kind);
    if dice.percent(10) {
        let values = vec![Wanted::Flag(dice.percent(50))];
        return Condition {
            param: param.clone(),
            modifier: Some("missing".to_owned()),
            values,
        };
    }
    let mut modifier = match param.kind {
        "token" if dice.percent(20) => Some("not".to_owned()),
        "string" if dice.percent(50) => Some(dice.text(&["exact", "contains"])),
        _ => None,
    };
    if param.kind == "reference" && dice.percent(15) && param.code != "instantiates-canonical" {
        let any = ["Patient"];
        let targets: &[&str] = if param.targets == ["*"] {
            &any
        } else {
            &param.targets
        };
        modifier = Some(dice.text(targets));
    }
    let holders: Vec<&Value> = resources
        .iter()
        .filter(|r| param.code != "deceased" && !values(r, param).is_empty())
        .collect();
    let values = (0..=dice.below(2))
        .map(|_| {
            let from = (!holders.is_empty() && dice.percent(80)).then(|| *dice.pick(&holders));
            let found = from.map(|r| values(r, param)).unwrap_or_default();
            let value = (!found.is_empty()).then(|| dice.pick(&found).value.clone());
            wanted(dice, param, modifier.as_deref(), value.as_ref())
        })
        .collect();
    Condition {
        param: param.clone(),
        modifier,
        values,
    }
}

fn expression(param: &Official) -> &'static str {
    if param.code == "deceased" {
        "Patient.deceased"
    } else {
        param.expression
    }
}

fn wanted(
    dice: &mut Dice,
    param: &Official,
    modifier: Option<&str>,
    value: Option<&Value>,
) -> Wanted {
    match param.kind {
        "token" if param.code == "deceased" => {
            Wanted::Token(None, Some(dice.text(&["true", "false"])))
        }
        "token" => {
            let has = value.map(|v| tokens(param, v)).unwrap_or_default();
            let (system, code) = if has.is_empty() {
                (dice.text(SYSTEMS), dice.text(CODES))
            } else {
                dice.pick(&has).clone()
            };
            match dice.below(5) {
                0 if !system.is_empty() => Wanted::Token(Some(system), None),
                1 if !code.is_empty() => Wanted::Token(Some(String::new()), Some(code)),
                2 if !code.is_empty() && !system.is_empty() => {
                    Wanted::Token(Some(system), Some(code))
                }
                3 if !code.is_empty() && super::implied(param).is_some() => {
                    Wanted::Token(super::implied(param).map(str::to_owned), Some(code))
                }
                _ if code.is_empty() => Wanted::Token(None, Some("a".to_owned())),
                _ => Wanted::Token(None, Some(code)),
            }
        }
        "date" => {
            let text = value
                .and_then(|v| {
                    v.as_str()
                        .or_else(|| v["start"].as_str())
                        .or_else(|| v["end"].as_str())
                        .or_else(|| v["event"][0].as_str())
                })
                .map_or_else(|| dice.text(DATES), str::to_owned);
            let cut = *dice.pick(&[4, 7, 10, 99]);
            let text = if text.len() > cut {
                text[..cut].to_owned()
            } else {
                text
            };
            Wanted::Date(dice.comparator(), text)
        }
        "reference" => Wanted::Reference(reference_wanted(dice, param, modifier, value)),
        "string" => {
            let has = value.map(texts).unwrap_or_default();
            let text = if has.is_empty() {
                dice.text(WORDS)
            } else {
                dice.pick(&has).clone()
            };
            let letters: Vec<char> = text.chars().collect();
            let from = if modifier == Some("contains") {
                dice.below(letters.len())
            } else {
                0
            };
            let to = from + 1 + dice.below(letters.len() - from);
            let part: String = letters[from..to].iter().collect();
            let part = match dice.below(3) {
                0 => part.to_uppercase(),
                1 => part.replace('é', "e"),
                _ => part,
            };
            let usable = modifier == Some("exact") || !super::fold(&part).is_empty();
            Wanted::Text(if usable { part } else { "Smith".to_owned() })
        }
        _ => {
            let of = value.map(|v| if v["low"].is_object() { &v["low"] } else { v });
            let number = of
                .filter(|q| q["value"].is_number() && dice.percent(60))
                .map_or_else(|| dice.text(NUMBERS), |q| q["value"].to_string());
            // Bare exponents have a rule of their own, which has a test of its own.
            let number = if number.contains(['e', 'E']) {
                "70".to_owned()
            } else {
                number
            };
            let unit = match dice.below(3) {
                0 => None,
                1 => Some((String::new(), dice.text(UNITS))),
                _ => of
                    .and_then(|q| {
                        Some((
                            q["system"].as_str()?.to_owned(),
                            q["code"].as_str()?.to_owned(),
                        ))
                    })
                    .or_else(|| Some((dice.text(SYSTEMS), dice.text(UNITS)))),
            };
            Wanted::Quantity(dice.comparator(), number, unit)
        }
    }
}

fn reference_wanted(
    dice: &mut Dice,
    param: &Official,
    modifier: Option<&str>,
    value: Option<&Value>,
) -> String {
    let text = value
        .and_then(|v| v.as_str().or_else(|| v["reference"].as_str()))
        .unwrap_or("");
    let text = text.split("/_history").next().unwrap_or("");
    if param.code == "instantiates-canonical" {
        return if text.is_empty() {
            "http://c/1".to_owned()
        } else {
            text.split('|').next().unwrap_or("").to_owned()
        };
    }
    let fallback = if dice.percent(50) { "p0" } else { "x" };
    let id = match text.rsplit('/').next() {
        Some(id) if !id.is_empty() && !id.contains([':', '#']) => id,
        _ => fallback,
    };
    if modifier.is_some() {
        return id.to_owned();
    }
    let allowed = |name: &str| param.targets == ["*"] || param.targets.contains(&name);
    match text.split_once('/') {
        _ if text.contains(':') => text.to_owned(),
        Some((name, _)) if allowed(name) && dice.percent(70) => text.to_owned(),
        _ => id.to_owned(),
    }
}

/// All patients, or some of them.
pub fn scope(dice: &mut Dice, patients: &[String]) -> Option<BTreeSet<String>> {
    if dice.percent(50) {
        return None;
    }
    Some(
        (0..=dice.below(2))
            .map(|_| dice.pick(patients).clone())
            .collect(),
    )
}
