//! The written-down expansions compile, with no macro of this crate, and do what they should.

mod minimal {
    include!("output/minimal.rs");
}
mod full {
    include!("output/full.rs");

    pub(super) fn enabled() -> mcp_ext_core::ExtensionSetBuilder {
        struct Labeller;
        impl Labels for Labeller {
            const WRITE_HANDLERS_ABOVE_THIS_IMPL: &'static [&'static str] = &[];
        }
        mcp_ext_core::ExtensionSet::builder()
            .enable(GradingExtension::provide(std::sync::Arc::new(Lms)))
            .enable(LabelsExtension::provide(Labeller))
    }
}
mod settings {
    include!("output/settings.rs");
}
mod error {
    include!("output/error.rs");
}

use mcp_ext_core::algebra::{Negotiate as _, Rule};
use mcp_ext_core::contract::{Channel, Hints, Stability};
use mcp_ext_core::{Extension as _, ExtensionError as _};
use serde_json::json;

#[test]
fn minimal() {
    let contract = minimal::PingExtension::CONTRACT;
    assert_eq!(
        contract.items[0].method.unwrap().wire,
        "com.example/ping/ping"
    );
    let set = mcp_ext_core::ExtensionSet::builder()
        .enable(minimal::PingExtension::provide(minimal::Server))
        .build();
    assert!(set.is_ok());
}

#[test]
fn full() {
    let contract = full::GradingExtension::CONTRACT;
    assert_eq!(contract.docs, "Every key there is.\nAlso computed docs.");
    assert_eq!(contract.title, Some("Grading"));
    assert_eq!(contract.known_revisions, ["2026-05-01", "2026-08-01"]);
    assert_eq!(contract.stability, Stability::Beta);
    assert_eq!(contract.protocol.to_string(), "2025-11-25 to 2026-07-28");
    assert_eq!(contract.requires[0].id.as_str(), "com.example/labels");
    assert_eq!(contract.needs, ["com.example/audit"]);
    let meta: Vec<_> = contract
        .meta_keys
        .iter()
        .map(|k| (k.place, k.key))
        .collect();
    assert_eq!(
        meta,
        [
            ("request", "com.example/purpose"),
            ("result", "com.example/label"),
            ("result", "com.example/cost")
        ]
    );
    let names: Vec<_> = contract.items.iter().map(|i| i.name).collect();
    assert_eq!(
        names,
        [
            "read_rubric",
            "grade_submission",
            "publish",
            "count",
            "move"
        ]
    );
    let read = &contract.items[0];
    let method = read.method.unwrap();
    assert_eq!(method.wire, "com.example/grading/read");
    assert_eq!(
        (method.mcp_name, read.optional),
        (Some("/rubricId"), Some("reading"))
    );
    assert!(method.shape_clash.is_some());
    assert_eq!(
        (read.needs, read.echo),
        (["com.example/audit"].as_slice(), ["/rubricId"].as_slice())
    );
    let grade = &contract.items[1];
    let tool = grade.tool.unwrap();
    assert_eq!(
        (tool.name, tool.title, tool.gated, grade.sensitive),
        ("grade", Some("Grade"), false, true)
    );
    let hints = Hints {
        read_only: Some(false),
        destructive: Some(true),
        idempotent: Some(true),
        open_world: Some(false),
    };
    assert_eq!(tool.hints, hints);
    assert!(contract.items[2].tool.unwrap().gated);
    let both = &contract.items[3];
    assert!(both.method.is_some() && both.tool.is_some());
    assert_eq!(both.deprecated, Some("count for yourself"));
    assert_eq!(
        contract.items[4].method.unwrap().wire,
        "com.example/grading/move"
    );
    let sent: Vec<_> = contract
        .notifications
        .iter()
        .map(|n| (n.name, n.wire, n.channel))
        .collect();
    assert_eq!(
        sent,
        [
            (
                "grade_changed",
                "notifications/com.example/grading/gradeChanged",
                Channel::Request
            ),
            (
                "something_happened",
                "notifications/com.example/grading/happened",
                Channel::Listen
            ),
            (
                "rubric_changed",
                "notifications/com.example/grading/rubricChanged",
                Channel::Listen
            ),
        ]
    );
    let filtered: Vec<_> = contract
        .notifications
        .iter()
        .map(|n| n.filter.is_some())
        .collect();
    assert_eq!(filtered, [false, false, true]);
    let error = full::enabled().build().map(|_| ()).unwrap_err();
    assert!(
        error.to_string().contains("com.example/audit"),
        "the block is not there: {error}"
    );
}

#[test]
fn every_strategy_does_what_it_says() {
    use settings::{Composed, Empty, Everything, Inner};
    let read = |value| serde_json::from_value::<Everything>(value).unwrap();
    let server = read(json!({
        "formats": ["a", "b"], "byCourse": {"x": ["1", "2"]}, "maxBatch": 5, "write": true, "tier": 1, "region": "eu",
        "languages": ["de", "en"], "encodings": ["utf-8"], "version": "s", "verbosity": 1, "hints": false, "theme": "s",
    }));
    let client = read(json!({
        "formats": ["b", 7.to_string()], "byCourse": {"x": ["2"], "y": []}, "maxBatch": 9, "write": false, "tier": 2,
        "languages": ["en", "de"], "encodings": ["utf-8"], "version": "c", "verbosity": 3, "hints": true, "theme": "c",
    }));
    let both = Everything::negotiate(&server, &client).unwrap();
    assert_eq!(
        serde_json::to_value(&both).unwrap(),
        json!({
            "formats": ["b"], "byCourse": {"x": ["2"]}, "maxBatch": 5, "write": false, "tier": 2, "region": "eu",
            "languages": ["de"], "encodings": ["utf-8"], "version": "s", "verbosity": 3, "hints": true, "theme": "c",
        })
    );
    let stranger = read(json!({"byCourse": {"x": ["3"]}, "region": "us", "encodings": ["latin"]}));
    let mismatch = Everything::negotiate(&server, &stranger).unwrap_err();
    let rows: Vec<_> = mismatch
        .rows
        .iter()
        .map(|r| (r.field.as_str(), r.rule))
        .collect();
    assert_eq!(
        rows,
        [
            ("byCourse", Rule::Intersect),
            ("region", Rule::Equal),
            ("encodings", Rule::Prefer)
        ]
    );

    let composed = |name: &str, region: &str| Composed {
        inner: Inner {
            region: Some(region.into()),
        },
        name: name.into(),
        r#type: true,
    };
    let both = Composed::negotiate(&composed("long", "eu"), &composed("s", "eu")).unwrap();
    assert_eq!(
        serde_json::to_value(&both).unwrap(),
        json!({"inner": {"region": "eu"}, "name": "s", "type": true})
    );
    let mismatch = Composed::negotiate(&composed("a", "eu"), &composed("b", "us")).unwrap_err();
    assert_eq!(mismatch.rows[0].field, "inner.region");
    assert_eq!(Empty::negotiate(&Empty::default(), &Empty {}), Ok(Empty {}));
    assert_eq!(settings::Offer::default().seats, 1);
}

#[test]
fn own_errors_keep_their_fields_and_private_ones_stay() {
    use error::{Never, Quiet, Trouble};
    let unknown = Trouble::UnknownRubric {
        course: "c".into(),
        id: 7,
        width: 3,
    };
    assert_eq!(unknown.message(), "no rubric 7 in course \"c\",   7");
    assert_eq!(Trouble::Busy.message(), "busy {really}");
    let specs: Vec<_> = Trouble::ERRORS
        .iter()
        .map(|e| (e.kind, e.code, e.retryable))
        .collect();
    assert_eq!(
        specs,
        [
            ("unknown_rubric", 4100, false),
            ("overloaded", 4101, true),
            ("inside", -4102, false)
        ]
    );
    assert_eq!(
        Trouble::ERRORS[0].docs,
        "No rubric with this id in the course."
    );
    let inside = Trouble::Inside {
        secret: "s3cret".into(),
        r#type: None,
    };
    assert_eq!(inside.message(), "inside None");
    let details = serde_json::Value::Object(inside.details());
    assert_eq!(details, json!({"type": null}));
    let back = Trouble::from_wire("inside", &details);
    assert!(matches!(back, Some(Trouble::Inside { secret, r#type: None }) if secret.is_empty()));
    assert!(Never::ERRORS.is_empty() && Never::from_wire("x", &json!({})).is_none());
    assert_eq!(Quiet::Nothing.index(), 0);
}
