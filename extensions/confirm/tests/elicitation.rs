//! Confirmation by a form: the numbered checks on MRTR and elicitation.
#![allow(missing_docs)]

mod common;

use common::{Ask, ID, Rig, accept, kind, state_of, text};
use futures_lite::future::block_on;
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{Principal, Target};
use serde_json::{Value, json};

const TOOL: &str = "release_grades";

fn maths() -> Value {
    json!({"course": "maths", "points": 1})
}

fn form() -> Ask<'static> {
    Ask::tool(TOOL, maths()).form()
}

#[test]
fn the_user_is_asked_and_the_call_runs_once() {
    block_on(async {
        let rig = Rig::new();
        let asked = rig.ask(form()).await.unwrap();
        let state = state_of(&asked);
        let request = &asked["inputRequests"]["confirm"];
        assert_eq!(request["method"], "elicitation/create");
        assert_eq!(request["params"]["mode"], "form");
        assert_eq!(
            request["params"]["message"],
            "Release the grades of maths to 31 pupils?\n- 31 pupils see their grades"
        );
        assert_eq!(rig.entered(), 0);
        let back = form().back(&state, accept());
        let done = rig
            .ask(Ask {
                declares: true,
                ..back.clone()
            })
            .await
            .unwrap();
        assert_eq!(done["structuredContent"], json!({"number": 1}));
        assert_eq!(done["_meta"][ID]["by"], "elicitation");
        let used = rig.ask(back).await.unwrap();
        assert_eq!(kind(&used), "confirmation_used");
        assert_eq!((rig.entered(), rig.count("releases")), (1, 1));
    });
}

#[test]
fn mr_01_only_a_tool_call_is_answered_with_input_required() {
    block_on(async {
        let rig = Rig::new();
        let method = Ask {
            target: Target::Method("com.example/grades/release"),
            ..form()
        };
        assert_eq!(rig.ask(method).await.unwrap_err().code, 46001);
        let legacy = Ask {
            era: Era::Legacy,
            ..form()
        };
        assert_eq!(
            kind(&rig.ask(legacy).await.unwrap()),
            "confirmation_required"
        );
        assert_eq!(kind(&rig.ask(form()).await.unwrap()), "asked");
    });
}

#[test]
fn mr_02_mr_03_there_is_a_state_and_one_elicitation() {
    block_on(async {
        let rig = Rig::new();
        let asked = rig.ask(form()).await.unwrap();
        assert!(!asked["requestState"].as_str().unwrap().is_empty());
        let requests = asked["inputRequests"].as_object().unwrap();
        assert_eq!(requests.len(), 1);
        assert!(
            requests
                .values()
                .all(|r| r["method"] == "elicitation/create")
        );
    });
}

#[test]
fn mr_04_only_a_client_that_declares_forms_on_this_request_is_asked() {
    block_on(async {
        let rig = Rig::new();
        for (elicitation, expected) in [
            (None, "confirmation_required"),
            (Some(json!({})), "asked"),
            (Some(json!({"form": {}})), "asked"),
            (Some(json!({"form": {}, "url": {}})), "asked"),
            (Some(json!({"url": {}})), "confirmation_required"),
            (Some(json!(null)), "confirmation_required"),
            (Some(json!(true)), "confirmation_required"),
        ] {
            let ask = Ask {
                elicitation: elicitation.clone(),
                ..Ask::tool(TOOL, maths())
            };
            assert_eq!(
                kind(&rig.ask(ask).await.unwrap()),
                expected,
                "{elicitation:?}"
            );
        }
    });
}

#[test]
fn mr_05_mr_06_a_state_that_was_changed_or_is_of_another_call_is_rejected() {
    block_on(async {
        let rig = Rig::new();
        let state = state_of(&rig.ask(form()).await.unwrap());
        let token = rig.token(maths()).await;
        let mut forged = state.clone().into_bytes();
        forged[30] ^= 1;
        let forged = String::from_utf8(forged).unwrap();
        let who = |who| Ask {
            who,
            ..form().back(&state, accept())
        };
        for (what, ask) in [
            ("tampered", form().back(&forged, accept())),
            ("cut", form().back(&state[..100], accept())),
            ("longer", form().back(&format!("{state}A"), accept())),
            ("empty", form().back("", accept())),
            ("a URL", form().back("https://example.org/state", accept())),
            ("a token", form().back(&token, accept())),
            (
                "another principal",
                who(Some(Principal::new("ben").in_tenant("school"))),
            ),
            (
                "another tenant",
                who(Some(Principal::new("ann").in_tenant("x"))),
            ),
            ("nobody", who(None)),
            (
                "other arguments",
                form().back(&state, accept()).with("course", "physics"),
            ),
            (
                "another tool",
                Ask::tool("write_report", maths())
                    .form()
                    .back(&state, accept()),
            ),
        ] {
            let error = rig.ask(ask).await.expect_err(what);
            assert_eq!(error.code, -32602, "{what}");
            assert_eq!(
                error.data.unwrap()["kind"],
                "confirmation_invalid",
                "{what}"
            );
        }
        assert_eq!((rig.entered(), rig.count("confirm_used")), (0, 0));
        // An answer with no state at all is of no question: the user is asked.
        let stateless = Ask {
            state: None,
            ..form().back(&state, accept())
        };
        assert_eq!(kind(&rig.ask(stateless).await.unwrap()), "asked");
        rig.clock.advance(299_999);
        assert_eq!(
            kind(&rig.ask(form().back(&state, accept())).await.unwrap()),
            "ok"
        );
        let late = state_of(&rig.ask(form()).await.unwrap());
        rig.clock.advance(300_000);
        let late = rig.ask(form().back(&late, accept())).await.unwrap();
        assert_eq!(kind(&late), "confirmation_expired");
        // Nor does the form of a clock that was ahead.
        let early = state_of(&rig.ask(form()).await.unwrap());
        rig.clock.advance(-60_001);
        let early = rig.ask(form().back(&early, accept())).await.unwrap();
        assert_eq!(kind(&early), "confirmation_from_future");
        assert_eq!(rig.entered(), 1);
    });
}

#[test]
fn mr_07_the_state_counts_only_as_it_was_given() {
    block_on(async {
        let rig = Rig::new();
        let state = state_of(&rig.ask(form()).await.unwrap());
        for at in 0..state.len() {
            let mut bytes = state.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(
                rig.ask(form().back(&changed, accept())).await.is_err(),
                "at {at}"
            );
        }
        for changed in [
            format!(" {state}"),
            format!("{state}\n"),
            state.to_uppercase(),
        ] {
            assert!(rig.ask(form().back(&changed, accept())).await.is_err());
        }
        assert_eq!(rig.entered(), 0);
        assert_eq!(
            kind(&rig.ask(form().back(&state, accept())).await.unwrap()),
            "ok"
        );
    });
}

#[test]
fn mr_08_missing_answers_are_asked_for_again_superfluous_ones_ignored_malformed_ones_refused() {
    block_on(async {
        let rig = Rig::new();
        let state = state_of(&rig.ask(form()).await.unwrap());
        for responses in [None, Some(json!({})), Some(json!({"other": accept()}))] {
            let ask = Ask {
                responses,
                state: Some(state.clone()),
                ..form()
            };
            let again = rig.ask(ask).await.unwrap();
            assert_ne!(state_of(&again), state);
        }
        for malformed in [
            json!({}),
            json!({"action": "yes"}),
            json!({"action": true}),
            json!({"action": "accept"}),
            json!({"action": "accept", "content": null}),
            json!({"action": "accept", "content": {}}),
            json!({"action": "accept", "content": {"confirm": "true"}}),
            json!({"action": "accept", "content": {"confirm": 1}}),
            json!({"action": "accept", "content": {"confirm": null}}),
            json!({"action": "accept", "content": {"confirm": [true]}}),
            json!({"action": "accept", "content": [true]}),
        ] {
            let error = rig
                .ask(form().back(&state, malformed.clone()))
                .await
                .unwrap_err();
            assert_eq!(error.code, -32602, "{malformed}");
            assert_eq!(
                error.data.unwrap()["kind"],
                "malformed_answer",
                "{malformed}"
            );
        }
        for malformed in [
            json!([]),
            json!("accept"),
            json!({"confirm": true}),
            json!({"confirm": []}),
        ] {
            let ask = Ask {
                responses: Some(malformed),
                state: Some(state.clone()),
                ..form()
            };
            assert_eq!(rig.ask(ask).await.unwrap_err().code, -32602);
        }
        assert_eq!(rig.entered(), 0);
        let superfluous = json!({"confirm": accept(), "other": {"action": "accept"}, "third": {}});
        let ask = Ask {
            responses: Some(superfluous),
            state: Some(state),
            ..form()
        };
        assert_eq!(kind(&rig.ask(ask).await.unwrap()), "ok");
        let extra = state_of(&rig.ask(form()).await.unwrap());
        let extra = form().back(
            &extra,
            json!({"action": "accept", "content": {"confirm": true, "more": 1}}),
        );
        assert_eq!(kind(&rig.ask(extra).await.unwrap()), "ok");
    });
}

#[test]
fn mr_09_mr_10_the_form_is_flat_primitive_and_asks_for_no_secret() {
    block_on(async {
        let rig = Rig::new();
        let asked = rig.ask(form()).await.unwrap();
        let schema = &asked["inputRequests"]["confirm"]["params"]["requestedSchema"];
        assert_eq!(schema["type"], "object");
        let properties = schema["properties"].as_object().unwrap();
        for (name, property) in properties {
            assert!(
                ["string", "number", "integer", "boolean"]
                    .contains(&property["type"].as_str().unwrap())
            );
            assert!(property.get("properties").is_none() && property.get("format").is_none());
            for secret in [
                "password", "secret", "token", "key", "card", "cvv", "pin", "iban",
            ] {
                assert!(!name.to_lowercase().contains(secret), "{name}");
            }
        }
        assert_eq!(schema["required"], json!(["confirm"]));
        assert!(
            properties["confirm"].get("default").is_none(),
            "nothing is agreed to by default"
        );
        // What must not be recorded is not shown either, unless the server's own previews show it.
        let rig = Rig::with(|confirm| confirm.previews(mcp_ext_confirm::TitleAndArguments));
        let asked = rig
            .ask(Ask::tool("write_report", maths()).form())
            .await
            .unwrap();
        assert!(!asked.to_string().contains("maths"), "{asked}");
    });
}

#[test]
fn mr_12_decline_and_cancel_are_handled_and_final() {
    block_on(async {
        let rig = Rig::new();
        for (answer, expected) in [
            (json!({"action": "decline"}), "declined"),
            (json!({"action": "cancel"}), "cancelled"),
            (
                json!({"action": "accept", "content": {"confirm": false}}),
                "declined",
            ),
        ] {
            let state = state_of(&rig.ask(form()).await.unwrap());
            let refused = rig.ask(form().back(&state, answer)).await.unwrap();
            assert_eq!(kind(&refused), expected);
            assert!(text(&refused).contains("nothing was done"));
            // The same form cannot be accepted afterwards.
            let later = rig.ask(form().back(&state, accept())).await.unwrap();
            assert_eq!(kind(&later), "confirmation_used");
        }
        assert_eq!(rig.entered(), 0);
    });
}

#[test]
fn mr_15_nothing_waits_for_the_client_to_come_back() {
    block_on(async {
        let rig = Rig::new();
        let keyed = Ask::tool(
            "erase_course",
            json!({"course": "maths", "idempotencyKey": "k"}),
        )
        .form();
        for _ in 0..20 {
            assert_eq!(kind(&rig.ask(keyed.clone()).await.unwrap()), "asked");
            assert_eq!(kind(&rig.ask(form()).await.unwrap()), "asked");
        }
        // Nothing is kept of a question, and the key is free.
        assert_eq!(
            (rig.count("confirm_used"), rig.count("idempotency")),
            (0, 0)
        );
        let state = state_of(&rig.ask(keyed.clone()).await.unwrap());
        let done = rig.ask(keyed.clone().back(&state, accept())).await.unwrap();
        assert_eq!(kind(&done), "ok");
        // A replay asks nobody, whatever the client sends with it.
        for again in [
            keyed.clone(),
            keyed.back(&state, json!({"action": "decline"})),
        ] {
            let again = rig.ask(again).await.unwrap();
            assert_eq!(again["structuredContent"]["idempotency"]["replayed"], true);
        }
        assert_eq!(rig.entered(), 1);
    });
}

#[test]
fn malformed_and_rejected_answers_give_an_idempotency_key_back() {
    block_on(async {
        let rig = Rig::new();
        let keyed = Ask::tool(
            "erase_course",
            json!({"course": "maths", "idempotencyKey": "k"}),
        )
        .form();
        let state = state_of(&rig.ask(keyed.clone()).await.unwrap());
        for answer in [
            json!({"action": "maybe"}),
            json!({"action": "accept", "content": {}}),
        ] {
            assert!(rig.ask(keyed.clone().back(&state, answer)).await.is_err());
        }
        assert!(
            rig.ask(keyed.clone().back("forged", accept()))
                .await
                .is_err()
        );
        let declined = keyed.clone().back(&state, json!({"action": "decline"}));
        assert_eq!(kind(&rig.ask(declined).await.unwrap()), "declined");
        assert_eq!(rig.count("idempotency"), 0);
        let state = state_of(&rig.ask(keyed.clone()).await.unwrap());
        assert_eq!(
            kind(&rig.ask(keyed.back(&state, accept())).await.unwrap()),
            "ok"
        );
    });
}

#[test]
fn what_has_changed_meanwhile_is_asked_anew() {
    block_on(async {
        let rig = Rig::new();
        let state = state_of(&rig.ask(form()).await.unwrap());
        *rig.pupils.0.lock().unwrap() = 32;
        let again = rig.ask(form().back(&state, accept())).await.unwrap();
        let message = again["inputRequests"]["confirm"]["params"]["message"]
            .as_str()
            .unwrap();
        assert!(
            message.contains("has changed") && message.contains("32 pupils"),
            "{message}"
        );
        assert_eq!(rig.entered(), 0);
        let back = form().back(&state_of(&again), accept());
        assert_eq!(kind(&rig.ask(back).await.unwrap()), "ok");
    });
}

#[test]
fn a_state_of_somebody_elses_question_is_left_alone() {
    block_on(async {
        let rig = Rig::new();
        let ask = Ask {
            responses: Some(json!({"consent": {"action": "accept"}})),
            state: Some("another block's".to_owned()),
            ..form()
        };
        assert_eq!(kind(&rig.ask(ask).await.unwrap()), "asked");
    });
}
