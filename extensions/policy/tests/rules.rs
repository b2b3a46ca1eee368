//! The rules built in.

mod common;

use common::{Ask, RecordsExtension, Server, Wards};
use mcp_ext_core::Principal;
use mcp_ext_labels::{
    CONFIDENTIALITY, Code, Label, LabelsExtension, Regulation, Sensitivity, Source,
};
use mcp_ext_policy::{Ceiling, Path, Policy, Rule, Rules};
use serde_json::{Value, json};

fn server<const N: usize>(rules: [Rule; N]) -> Server {
    Server::new(Policy::new(Rules::new("test", "1", rules).unwrap()))
}

fn alice() -> Principal {
    Principal::new("alice").in_tenant("t")
}

fn search() -> Ask {
    Ask::tool("search", json!({}))
}

fn raising(label: &Label) -> Ask {
    Ask::tool("search", json!({ "raise": label }))
}

/// `allowed`, or the kind of refusal and the policy.
async fn outcome(ask: Ask, server: &Server) -> String {
    let result = ask.send(server).await.unwrap();
    match result["structuredContent"].get("error") {
        None => "allowed".to_owned(),
        Some(error) => format!(
            "{} {}",
            error["kind"].as_str().unwrap(),
            error["details"]["policyId"].as_str().unwrap()
        ),
    }
}

#[tokio::test]
async fn what_no_rule_allows_is_denied() {
    let nothing = server([]);
    assert_eq!(outcome(search(), &nothing).await, "denied test/otherwise@1");
    assert_eq!(nothing.ran(), 0);
    assert_eq!(
        outcome(search(), &server([Rule::allow("all")])).await,
        "allowed"
    );
}

#[tokio::test]
async fn conditions_of_one_kind_are_any_and_of_several_all() {
    let rules = || {
        server([Rule::allow("r")
            .on::<LabelsExtension>()
            .on::<RecordsExtension>()
            .item("search")
            .item("read")
            .caller(alice())
            .caller(Principal::new("bob"))])
    };
    let server = rules();
    assert_eq!(outcome(search().by(alice()), &server).await, "allowed");
    assert_eq!(
        outcome(search().by(Principal::new("bob")), &server).await,
        "allowed"
    );
    for ask in [
        search(),
        search().by(Principal::new("alice")),
        search().by(Principal::new("alice").in_tenant("u")),
        search().by(Principal::new("bob").in_tenant("t")),
        Ask::tool("erase", json!({})).by(alice()),
    ] {
        assert_eq!(outcome(ask, &server).await, "denied test/otherwise@1");
    }
    let elsewhere = self::server([Rule::allow("r").on::<LabelsExtension>()]);
    assert_eq!(
        outcome(search(), &elsewhere).await,
        "denied test/otherwise@1"
    );
}

#[tokio::test]
async fn tenants_purposes_and_predicates() {
    let server = server([
        Rule::allow("tenant").tenant("t"),
        Rule::allow("purpose")
            .purpose("TREAT")
            .when(|q| q.principal().is_some()),
    ]);
    assert_eq!(outcome(search().by(alice()), &server).await, "allowed");
    let bob = || search().by(Principal::new("bob"));
    assert_eq!(
        outcome(bob().purpose(json!({ "code": "TREAT" })), &server).await,
        "allowed"
    );
    for purpose in [
        json!({ "code": "HRESCH" }),
        json!("TREAT"),
        json!(["TREAT"]),
        json!({ "code": ["TREAT"] }),
        json!({ "code": "TREAT", "system": "x".repeat(300) }),
        json!({ "code": "TREAT\n" }),
        json!({}),
        Value::Null,
    ] {
        let what = format!("{purpose}");
        assert_eq!(
            outcome(bob().purpose(purpose), &server).await,
            "denied test/otherwise@1",
            "{what}"
        );
    }
    let nobody = search().purpose(json!({ "code": "TREAT" }));
    assert_eq!(outcome(nobody, &server).await, "denied test/otherwise@1");
}

#[tokio::test]
async fn a_purpose_in_the_arguments_is_no_way_around_a_rule() {
    let server = server([Rule::allow("all"), Rule::deny("research").purpose("HRESCH")]);
    let purpose = json!({ "system": "urn:x", "code": "HRESCH" });
    let ask = Ask::tool("search", json!({ "purpose": purpose }));
    assert_eq!(outcome(ask, &server).await, "denied test/research@1");
}

#[tokio::test]
async fn a_denial_comes_before_everything() {
    let server = server([
        Rule::allow("all"),
        Rule::confirm("ask").item("search"),
        Rule::deny("not-alice").caller(alice()).because("not you"),
    ]);
    assert_eq!(
        outcome(search().by(alice()), &server).await,
        "denied test/not-alice@1"
    );
    assert_eq!(
        outcome(search(), &server).await,
        "confirmation_needed test/ask@1"
    );
    // What must be confirmed must be allowed as well.
    let unallowed = self::server([Rule::confirm("ask")]);
    assert_eq!(
        outcome(search().eliciting(), &unallowed).await,
        "denied test/otherwise@1"
    );
}

#[tokio::test]
async fn the_first_rule_that_allows_counts_with_what_it_narrows() {
    let server = server([
        Rule::allow("alice")
            .caller(alice())
            .narrow(Wards::of(["a", "b"])),
        Rule::allow("all").narrow(Wards::of(["c"])),
    ]);
    for (ask, wards) in [
        (search().by(alice()), json!(["a", "b"])),
        (search(), json!(["c"])),
    ] {
        let result = ask.send(&server).await.unwrap();
        assert_eq!(result["structuredContent"]["wards"], wards);
    }
}

#[tokio::test]
async fn rules_that_ask_or_remove_narrow_as_well() {
    let removing = server([
        Rule::allow("all").narrow(Wards::of(["a", "b"])),
        Rule::redact("titles", ["/matches/*/title".parse().unwrap()]).narrow(Wards::of(["b", "c"])),
        Rule::redact("other", ["/x".parse().unwrap()])
            .caller(alice())
            .narrow(Wards::of([])),
    ]);
    let result = search().send(&removing).await.unwrap();
    assert_eq!(result["structuredContent"]["wards"], json!(["b"]));
    assert_eq!(
        result["structuredContent"]["matches"],
        json!([{ "id": 1 }, { "id": 2 }])
    );
    // A limit on labels does not keep a rule from asking.
    let asking = server([
        Rule::allow("all"),
        Rule::confirm("ask").label_at_most(Ceiling::new().sensitivity([])),
    ]);
    assert_eq!(
        outcome(search(), &asking).await,
        "confirmation_needed test/ask@1"
    );
}

#[tokio::test]
async fn labels_have_ceilings() {
    let code = |code: &str| Label::new().code(Code::new(CONFIDENTIALITY, code).unwrap());
    let pii = || Label::new().sensitive(Sensitivity::Pii);
    let cases: [(Ceiling, Vec<Label>, Vec<Label>); 7] = [
        (
            Ceiling::new().confidentiality("N"),
            vec![Label::new(), code("L"), code("N"), pii()],
            vec![
                code("R"),
                code("V"),
                code("X"),
                code("L").join(&code("R")),
                Label::undetermined(),
            ],
        ),
        (
            Ceiling::new().sensitivity([Sensitivity::Pii]),
            vec![Label::new(), pii(), code("V")],
            vec![
                Label::new().sensitive(Sensitivity::Credentials),
                Label::undetermined(),
            ],
        ),
        (
            Ceiling::new().regulated([Regulation::GDPR]),
            vec![Label::new().regulated(Regulation::GDPR)],
            vec![
                pii()
                    .regulated(Regulation::GDPR)
                    .regulated(Regulation::HIPAA),
                Label::undetermined(),
            ],
        ),
        (
            Ceiling::new().source(Source::TrustedPublic).by_people(),
            vec![Label::new(), Label::new().source(Source::System)],
            vec![
                Label::new().source(Source::UntrustedPublic),
                Label::new().ai_authored(),
            ],
        ),
        // What could not be determined may be anything.
        (
            Ceiling::new().source(Source::TrustedPublic),
            vec![Label::new().ai_authored()],
            vec![Label::undetermined()],
        ),
        (
            Ceiling::new().by_people(),
            vec![Label::new().source(Source::UntrustedPublic)],
            vec![Label::undetermined()],
        ),
        (
            Ceiling::new(),
            vec![Label::new(), Label::undetermined(), code("V")],
            vec![],
        ),
    ];
    for (ceiling, admitted, above) in cases {
        let allow = server([Rule::allow("all").label_at_most(ceiling.clone())]);
        let deny = server([
            Rule::allow("all"),
            Rule::deny("high").label_at_most(ceiling.clone()),
        ]);
        for label in admitted {
            assert!(ceiling.admits(&label));
            assert_eq!(
                outcome(raising(&label), &allow).await,
                "allowed",
                "{label:?}"
            );
            assert_eq!(
                outcome(raising(&label), &deny).await,
                "allowed",
                "{label:?}"
            );
        }
        for label in above {
            assert_eq!(
                outcome(raising(&label), &allow).await,
                "withheld test/all@1",
                "{label:?}"
            );
            assert_eq!(
                outcome(raising(&label), &deny).await,
                "withheld test/high@1",
                "{label:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_redaction_can_depend_on_the_label() {
    let parts = || -> [Path; 1] { ["/matches/*/title".parse().unwrap()] };
    let server = server([
        Rule::allow("all"),
        Rule::redact("titles", parts()).label_at_most(Ceiling::new().sensitivity([])),
        Rule::redact("wards", ["/wards".parse().unwrap()])
            .caller(alice())
            .obliged("ask"),
    ]);
    let found = |result: Value| result["structuredContent"].clone();
    let plain = found(search().send(&server).await.unwrap());
    assert_eq!(plain["matches"][0]["title"], "Ives");
    assert!(plain.get("policy").is_none());
    let sensitive = raising(&Label::new().sensitive(Sensitivity::Pii));
    let redacted = found(sensitive.clone().send(&server).await.unwrap());
    assert_eq!(redacted["matches"], json!([{ "id": 1 }, { "id": 2 }]));
    assert_eq!(redacted["policy"]["policyId"], "test/titles@1");
    let both = found(sensitive.by(alice()).send(&server).await.unwrap());
    assert!(both.get("wards").is_none());
    assert_eq!(both["matches"], json!([{ "id": 1 }, { "id": 2 }]));
    assert_eq!(both["policy"]["obligations"], json!(["ask"]));
}

#[test]
fn names_of_rules_are_checked() {
    for (scope, name, revision) in [
        ("", "a", "1"),
        ("s", "a b", "1"),
        ("s", "a", "1/2"),
        ("s/t", "a", "1"),
    ] {
        assert!(
            Rules::new(scope, revision, [Rule::allow(name)]).is_err(),
            "{scope} {name} {revision}"
        );
    }
}
