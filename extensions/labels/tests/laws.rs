//! The laws of labels, on generated ones.

use mcp_ext_labels::{
    CONFIDENTIALITY, Code, Label, Line, MAX_MARKS, Regulation, Sensitivity, Source,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn sensitivity() -> impl Strategy<Value = Sensitivity> {
    prop_oneof![
        Just(Sensitivity::User),
        Just(Sensitivity::Pii),
        Just(Sensitivity::Financial),
        Just(Sensitivity::Credentials),
    ]
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::System),
        Just(Source::Internal),
        Just(Source::TrustedPublic),
        Just(Source::User),
        Just(Source::UntrustedPublic),
    ]
}

fn code() -> impl Strategy<Value = Code> {
    // Few names, so that they meet; displays differ for one code.
    let system = prop_oneof![Just(CONFIDENTIALITY.to_owned()), "[ab]{1,2}"];
    let code = prop_oneof!["[ULMNRV]", "[A-D]{1,2}"];
    (system, code, proptest::option::of("[xyz]")).prop_map(|(system, code, display)| Code {
        display: display.map(|d| Line::new(&d).unwrap()),
        ..Code::new(&system, &code).unwrap()
    })
}

/// Up to half as many again as a label lists, so that joins cross the bound.
fn up_to<T: std::fmt::Debug + 'static>(
    of: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Vec<T>> {
    let of = of.boxed();
    prop_oneof![
        4 => proptest::collection::vec(of.clone(), 0..4),
        1 => proptest::collection::vec(of, MAX_MARKS / 2..MAX_MARKS * 3 / 2),
    ]
}

prop_compose! {
    fn label()(
        sensitivity in proptest::collection::vec(sensitivity(), 0..3),
        regulated in up_to("[A-C0-9]{1,3}"),
        source in proptest::option::of(source()),
        codes in up_to(code()),
        handling in up_to("[a-c ]{1,4}"),
        attribution in up_to("urn:[a-z]{1,3}"),
        ai in any::<bool>(),
        undetermined in proptest::bool::weighted(0.1),
    ) -> Label {
        let mut label = if undetermined { Label::undetermined() } else { Label::new() };
        for s in sensitivity { label = label.sensitive(s); }
        for r in regulated { label = label.regulated(Regulation::new(&r).unwrap()); }
        if let Some(source) = source { label = label.source(source); }
        for c in codes { label = label.code(c); }
        for h in handling { label = label.handling(Line::new(&h).unwrap()); }
        for a in attribution { label = label.attributed(Line::new(&a).unwrap()); }
        if ai { label.ai_authored() } else { label }
    }
}

/// JSON of any shape that names the members of a label as often as not.
fn hostile() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| json!(f)),
        ".{0,8}".prop_map(Value::from),
        prop_oneof![
            Just("pii"),
            Just("none"),
            Just("HIPAA"),
            Just("hipaa"),
            Just("system"),
            Just("R")
        ]
        .prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("sensitivity".to_owned()),
        Just("regulated".to_owned()),
        Just("source".to_owned()),
        Just("codes".to_owned()),
        Just("highWaterMark".to_owned()),
        Just("handling".to_owned()),
        Just("attribution".to_owned()),
        Just("aiAuthored".to_owned()),
        Just("more".to_owned()),
        Just("system".to_owned()),
        Just("code".to_owned()),
        "[a-z]{0,3}",
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A label as it travels, with one member put out of shape.
fn tampered() -> impl Strategy<Value = Value> {
    let member = prop_oneof![
        Just("sensitivity"),
        Just("regulated"),
        Just("source"),
        Just("codes"),
        Just("highWaterMark"),
        Just("handling"),
        Just("attribution"),
        Just("aiAuthored"),
        Just("more"),
    ];
    (label(), member, hostile(), any::<bool>()).prop_map(|(label, member, value, inside)| {
        let mut wire = serde_json::to_value(&label).unwrap();
        match wire[member].as_array_mut() {
            Some(entries) if inside => entries.push(value),
            _ => wire[member] = value,
        }
        wire
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    prop_oneof![hostile(), tampered()]
}

fn validator() -> &'static jsonschema::Validator {
    static VALIDATOR: std::sync::LazyLock<jsonschema::Validator> = std::sync::LazyLock::new(|| {
        jsonschema::validator_for(&schemars::schema_for!(Label).to_value()).unwrap()
    });
    &VALIDATOR
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn join_is_commutative(a in label(), b in label()) {
        prop_assert_eq!(a.clone().join(&b), b.join(&a));
    }

    #[test]
    fn join_is_associative(a in label(), b in label(), c in label()) {
        prop_assert_eq!(a.clone().join(&b).join(&c), a.join(&b.join(&c)));
    }

    #[test]
    fn join_is_idempotent(a in label()) {
        prop_assert_eq!(a.clone().join(&a), a);
    }

    #[test]
    fn the_empty_label_is_neutral(a in label()) {
        prop_assert_eq!(a.clone().join(&Label::new()), a.clone());
        prop_assert_eq!(Label::new().join(&a), a.clone());
        prop_assert!(a.covers(&Label::new()));
    }

    #[test]
    fn join_is_at_least_both(a in label(), b in label()) {
        let both = a.clone().join(&b);
        prop_assert!(both.covers(&a) && both.covers(&b));
        // In the order that the join itself gives, too.
        prop_assert_eq!(both.clone().join(&a), both.clone());
        prop_assert_eq!(both.clone().join(&b), both);
    }

    #[test]
    fn join_is_monotone(a in label(), b in label(), c in label()) {
        let higher = a.clone().join(&b);
        prop_assert!(higher.join(&c).covers(&a.join(&c)));
    }

    #[test]
    fn join_is_the_least(a in label(), b in label(), c in label()) {
        // Whatever is at least both is at least their join.
        let above = a.clone().join(&b).join(&c);
        prop_assert!(above.covers(&a) && above.covers(&b) && above.covers(&a.clone().join(&b)));
        if c.covers(&a) && c.covers(&b) {
            prop_assert!(c.covers(&a.join(&b)));
        }
    }

    #[test]
    fn covers_is_an_order(a in label(), b in label(), c in label()) {
        prop_assert!(a.covers(&a));
        if a.covers(&b) && b.covers(&c) {
            prop_assert!(a.covers(&c));
        }
    }

    #[test]
    fn a_set_has_the_high_water_mark_of_its_members(labels in proptest::collection::vec(label(), 0..6)) {
        let all: Label = labels.iter().collect();
        let reversed: Label = labels.iter().rev().collect();
        prop_assert_eq!(&all, &reversed);
        for one in &labels {
            prop_assert!(all.covers(one));
        }
        if !all.has_more() {
            let rank = |label: &Label| label.high_water_mark().map(|mark| {
                let known = ["U", "L", "M", "N", "R", "V"];
                known.iter().position(|k| *k == mark.code.as_str()).unwrap_or(known.len())
            });
            prop_assert_eq!(rank(&all), labels.iter().map(rank).max().flatten());
        }
    }

    #[test]
    fn a_label_survives_the_wire(a in label()) {
        let wire = serde_json::to_value(&a).unwrap();
        prop_assert!(validator().is_valid(&wire), "{}", wire);
        prop_assert_eq!(&Label::read(&wire), &a);
        prop_assert_eq!(serde_json::from_value::<Label>(wire).unwrap(), a);
    }

    #[test]
    fn schema_and_type_agree(value in any_json()) {
        let valid = validator().is_valid(&value);
        let read = serde_json::from_value::<Label>(value.clone());
        // serde takes a struct by position too, and an absent option as null.
        prop_assume!(value.is_object() && !has_null_or_list_for_object(&value));
        prop_assert_eq!(valid, read.is_ok(), "{} {:?}", value, read);
    }

    #[test]
    fn whatever_is_read_only_raises(value in any_json(), mine in label()) {
        let theirs = Label::read(&value);
        prop_assert!(mine.clone().join(&theirs).covers(&mine));
        // What the strict reader takes is read the same; what it refuses is never taken for nothing.
        if value.is_object() {
            match serde_json::from_value::<Label>(value) {
                Ok(strict) => prop_assert!(theirs.covers(&strict)),
                Err(_) => prop_assert!(!theirs.is_empty()),
            }
        }
    }

    #[test]
    fn a_note_is_one_bounded_line(value in any_json(), a in label()) {
        for label in [Label::read(&value), a] {
            if let Some(note) = label.note() {
                prop_assert!(note.chars().count() <= 1000 && !note.contains(char::is_control));
                prop_assert!(!label.has_more() || note.contains("strictest"));
            } else {
                prop_assert!(label.is_empty());
            }
        }
    }
}

fn has_null_or_list_for_object(value: &Value) -> bool {
    let nullish = |v: &Value| v.is_null() || v.is_array();
    value["source"].is_null() && value.get("source").is_some()
        || nullish(&value["highWaterMark"]) && value.get("highWaterMark").is_some()
        || [&value["highWaterMark"]]
            .into_iter()
            .chain(value["codes"].as_array().into_iter().flatten())
            .any(|code| code.is_array() || code.get("display").is_some_and(Value::is_null))
}

#[test]
fn hostile_labels_are_bounded() {
    let many: Vec<String> = (0..1_000_000).map(|n| format!("R{n}")).collect();
    let label = Label::read(&json!({ "regulated": many, "handling": ["x".repeat(1 << 20)] }));
    assert!(label.has_more());
    assert_eq!(label.regulations().count(), MAX_MARKS);
    assert_eq!(label.handling_rules().count(), 0);
    let mut deep = json!("pii");
    for _ in 0..200 {
        deep = Value::Array(vec![deep]);
    }
    assert!(Label::read(&json!({ "sensitivity": deep })).has_more());
}

#[test]
fn what_is_not_understood_counts_as_all_there_is() {
    for value in [
        json!(null),
        json!([]),
        json!("public"),
        json!({ "sensitivity": "pii" }),
        json!({ "sensitivity": ["secret"] }),
        json!({ "source": "me" }),
        json!({ "regulated": [""] }),
        json!({ "codes": [{ "code": "R" }] }),
        json!({ "highWaterMark": "U" }),
        json!({ "handling": ["two\nlines"] }),
        json!({ "aiAuthored": 0 }),
        json!({ "more": "no" }),
    ] {
        assert!(Label::read(&value).has_more(), "{value}");
    }
    assert_eq!(
        Label::read(&json!({ "source": "me" })).written_by(),
        Some(Source::UntrustedPublic)
    );
    assert!(Label::read(&json!({ "aiAuthored": 0 })).is_ai_authored());
    // Names differ in case, and `none` is no mark.
    let label = Label::read(&json!({ "regulated": ["hipaa"], "sensitivity": ["none"] }));
    assert_eq!(label, Label::new().regulated(Regulation::HIPAA));
}

#[test]
fn no_list_crowds_out_what_matters_most() {
    let many: Vec<String> = (0..64).map(|n| format!("{n:0>32}")).collect();
    let label = Label::read(&json!({
        "sensitivity": ["credentials"], "regulated": many, "handling": vec!["x".repeat(128); 64],
        "codes": [{ "system": CONFIDENTIALITY, "code": "V" }], "aiAuthored": true, "source": "user", "more": true,
        "attribution": ["u".repeat(512)],
    }));
    let note = label.note().unwrap();
    let first = "Labels: not all marks are listed, handle as the strictest; sensitivity credentials; \
        confidentiality V; source user; written by an AI, at least in part; regulated by 0000";
    assert!(note.starts_with(first), "{note}");
    assert!(note.contains(", 56 more"), "{note}");
}

#[test]
fn an_unknown_confidentiality_stands_above_the_known() {
    let label: Label = ["V", "X", "U"]
        .map(|code| Label::new().code(Code::new(CONFIDENTIALITY, code).unwrap()))
        .into_iter()
        .collect();
    assert_eq!(label.high_water_mark().unwrap().code.as_str(), "X");
}
