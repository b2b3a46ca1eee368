//! Each type takes exactly what its schema says: values are made from both sides, and changed a little.

use std::cell::Cell;

use jsonschema::Validator;
use mcp_ext_core::faults;
use mcp_ext_core::schema::{TypeSchema, tool_schema};
use mcp_ext_values::{
    Bounded, Currency, DecimalString, Limit, List, MaxBytes, Money, Page, PageParams, PartialDate,
    PlainText, Precision, Pseudonym, Rounding, SealedCursor, Source, Truncated, Untrusted, Verdict,
};
use proptest::prelude::*;
use proptest::string::string_regex;
use proptest::test_runner::{Config, TestRunner};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

const CASES: u32 = 512;

/// A type beside its schema, and how often each verdict came up: a test that saw one of them only has shown nothing.
struct Pair {
    validator: Validator,
    /// The same schema, as the walk sees it that tells a caller what is wrong with params.
    schema: TypeSchema,
    name: String,
    judged: Cell<u32>,
}

impl Pair {
    fn of<T: JsonSchema>() -> Self {
        let schema = schemars::schema_for!(T).to_value();
        Self {
            validator: jsonschema::draft202012::new(&schema).unwrap(),
            schema: TypeSchema::of::<T>(),
            name: T::schema_name().into_owned(),
            judged: Cell::new(0),
        }
    }

    /// Whether both take the value; panics when they disagree.
    fn agree<T: DeserializeOwned + Serialize>(&self, value: &Value) -> bool {
        let schema = self.validator.is_valid(value);
        let read = serde_json::from_value::<T>(value.clone());
        let from_text = serde_json::from_str::<T>(&value.to_string());
        assert_eq!(
            (read.is_ok(), from_text.is_ok()),
            (schema, schema),
            "{}: {value}: the type says {:?}, the schema {schema}",
            self.name,
            read.as_ref().err()
        );
        // The walk makes the schema anew each time: a sample of it will do.
        self.judged.set(self.judged.get() + 1);
        if self.judged.get().is_multiple_of(8) {
            let faults = faults::find(value, &self.schema, &[]);
            // It is asked only about what a type refuses, and takes `20.0` for no integer, as derived types do.
            assert!(
                faults.is_empty() == schema || schema && has_float(value),
                "{}: {value}: {faults:?}",
                self.name
            );
        }
        if let Ok(read) = read {
            // What the type writes, the schema and the type take again.
            let written = serde_json::to_value(read).unwrap();
            assert!(self.validator.is_valid(&written), "{written}");
            assert!(serde_json::from_value::<T>(written).is_ok());
        }
        schema
    }
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().any(has_float),
        Value::Array(items) => items.iter().any(has_float),
        _ => value.is_f64(),
    }
}

/// A runner counts its cases once, so each run has its own.
fn runner() -> TestRunner {
    TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    })
}

fn check<T: DeserializeOwned + Serialize + JsonSchema>(
    made: impl Strategy<Value = Value>,
    near: impl Strategy<Value = Value>,
) {
    let pair = Pair::of::<T>();
    let taken = Cell::new(0);
    runner()
        .run(&made, |value| {
            taken.set(taken.get() + 1);
            prop_assert!(pair.agree::<T>(&value), "a valid value is refused: {value}");
            Ok(())
        })
        .unwrap();
    let (yes, no) = (Cell::new(0), Cell::new(0));
    runner()
        .run(&prop_oneof![8 => near, 2 => anything()], |value| {
            if pair.agree::<T>(&value) {
                yes.set(yes.get() + 1);
            } else {
                no.set(no.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    let (taken, yes, no) = (taken.get(), yes.get(), no.get());
    assert!(
        taken > 0 && yes > 20 && no > 20,
        "{}: {yes} taken, {no} refused",
        pair.name
    );
}

/// Any JSON value of little depth.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-200_i64..200).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-200_i32..200).prop_map(|n| Value::from(f64::from(n))),
        ".{0,12}".prop_map(Value::from),
        "[0-9TZ:+.-]{0,26}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(
                "(amount|currency|items|source|value|verdict|why|limit|cursor|[a-z]{1,3})",
                inner,
                0..3
            )
            .prop_map(|members| Value::from(Map::from_iter(members))),
        ]
    })
}

fn texts(pattern: &str) -> impl Strategy<Value = String> + use<> {
    string_regex(pattern).unwrap()
}

/// A text with a few characters put in, taken out, changed or doubled.
fn nearly(text: impl Strategy<Value = String>) -> impl Strategy<Value = Value> {
    let character = prop_oneof![
        "[0-9]",
        "[-+.,eE_TZ:/ ]",
        "[a-zA-Z]",
        Just("\n".to_owned()),
        Just("\0".to_owned()),
        Just("１".to_owned()),
        Just("٣".to_owned()),
        Just("−".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("⟦".to_owned()),
        Just("é".to_owned()),
    ];
    let change = (any::<prop::sample::Index>(), 0..4_u8, character);
    (text, prop::collection::vec(change, 0..3)).prop_map(|(text, changes)| {
        let mut characters: Vec<char> = text.chars().collect();
        for (at, kind, with) in changes {
            let at = at.index(characters.len() + 1);
            let with = with.chars().next().unwrap();
            let inside = at < characters.len();
            match kind {
                0 => characters.insert(at, with),
                1 if inside => drop(characters.remove(at)),
                2 if inside => characters[at] = with,
                3 if inside => characters.insert(at, characters[at]),
                _ => {}
            }
        }
        Value::from(String::from_iter(characters))
    })
}

/// An object with members left out, added, renamed, of another type, or made an array.
fn nearly_object(object: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let change = (any::<prop::sample::Index>(), 0..6_u8, anything());
    (object, prop::option::of(change)).prop_map(|(mut value, change)| {
        let Some((at, kind, other)) = change else {
            return value;
        };
        let members = value.as_object_mut().unwrap();
        let names: Vec<String> = members.keys().cloned().collect();
        let name = names.get(at.index(names.len().max(1)));
        match (kind, name) {
            (0, Some(name)) => drop(members.remove(name)),
            (1, Some(name)) => drop(members.insert(name.clone(), other)),
            (2, Some(name)) => {
                let member = members.remove(name).unwrap();
                members.insert(name.to_uppercase(), member);
            }
            (3, _) => drop(members.insert("more".into(), other)),
            (4, _) => return members.values().cloned().collect(),
            (5, Some(_)) => return json!([value]),
            _ => {}
        }
        value
    })
}

fn decimals() -> impl Strategy<Value = String> {
    texts(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?")
}

fn dates() -> impl Strategy<Value = String> {
    texts(
        r"[0-9]{4}(-[01][0-9](-[0-3][0-9](T[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?(Z|[+-][01][0-9]:[0-6][0-9])?)?)?)?",
    )
}

#[test]
fn decimal_strings() {
    check::<DecimalString>(decimals().prop_map(Value::from), nearly(decimals()));
}

#[test]
fn decimal_strings_at_their_longest() {
    let pair = Pair::of::<DecimalString>();
    for length in 250..260 {
        for text in ["9".repeat(length), format!("-0.{}", "1".repeat(length - 3))] {
            let taken = pair.agree::<DecimalString>(&json!(text));
            assert_eq!(taken, length <= DecimalString::MAX_CHARS);
        }
    }
}

/// Every text the schema's own pattern makes is a number, and so with dates.
#[test]
fn the_schemas_own_patterns_make_valid_texts() {
    fn own<T: DeserializeOwned + Serialize + JsonSchema>() {
        let schema = schemars::schema_for!(T).to_value();
        let pattern = schema["pattern"].as_str().unwrap();
        let longest = schema["maxLength"].as_u64().unwrap_or(u64::MAX) as usize;
        let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
        let pair = Pair::of::<T>();
        let made = texts(pattern).prop_filter("too long", |t| t.chars().count() <= longest);
        runner()
            .run(&made, |text| {
                prop_assert!(pair.agree::<T>(&json!(text)));
                Ok(())
            })
            .unwrap();
    }
    own::<DecimalString>();
    own::<PartialDate>();
    own::<Pseudonym>();
    own::<SealedCursor>();
    own::<PlainText<20>>();
}

#[test]
fn dates_of_every_precision() {
    let day = (1..=9999_i32, 1..=12_u32, 1..=28_u32);
    let rest = prop_oneof![
        Just(String::new()),
        texts(
            r"T([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]|60)(\.[0-9]{1,9})?)?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])"
        ),
    ];
    let valid = (day, 0..3_u8, rest).prop_map(|((year, month, day), kind, rest)| {
        Value::from(match kind {
            0 => format!("{year:04}"),
            1 => format!("{year:04}-{month:02}"),
            _ => format!("{year:04}-{month:02}-{day:02}{rest}"),
        })
    });
    check::<PartialDate>(valid, nearly(dates()));
}

/// The days that exist are counted out: every day of every month of every kind of year.
#[test]
fn every_day_that_exists_and_none_that_does_not() {
    let pair = Pair::of::<PartialDate>();
    let years = [
        0, 1, 4, 99, 100, 400, 1000, 1600, 1700, 1900, 1996, 1999, 2000, 2016, 2023, 2024, 2100,
        2400, 9996, 9999,
    ];
    let mut taken = 0;
    for year in years {
        for month in 0..=13 {
            for day in 0..=32 {
                let text = format!("{year:04}-{month:02}-{day:02}");
                taken += u32::from(pair.agree::<PartialDate>(&json!(text)));
            }
        }
    }
    let leap_years = [4, 400, 1600, 1996, 2000, 2016, 2024, 2400, 9996].len() as u32;
    assert_eq!(taken, 19 * 365 + leap_years);
    for (time, valid) in [
        ("T00:00Z", true),
        ("T23:59:60Z", true),
        ("T23:59:61Z", false),
        ("T24:00Z", false),
        ("T10:00+14:00", true),
        ("T10:00+14:01", false),
        ("T10:00-13:59", true),
        ("T10:00+15:00", false),
        ("T10:00", false),
        ("T10:00z", false),
        ("T10Z", false),
        ("T10:00:00.Z", false),
        ("T10:00:00.123456789Z", true),
        ("Z", false),
        ("T10:00Z\n", false),
    ] {
        let text = format!("2016-02-29{time}");
        assert_eq!(pair.agree::<PartialDate>(&json!(text)), valid, "{text}");
    }
    for digits in 30..50 {
        let text = format!("2016-02-29T10:00:00.{}Z", "1".repeat(digits));
        assert_eq!(pair.agree::<PartialDate>(&json!(text)), text.len() <= 64);
    }
}

#[test]
fn currencies() {
    let pair = Pair::of::<Currency>();
    let mut taken = 0;
    for a in 'A'..='Z' {
        for b in 'A'..='Z' {
            for c in 'A'..='Z' {
                let code = String::from_iter([a, b, c]);
                taken += u32::from(pair.agree::<Currency>(&json!(code)));
            }
        }
    }
    assert!(taken > 150, "{taken}");
    for value in [
        json!("XXX"),
        json!("XTS"),
        json!("eur"),
        json!("EUR "),
        json!(null),
        json!(978),
        json!({"EUR": null}),
    ] {
        assert!(!pair.agree::<Currency>(&value), "{value}");
    }
}

#[test]
fn money() {
    let currency = prop_oneof![
        Just("EUR"),
        Just("JPY"),
        Just("BHD"),
        Just("CLF"),
        Just("XAU"),
        Just("HRK"),
        Just("XXX"),
        Just("eur"),
        Just("KWD"),
        Just("ISK"),
    ];
    let valid = (0..3_usize, texts(r"-?(0|[1-9][0-9]{0,20})")).prop_map(|(at, whole)| {
        let (currency, fraction) = [("EUR", ".25"), ("JPY", ""), ("CLF", ".1234")][at];
        json!({ "amount": format!("{whole}{fraction}"), "currency": currency })
    });
    let near = (texts(r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,6})?"), currency)
        .prop_map(|(amount, currency)| json!({ "amount": amount, "currency": currency }));
    check::<Money>(valid, nearly_object(near));
}

#[test]
fn numbers_within_bounds() {
    fn numbers() -> impl Strategy<Value = Value> {
        prop_oneof![
            (-5_i64..130).prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-20_i32..1200).prop_map(|n| Value::from(f64::from(n) / 8.0)),
            (-5_i32..130).prop_map(|n| Value::from(f64::from(n))),
            Just(json!(-0.0)),
            Just(json!(1e300)),
            Just(json!(4_294_967_296_u64)),
            Just(json!(4_294_967_296.0)),
            (1000_u32..1100).prop_map(Value::from),
            (1_048_500_u32..1_048_600).prop_map(|n| Value::from(f64::from(n))),
        ]
    }
    check::<Limit>((0..=100_u32).prop_map(Value::from), numbers());
    check::<MaxBytes>((1024..=1_048_576_u32).prop_map(Value::from), numbers());
    check::<Bounded<3, 3, 7>>(
        (3..=7_u32).prop_map(Value::from),
        prop_oneof![numbers(), (0..10_u32).prop_map(Value::from)],
    );
}

#[test]
fn lists() {
    let list = |most| prop::collection::vec(decimals(), 0..=most).prop_map(Value::from);
    let near = prop_oneof![
        list(6),
        prop::collection::vec(nearly(decimals()), 0..3).prop_map(Value::from)
    ];
    check::<List<DecimalString, 3>>(list(3), near);
}

#[test]
fn words() {
    check::<Rounding>(
        prop::sample::select(vec![
            "halfEven", "halfUp", "halfDown", "up", "down", "ceiling", "floor",
        ])
        .prop_map(Value::from),
        nearly(prop_oneof![Just("up".to_owned()), Just("down".to_owned())]),
    );
    check::<Source>(
        prop::sample::select(vec![
            "untrustedPublic",
            "trustedPublic",
            "internal",
            "user",
            "system",
        ])
        .prop_map(Value::from),
        nearly(Just("user".to_owned())),
    );
    check::<Precision>(
        prop::sample::select(vec!["year", "month", "day", "minute", "second", "fraction"])
            .prop_map(Value::from),
        nearly(Just("day".to_owned())),
    );
    for pair in [
        json!({"up": null}),
        json!(["up"]),
        json!("Up"),
        json!("halfeven"),
    ] {
        assert!(!Pair::of::<Rounding>().agree::<Rounding>(&pair));
    }
}

#[test]
fn cursors_texts_and_pseudonyms() {
    let cursor = || texts("[A-Za-z0-9_-]{1,80}");
    check::<SealedCursor>(cursor().prop_map(Value::from), nearly(cursor()));
    let pair = Pair::of::<SealedCursor>();
    assert!(pair.agree::<SealedCursor>(&json!("A".repeat(4096))));
    assert!(!pair.agree::<SealedCursor>(&json!("A".repeat(4097))));
    assert!(!pair.agree::<SealedCursor>(&json!("https://example.org/?page=2")));
    let text = || texts("[^⟦⟧]{0,20}");
    check::<PlainText<20>>(text().prop_map(Value::from), nearly(texts("[^⟦⟧]{10,22}")));
    let pseudonym = || texts("psn1-[0-9a-f]{64}");
    check::<Pseudonym>(pseudonym().prop_map(Value::from), nearly(pseudonym()));
}

#[test]
fn objects() {
    let truncated = || {
        (
            "(limit|maxBytes)",
            0..200_u32,
            prop::option::of(any::<u32>()),
        )
            .prop_map(|(reason, returned, total)| {
                let mut value = json!({ "reason": reason, "returned": returned });
                if let Some(total) = total {
                    value["total"] = total.into();
                }
                value
            })
    };
    check::<Truncated>(truncated(), nearly_object(truncated()));
    let page = || {
        (
            prop::collection::vec(decimals(), 0..4),
            prop::option::of("[A-Za-z0-9_-]{1,9}"),
            prop::option::of(truncated()),
        )
            .prop_map(|(items, cursor, truncated)| {
                let mut value = json!({ "items": items });
                if let Some(cursor) = cursor {
                    value["nextCursor"] = cursor.into();
                }
                if let Some(truncated) = truncated {
                    value["truncated"] = truncated;
                }
                value
            })
    };
    check::<Page<DecimalString>>(page(), nearly_object(page()));
    let params = || {
        (
            prop::option::of(0..=100_u32),
            prop::option::of(1024..9999_u32),
            prop::option::of("[A-Za-z0-9_-]{1,9}"),
        )
            .prop_map(|(limit, bytes, cursor)| {
                let mut value = json!({});
                if let Some(limit) = limit {
                    value["limit"] = limit.into();
                }
                if let Some(bytes) = bytes {
                    value["maxBytes"] = bytes.into();
                }
                if let Some(cursor) = cursor {
                    value["cursor"] = cursor.into();
                }
                value
            })
    };
    check::<PageParams>(params(), nearly_object(params()));
    let untrusted = || {
        ("(user|system|internal)", ".{0,8}")
            .prop_map(|(source, value)| json!({ "source": source, "value": value }))
    };
    check::<Untrusted<String>>(untrusted(), nearly_object(untrusted()));
    let verdict = || {
        prop_oneof![
            Just(json!({ "verdict": "verified" })),
            Just(json!({ "verdict": "refuted" })),
            ".{0,8}".prop_map(|why| json!({ "verdict": "unverifiable", "why": why })),
        ]
    };
    check::<Verdict>(verdict(), nearly_object(verdict()));
}

/// As part of a tool's arguments, in the form AI hosts take, they still say the same.
#[test]
fn in_a_tool_schema_they_say_the_same() {
    #[derive(Serialize, serde::Deserialize, JsonSchema)]
    struct Args {
        price: Money,
        due: PartialDate,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<Limit>,
        note: PlainText<20>,
        person: Pseudonym,
    }
    const ARGS: TypeSchema = TypeSchema::of::<Args>();
    let schema = tool_schema(&ARGS).unwrap();
    let text = schema.to_string();
    assert!(
        !text.contains("$ref") && text.len() < 6000,
        "{} bytes",
        text.len()
    );
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let person = format!("psn1-{}", "0".repeat(64));
    let good = json!({ "price": { "amount": "1.50", "currency": "EUR" }, "due": "2024-02-29", "note": "x", "person": person });
    assert!(validator.is_valid(&good) && serde_json::from_value::<Args>(good.clone()).is_ok());
    for (pointer, bad) in [
        ("/price/amount", json!("1.505")),
        ("/price/amount", json!(1.5)),
        ("/price/currency", json!("XXX")),
        ("/price/currency", json!("JPY")),
        ("/due", json!("2023-02-29")),
        ("/note", json!("⟦")),
        ("/person", json!("ann@example.org")),
    ] {
        let mut value = good.clone();
        *value.pointer_mut(pointer).unwrap() = bad;
        assert!(!validator.is_valid(&value), "{value}");
        assert!(!faults::find(&value, &ARGS, &[]).is_empty(), "{value}");
        assert!(serde_json::from_value::<Args>(value).is_err());
    }
}
