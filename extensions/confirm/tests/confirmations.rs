//! Confirmation by token: methods, and tools whose client shows no forms.
#![allow(missing_docs)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Ask, GradesExtension, ID, LATER, Rig, ann, kind, text, token_of};
use futures_lite::future::{block_on, poll_once};
use mcp_ext_confirm::{Confirm, ConfirmKey, Offer, TitleAndArguments};
use mcp_ext_core::ExtensionSet;
use mcp_ext_core::block::{Before, Block, BlockCall, BlockOutcome, MustConfirm, Place};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{BoxFuture, Principal, Target};
use mcp_ext_idempotency::Idempotency;
use serde_json::{Value, json};

const TOOL: &str = "release_grades";

fn maths() -> Value {
    json!({"course": "maths", "points": 1})
}

#[test]
fn a_call_is_shown_first_and_runs_once_with_its_token() {
    block_on(async {
        let rig = Rig::new();
        let refused = rig.ask(Ask::tool(TOOL, maths())).await.unwrap();
        assert_eq!(kind(&refused), "confirmation_required");
        let error = &refused["structuredContent"]["error"];
        assert_eq!(error["extension"], ID);
        let token = token_of(&refused);
        let rendered = "Release the grades of maths to 31 pupils?\n- 31 pupils see their grades";
        assert_eq!(
            error["details"],
            json!({
                "effects": ["31 pupils see their grades"], "rendered": rendered, "expiresAt": LATER,
                "confirmationToken": token,
            })
        );
        let offer: Offer = serde_json::from_value(error["details"].clone()).unwrap();
        assert_eq!(offer.preview.rendered(), rendered);
        // Who reads only text has all of it.
        let words = text(&refused);
        for part in [
            rendered,
            &token,
            LATER,
            "nothing has been done yet",
            "identical arguments",
        ] {
            assert!(words.contains(part), "{words}");
        }
        assert_eq!((rig.entered(), rig.count("confirm_used")), (0, 0));
        // Identical means equal: order and form do not matter.
        let again: Value = serde_json::from_str(&format!(
            r#"{{"points": 1.0, "confirmationToken": "{token}", "course": "m\u0061ths"}}"#
        ))
        .unwrap();
        let done = rig.ask(Ask::tool(TOOL, again.clone())).await.unwrap();
        assert_eq!(done["structuredContent"], json!({"number": 1}));
        assert!(done["_meta"][ID].is_null());
        for _ in 0..2 {
            let used = rig.ask(Ask::tool(TOOL, again.clone())).await.unwrap();
            assert_eq!(kind(&used), "confirmation_used");
        }
        assert_eq!((rig.entered(), rig.count("releases")), (1, 1));
    });
}

#[test]
fn a_method_is_confirmed_with_the_same_error_and_token() {
    block_on(async {
        let rig = Rig::new();
        let method = Ask {
            target: Target::Method("com.example/grades/release"),
            ..Ask::tool("", maths()).form()
        };
        let refused = rig.ask(method.clone()).await.unwrap_err();
        assert_eq!(refused.code, 46001);
        let data = refused.data.unwrap();
        assert_eq!(data["extension"], ID);
        assert_eq!(data["kind"], "confirmation_required");
        let offer: Offer = serde_json::from_value(data["details"].clone()).unwrap();
        let confirmed = method.with("confirmationToken", offer.confirmation_token);
        let done = rig.ask(confirmed.clone()).await.unwrap();
        assert_eq!(done["number"], 1);
        let used = rig.ask(confirmed).await.unwrap_err();
        assert_eq!(
            (used.code, used.data.unwrap()["kind"].clone()),
            (46006, json!("confirmation_used"))
        );
        assert_eq!(rig.entered(), 1);
    });
}

#[test]
fn meta_says_how_it_was_confirmed_to_a_client_that_declares_the_extension() {
    block_on(async {
        let rig = Rig::new();
        let token = rig.token(maths()).await;
        let done = rig
            .ask(Ask {
                declares: true,
                ..Ask::tool(TOOL, maths()).with("confirmationToken", token)
            })
            .await
            .unwrap();
        assert_eq!(
            done["_meta"][ID],
            json!({"by": "token", "at": "2023-11-14T22:13:20.000Z"})
        );
    });
}

#[test]
fn what_was_read_back_is_told_to_everyone() {
    block_on(async {
        let rig = Rig::new();
        for (course, verified) in [("seen", true), ("gone", false)] {
            let token = rig.token(json!({ "course": course })).await;
            let ask = Ask::tool(TOOL, json!({ "course": course })).with("confirmationToken", token);
            let done = rig.ask(ask).await.unwrap();
            let told =
                json!({"by": "token", "at": "2023-11-14T22:13:20.000Z", "verified": verified});
            assert_eq!(done["structuredContent"]["confirmation"], told);
            assert_eq!(text(&done).contains("is NOT there"), !verified, "{done}");
            assert_eq!(text(&done).contains("the effect is there"), verified);
            assert!(done["_meta"][ID].is_null());
        }
    });
}

#[test]
fn a_token_is_refused_for_anything_but_its_call() {
    block_on(async {
        let rig = Rig::new();
        let token = rig.token(maths()).await;
        let base = Ask::tool(TOOL, maths()).with("confirmationToken", token.clone());
        let foreign = |who| Ask {
            who,
            ..base.clone()
        };
        let mut forged = token.clone().into_bytes();
        forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        let form = common::state_of(&rig.ask(Ask::tool(TOOL, maths()).form()).await.unwrap());
        let other_item =
            Ask::tool("write_report", maths()).with("confirmationToken", token.clone());
        let tool = |text: &str| Ask::tool(TOOL, maths()).with("confirmationToken", text);
        for (what, ask, expected) in [
            (
                "another principal",
                foreign(Some(Principal::new("ben").in_tenant("school"))),
                "invalid_confirmation",
            ),
            (
                "another tenant",
                foreign(Some(Principal::new("ann").in_tenant("x"))),
                "invalid_confirmation",
            ),
            (
                "no tenant",
                foreign(Some(Principal::new("ann"))),
                "invalid_confirmation",
            ),
            ("nobody", foreign(None), "invalid_confirmation"),
            ("another item", other_item, "invalid_confirmation"),
            (
                "other arguments",
                base.clone().with("course", "physics"),
                "arguments_changed",
            ),
            (
                "one argument more",
                base.clone().with("more", 1),
                "arguments_changed",
            ),
            ("forged", tool(&forged), "invalid_confirmation"),
            (
                "cut",
                tool(&token[..token.len() - 1]),
                "invalid_confirmation",
            ),
            (
                "doubled",
                tool(&format!("{token}{token}")),
                "invalid_confirmation",
            ),
            ("a form's state", tool(&form), "invalid_confirmation"),
            (
                "a URL",
                tool("https://example.org/confirm?token=1"),
                "invalid_confirmation",
            ),
            ("empty", tool(""), "invalid_confirmation"),
            (
                "a number",
                base.clone().with("confirmationToken", 7),
                "invalid_params",
            ),
            (
                "an object",
                base.clone().with("confirmationToken", json!({})),
                "invalid_params",
            ),
            (
                "null",
                base.clone().with("confirmationToken", Value::Null),
                "confirmation_required",
            ),
        ] {
            let refused = rig.ask(ask).await.unwrap();
            assert_eq!(kind(&refused), expected, "{what}: {refused}");
            assert!(
                text(&refused).contains("nothing") || expected == "invalid_params",
                "{what}"
            );
        }
        assert_eq!((rig.entered(), rig.count("confirm_used")), (0, 0));
        // None of that has used it up.
        assert_eq!(kind(&rig.ask(base).await.unwrap()), "ok");
    });
}

#[test]
fn a_token_of_another_key_is_refused() {
    block_on(async {
        let rig = Rig::new();
        let other = Confirm::new(&rig.store, ConfirmKey::from_bytes([8; 32])).unwrap();
        let other = Rig::on(rig.store.clone(), rig.clock.clone(), move |mine| {
            drop(mine);
            other
        });
        let token = other.token(maths()).await;
        let ask = Ask::tool(TOOL, maths()).with("confirmationToken", token);
        assert_eq!(kind(&rig.ask(ask).await.unwrap()), "invalid_confirmation");
        // Not even the source of the key is more than said.
        assert!(!format!("{:?}", ConfirmKey::from_bytes([8; 32])).contains('8'));
    });
}

#[test]
fn a_token_expires() {
    block_on(async {
        for (change, seconds) in [(None, 300), (Some(Duration::from_secs(10)), 10)] {
            let rig = Rig::with(|confirm| match change {
                Some(expiry) => confirm.expires_after(expiry),
                None => confirm,
            });
            let first =
                Ask::tool(TOOL, maths()).with("confirmationToken", rig.token(maths()).await);
            rig.clock.advance(seconds * 1000 - 1);
            let second =
                Ask::tool(TOOL, maths()).with("confirmationToken", rig.token(maths()).await);
            assert_eq!(kind(&rig.ask(first.clone()).await.unwrap()), "ok");
            rig.clock.advance(1);
            assert_eq!(kind(&rig.ask(first).await.unwrap()), "confirmation_expired");
            rig.clock.advance(seconds * 1000 - 1);
            let late = rig.ask(second).await.unwrap();
            assert_eq!(kind(&late), "confirmation_expired");
            assert_eq!(rig.entered(), 1);
        }
    });
}

#[test]
fn a_token_of_a_clock_that_was_ahead_is_refused() {
    block_on(async {
        let rig = Rig::new();
        let year = 365 * 24 * 60 * 60 * 1000;
        rig.clock.advance(year);
        let ask = Ask::tool(TOOL, maths()).with("confirmationToken", rig.token(maths()).await);
        // Its end is a year and five minutes away, and the clock is set right.
        rig.clock.advance(-year);
        let refused = rig.ask(ask.clone()).await.unwrap();
        assert_eq!(kind(&refused), "confirmation_from_future");
        // The clocks of two servers may differ by a minute.
        rig.clock.advance(year - 60_001);
        let refused = rig.ask(ask.clone()).await.unwrap();
        assert_eq!(kind(&refused), "confirmation_from_future");
        assert_eq!((rig.entered(), rig.count("confirm_used")), (0, 0));
        rig.clock.advance(1);
        assert_eq!(kind(&rig.ask(ask).await.unwrap()), "ok");
    });
}

#[test]
fn a_used_confirmation_is_remembered_beyond_its_end_and_then_forgotten() {
    block_on(async {
        let rig = Rig::new();
        let ask = Ask::tool(TOOL, maths()).with("confirmationToken", rig.token(maths()).await);
        assert_eq!(kind(&rig.ask(ask.clone()).await.unwrap()), "ok");
        // A clock that is set back does not make it work again.
        rig.clock.advance(-3_600_000);
        assert_eq!(kind(&rig.ask(ask).await.unwrap()), "confirmation_used");
        rig.clock.advance(2 * 24 * 3_600_000);
        let next = Ask::tool(TOOL, maths()).with("confirmationToken", rig.token(maths()).await);
        assert_eq!(kind(&rig.ask(next).await.unwrap()), "ok");
        assert_eq!(rig.count("confirm_used"), 1);
    });
}

#[test]
fn a_preview_that_has_changed_must_be_confirmed_anew() {
    block_on(async {
        let rig = Rig::new();
        let old = Ask::tool(TOOL, maths()).with("confirmationToken", rig.token(maths()).await);
        *rig.pupils.0.lock().unwrap() = 32;
        let changed = rig.ask(old.clone()).await.unwrap();
        assert_eq!(kind(&changed), "preview_changed");
        assert!(text(&changed).contains("to 32 pupils"), "{changed}");
        let new = Ask::tool(TOOL, maths()).with("confirmationToken", token_of(&changed));
        assert_eq!(
            kind(&rig.ask(old.clone()).await.unwrap()),
            "preview_changed"
        );
        assert_eq!(rig.entered(), 0);
        assert_eq!(kind(&rig.ask(new).await.unwrap()), "ok");
        *rig.pupils.0.lock().unwrap() = 31;
        // As it was shown: it was never used.
        assert_eq!(kind(&rig.ask(old).await.unwrap()), "ok");
    });
}

#[test]
fn nobody_is_asked_about_what_would_be_refused_anyway() {
    block_on(async {
        let rig = Rig::new();
        for bad in [
            json!({"course": 7}),
            json!({}),
            json!({"course": "x", "points": "many"}),
        ] {
            let refused = rig.ask(Ask::tool(TOOL, bad.clone())).await.unwrap();
            assert_eq!(kind(&refused), "invalid_params");
            let refused = rig.ask(Ask::tool(TOOL, bad).form()).await.unwrap();
            assert_eq!(kind(&refused), "invalid_params");
        }
        let refused = rig
            .ask(Ask::tool(TOOL, json!({"course": "no preview"})))
            .await
            .unwrap();
        assert_eq!(kind(&refused), "no_preview");
        assert!(text(&refused).contains("the course cannot be read now"));
    });
}

#[test]
fn a_confirmation_is_given_back_only_where_nothing_was_done_for_certain() {
    block_on(async {
        let rig = Rig::new();
        let ask = Ask::tool(TOOL, maths()).with("confirmationToken", rig.token(maths()).await);
        rig.gate.0.store(true, Ordering::SeqCst);
        assert_eq!(kind(&rig.ask(ask.clone()).await.unwrap()), "closed");
        assert_eq!(rig.count("confirm_used"), 0);
        rig.gate.0.store(false, Ordering::SeqCst);
        assert_eq!(kind(&rig.ask(ask).await.unwrap()), "ok");
        // The handler's own error, a panic and a call that was dropped may have done something.
        let mut entered = rig.entered();
        for course in ["none", "panic", "hang"] {
            let params = json!({ "course": course });
            let token = rig.token(params.clone()).await;
            let ask = Ask::tool(TOOL, params).with("confirmationToken", token);
            match course {
                "none" => assert_eq!(kind(&rig.ask(ask.clone()).await.unwrap()), "unknown_course"),
                "panic" => assert!(rig.ask(ask.clone()).await.is_err()),
                _ => {
                    let mut running = Box::pin(rig.ask(ask.clone()));
                    while rig.entered() == entered {
                        assert!(poll_once(running.as_mut()).await.is_none());
                    }
                }
            }
            entered = rig.entered();
            assert_eq!(
                kind(&rig.ask(ask).await.unwrap()),
                "confirmation_used",
                "{course}"
            );
        }
        assert_eq!(rig.entered(), entered);
    });
}

#[test]
fn with_idempotency_a_replay_does_not_ask_and_a_preview_is_no_outcome() {
    block_on(async {
        let rig = Rig::new();
        let keyed = Ask::tool(
            "erase_course",
            json!({"course": "maths", "idempotencyKey": "k"}),
        );
        // Twice: the first preview was not stored under the key.
        let first = rig.ask(keyed.clone()).await.unwrap();
        let second = rig.ask(keyed.clone()).await.unwrap();
        for refused in [&first, &second] {
            assert_eq!(kind(refused), "confirmation_required");
        }
        assert_ne!(token_of(&first), token_of(&second));
        assert_eq!(rig.count("idempotency"), 0);
        // The token is bound neither to the key nor to its absence.
        let confirmed = keyed.clone().with("confirmationToken", token_of(&first));
        let done = rig.ask(confirmed.clone()).await.unwrap();
        assert_eq!(done["structuredContent"], json!({"number": 1}));
        for again in [
            confirmed.clone(),
            keyed.clone(),
            keyed.clone().form(),
            keyed.clone().with("confirmationToken", token_of(&second)),
            keyed.clone().with("confirmationToken", "anything"),
        ] {
            let again = rig.ask(again).await.unwrap();
            assert_eq!(again["structuredContent"]["number"], 1, "{again}");
            assert_eq!(again["structuredContent"]["idempotency"]["replayed"], true);
        }
        assert_eq!((rig.entered(), rig.count("releases")), (1, 1));
        // With another key the used token does not work, and the key is given back.
        let other = confirmed.with("idempotencyKey", "other");
        assert_eq!(kind(&rig.ask(other).await.unwrap()), "confirmation_used");
        assert_eq!(rig.count("idempotency"), 1);
    });
}

#[test]
fn legacy_clients_get_a_token_whatever_they_declare() {
    block_on(async {
        let rig = Rig::new();
        let legacy = Ask {
            era: Era::Legacy,
            ..Ask::tool(TOOL, maths()).form()
        };
        let refused = rig.ask(legacy.clone()).await.unwrap();
        assert_eq!(kind(&refused), "confirmation_required");
        let confirmed = legacy.with("confirmationToken", token_of(&refused));
        assert_eq!(kind(&rig.ask(confirmed).await.unwrap()), "ok");
    });
}

#[test]
fn what_is_not_named_is_confirmed_where_the_server_says_so() {
    block_on(async {
        let read = || Ask::tool("read_grades", maths());
        let rig = Rig::new();
        assert_eq!(kind(&rig.ask(read()).await.unwrap()), "ok");
        let rig = Rig::with(|confirm| {
            confirm
                .around(|contract, _| contract.id.as_str() == "com.example/grades")
                .when(|call| call.params["course"] != "free")
        });
        assert_eq!(
            kind(&rig.ask(read()).await.unwrap()),
            "confirmation_required"
        );
        let free = read().with("course", "free");
        assert_eq!(kind(&rig.ask(free).await.unwrap()), "ok");
    });
}

/// A block further out that wants every call confirmed.
struct Strict;

impl Block for Strict {
    fn name(&self) -> &'static str {
        "com.example/strict"
    }
    fn place(&self) -> Place {
        Place::POLICY
    }
    fn covers(&self, contract: &Contract, _: &Item) -> bool {
        contract.id.as_str() == "com.example/grades"
    }
    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        call.cx.facts().put(MustConfirm);
        Box::pin(async { Before::Proceed })
    }
    fn after<'a>(&'a self, _: &'a BlockCall<'a>, _: &'a mut BlockOutcome) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

#[test]
fn a_call_that_must_be_confirmed_does_not_pass_unasked() {
    block_on(async {
        let mut rig = Rig::with(|confirm| confirm.when(|_| false));
        let ask = || Ask::tool(TOOL, maths());
        assert_eq!(kind(&rig.ask(ask()).await.unwrap()), "ok");
        let confirm = Confirm::new(&rig.store, common::key()).unwrap();
        rig.set = ExtensionSet::builder()
            .enable(GradesExtension::provide(rig.school.clone()))
            .enable(confirm.when(|_| false).enable())
            .enable(Idempotency::new(&rig.store).unwrap().enable())
            .block(Strict)
            .build()
            .unwrap();
        let confirmed = ask().with("confirmationToken", rig.token(maths()).await);
        assert_eq!(rig.entered(), 1);
        assert_eq!(kind(&rig.ask(confirmed).await.unwrap()), "ok");
        assert_eq!(rig.entered(), 2);
    });
}

#[test]
fn where_only_forms_will_do_there_are_no_tokens() {
    block_on(async {
        let rig = Rig::with(|confirm| confirm.forms_only());
        let refused = rig.ask(Ask::tool(TOOL, maths())).await.unwrap();
        assert_eq!(kind(&refused), "cannot_ask");
        let method = Ask {
            target: Target::Method("com.example/grades/release"),
            ..Ask::tool("", maths()).form()
        };
        assert_eq!(rig.ask(method).await.unwrap_err().code, 46011);
        let asked = rig.ask(Ask::tool(TOOL, maths()).form()).await.unwrap();
        assert_eq!(kind(&asked), "asked");
    });
}

#[test]
fn title_and_arguments_are_shown_where_nothing_else_is_said_and_secrets_are_not() {
    block_on(async {
        let rig = Rig::with(|confirm| confirm.previews(TitleAndArguments));
        let params = json!({"course": "maths\n\u{202e}", "points": 1});
        let refused = rig.ask(Ask::tool(TOOL, params)).await.unwrap();
        let details = &refused["structuredContent"]["error"]["details"];
        assert_eq!(
            details["effects"],
            json!(["course: \"maths\\n\\u{202e}\"", "points: 1"])
        );
        let rendered = "Release the grades, with these arguments?\n- course: \"maths\\n\\u{202e}\"\n- points: 1";
        assert_eq!(details["rendered"], rendered);
        assert!(text(&refused).contains(rendered), "{refused}");
        // However long it is, the token is not cut off.
        let long = json!({"course": "\u{202e}".repeat(10_000)});
        let refused = rig.ask(Ask::tool(TOOL, long.clone())).await.unwrap();
        let token = token_of(&refused);
        assert!(text(&refused).contains(&token) && text(&refused).contains("are not shown"));
        let confirmed = Ask::tool(TOOL, long).with("confirmationToken", token);
        assert_eq!(kind(&rig.ask(confirmed).await.unwrap()), "ok");
        let refused = rig.ask(Ask::tool("write_report", maths())).await.unwrap();
        assert!(!refused.to_string().contains("maths"), "{refused}");
    });
}

#[test]
fn the_argument_stands_in_the_schema_of_the_tool_and_is_not_required() {
    let rig = Rig::new();
    let mut list = json!({"tools": []}).as_object().unwrap().clone();
    let cx = mcp_ext_core::AmendCx {
        era: Era::Modern,
        version: None,
        declared: mcp_ext_core::request::Declared::Known(None),
        first_page: true,
    };
    rig.set.amend("tools/list", &mut list, &cx);
    let tools = list["tools"].as_array().unwrap();
    let schema = |name: &str| {
        let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
        tool["inputSchema"].clone()
    };
    let release = schema(TOOL);
    assert_eq!(release["properties"]["confirmationToken"]["type"], "string");
    assert_eq!(release["required"], json!(["course"]));
    assert!(schema("read_grades")["properties"]["confirmationToken"].is_null());
    let _ = ann();
}
