//! What a call with a key is answered: the known answers, and every state.
#![allow(missing_docs)]

mod common;

use std::sync::{Arc, Mutex};

use common::{ID, OrdersExtension, Rig, START, START_TEXT, ann, call, kind, text};
use futures_lite::future::{block_on, poll_once};
use mcp_ext_core::block::{Before, Block, BlockCall, BlockOutcome, Grounds, Place};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::request::{BoxFuture, Principal, Target};
use mcp_ext_store::{ManualClock, Store};
use serde_json::{Value, json};

#[test]
fn the_same_arguments_are_replayed_whatever_their_order_and_the_form_of_numbers() {
    block_on(async {
        let rig = Rig::new();
        let a: Value = serde_json::from_str(
            r#"{"idempotencyKey":"k","what":"tea","amount":1,"note":{"a":1,"b":2}}"#,
        )
        .unwrap();
        let b: Value = serde_json::from_str(
            r#"{"note":{"b":2.0,"a":1e0},"amount":1.0,"what":"\u0074ea","idempotencyKey":"k"}"#,
        )
        .unwrap();
        let first = rig.tool("place_order", a).await;
        assert_eq!(
            first["structuredContent"],
            json!({"number": 1, "text": "tea"})
        );
        rig.clock.advance(1000);
        let again = rig.tool("place_order", b).await;
        assert_eq!(
            again["structuredContent"],
            json!({"number": 1, "text": "tea", "idempotency": {"replayed": true, "firstAt": START_TEXT}})
        );
        assert!(text(&again).contains("nothing was done again"), "{again}");
        assert!(!text(&first).contains("Replayed"));
        assert_eq!((rig.orders(), rig.entered()), (1, 1));
    });
}

#[test]
fn other_arguments_conflict() {
    block_on(async {
        let rig = Rig::new();
        rig.tool(
            "place_order",
            json!({"idempotencyKey": "k", "what": "tea", "note": "é"}),
        )
        .await;
        for (what, note) in [
            ("milk", json!("é")),
            ("tea", json!("e\u{301}")),
            ("tea", json!(null)),
            ("tea ", json!("é")),
        ] {
            let other = json!({"idempotencyKey": "k", "what": what, "note": note});
            let other = rig.tool("place_order", other).await;
            assert_eq!(kind(&other), "conflict");
            assert!(text(&other).contains("with other arguments"));
            assert_eq!(
                other["structuredContent"]["error"]["details"],
                json!({"firstAt": START_TEXT})
            );
        }
        assert_eq!((rig.orders(), rig.entered()), (1, 1));
    });
}

#[test]
fn big_integers_are_compared_exactly() {
    block_on(async {
        let rig = Rig::new();
        let order = |n: u64| json!({"idempotencyKey": "k", "what": "tea", "note": n});
        rig.tool("place_order", order(9_007_199_254_740_992)).await;
        let other = rig.tool("place_order", order(9_007_199_254_740_993)).await;
        assert_eq!(kind(&other), "conflict");
        let same = rig.tool("place_order", order(9_007_199_254_740_992)).await;
        assert_eq!(kind(&same), "ok");
    });
}

#[test]
fn a_second_call_at_the_same_time_is_refused_and_later_replayed() {
    let rig = Rig::new();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| block_on(rig.letter("k", "slow tea")));
        while rig.entered() == 0 {
            std::thread::yield_now();
        }
        let second = block_on(rig.letter("k", "slow tea"));
        assert_eq!(kind(&second), "in_progress");
        let error = &second["structuredContent"]["error"];
        assert_eq!(error["retryable"], true);
        assert_eq!(
            error["details"],
            json!({"firstAt": START_TEXT, "retryAfterMs": 75_000})
        );
        let other = block_on(rig.letter("k", "slow milk"));
        assert_eq!(kind(&other), "conflict");
        let state = block_on(rig.reconcile(ann(), "k"));
        assert_eq!(
            state,
            json!([{"operations": ["send_letter"], "state": "inProgress", "firstAt": START_TEXT}])
        );
        rig.shop.pause.open();
        assert_eq!(kind(&first.join().unwrap()), "ok");
    });
    let third = block_on(rig.letter("k", "slow tea"));
    assert_eq!(third["structuredContent"]["idempotency"]["replayed"], true);
    assert_eq!((rig.orders(), rig.entered()), (1, 1));
}

#[test]
fn an_error_of_the_handler_is_replayed_and_its_effect_is_rolled_back() {
    block_on(async {
        for (what, expected, retryable) in [
            ("sold out", "sold_out", false),
            ("no answer", "no_answer", true),
        ] {
            for tool in ["place_order", "send_letter"] {
                let rig = Rig::new();
                let order = json!({"idempotencyKey": "k", "what": what});
                let first = rig.tool(tool, order.clone()).await;
                let again = rig.tool(tool, order).await;
                // The same key only brings the answer again, so the replay does not ask for a retry.
                for (answer, retryable) in [(&first, retryable), (&again, false)] {
                    assert_eq!(kind(answer), expected);
                    assert_eq!(answer["structuredContent"]["error"]["retryable"], retryable);
                }
                assert_eq!(
                    text(&again).contains("send a new idempotencyKey"),
                    retryable
                );
                assert_eq!(first["content"][0], again["content"][0]);
                let details = &again["structuredContent"]["error"]["details"];
                assert_eq!(details["idempotency"]["replayed"], true);
                assert!(text(&again).contains("nothing was done again"), "{again}");
                assert_eq!((rig.orders(), rig.entered()), (0, 1));
            }
        }
    });
}

#[test]
fn a_replayed_error_is_the_same_json_rpc_error_on_a_method() {
    block_on(async {
        let rig = Rig::new();
        let method = Target::Method("com.example/orders/place");
        let params = json!({"idempotencyKey": "k", "what": "sold out"});
        let first = call(&rig.set, method, params.clone(), ann(), false)
            .await
            .unwrap_err();
        let again = call(&rig.set, method, params.clone(), ann(), false)
            .await
            .unwrap_err();
        assert_eq!((first.code, &first.message), (again.code, &again.message));
        let data = again.data.unwrap();
        assert_eq!(data["extension"], "com.example/orders");
        assert_eq!(data["details"]["what"], "sold out");
        assert_eq!(data["details"]["idempotency"]["replayed"], true);
        // The item is one, whether it is called as a method or as a tool.
        let as_tool = rig.tool("place_order", params).await;
        assert_eq!(kind(&as_tool), "sold_out");
        assert_eq!(rig.entered(), 1);
        let refused = json!({"idempotencyKey": "k", "what": "tea"});
        let refused = call(&rig.set, method, refused, ann(), false)
            .await
            .unwrap_err();
        assert_eq!(refused.code, 47002);
        assert_eq!(
            refused.data.unwrap(),
            json!({"extension": ID, "kind": "conflict", "details": {"firstAt": START_TEXT}})
        );
    });
}

#[test]
fn the_key_of_another_principal_tenant_or_item_is_not_visible() {
    block_on(async {
        let rig = Rig::new();
        let order = json!({"idempotencyKey": "k", "what": "tea"});
        let tool = Target::Tool("place_order");
        let mut number = 0;
        for who in [
            ann(),
            Some(Principal::new("ben").in_tenant("acme")),
            Some(Principal::new("ann").in_tenant("other")),
            Some(Principal::new("ann")),
            Some(Principal::new("acme\",\"ann")),
            Some(Principal::new("")),
            Some(Principal::new("").in_tenant("")),
            Some(Principal::new("anonymous")),
            None,
        ] {
            number += 1;
            assert_eq!(rig.reconcile(who.clone(), "k").await, json!([]));
            let placed = call(&rig.set, tool, order.clone(), who.clone(), false)
                .await
                .unwrap();
            assert_eq!(placed["structuredContent"]["number"], number, "{who:?}");
            let again = call(&rig.set, tool, order.clone(), who.clone(), false)
                .await
                .unwrap();
            assert_eq!(again["structuredContent"]["number"], number, "{who:?}");
            assert_eq!(rig.reconcile(who, "k").await[0]["state"], "completed");
        }
        let letter = rig.letter("k", "tea").await;
        assert_eq!(letter["structuredContent"]["number"], number + 1);
        let calls = rig.reconcile(ann(), "k").await;
        assert_eq!(calls.as_array().unwrap().len(), 2);
    });
}

#[test]
fn meta_says_replayed_to_a_client_that_declares_the_extension() {
    block_on(async {
        let rig = Rig::new();
        let order = json!({"idempotencyKey": "k", "what": "tea"});
        let tool = Target::Tool("place_order");
        let first = call(&rig.set, tool, order.clone(), ann(), true)
            .await
            .unwrap();
        assert!(first["_meta"][ID].is_null(), "{first}");
        let declared = call(&rig.set, tool, order.clone(), ann(), true)
            .await
            .unwrap();
        assert_eq!(
            declared["_meta"][ID],
            json!({"replayed": true, "firstAt": START_TEXT})
        );
        let undeclared = call(&rig.set, tool, order, ann(), false).await.unwrap();
        assert!(undeclared["_meta"][ID].is_null());
        assert_eq!(
            undeclared["structuredContent"],
            declared["structuredContent"]
        );
    });
}

#[test]
fn a_key_is_demanded_and_its_form_is_checked() {
    block_on(async {
        let rig = Rig::new();
        let long = "k".repeat(129);
        for key in [
            json!(null),
            json!(""),
            json!("two words"),
            json!("é"),
            json!("a/b"),
            json!("a\n"),
            json!(long),
            json!(7),
            json!(true),
            json!(["k"]),
            json!({"k": 1}),
        ] {
            let order = json!({"idempotencyKey": key, "what": "tea"});
            let refused = rig.tool("place_order", order.clone()).await;
            assert_eq!(kind(&refused), "invalid_params", "{key}");
            let fault = &refused["structuredContent"]["error"]["faults"][0];
            assert_eq!(fault["pointer"], "/idempotencyKey");
            let method = Target::Method("com.example/orders/place");
            let error = call(&rig.set, method, order, ann(), false)
                .await
                .unwrap_err();
            assert_eq!(error.code, -32602);
        }
        let absent = rig.tool("place_order", json!({"what": "tea"})).await;
        assert!(text(&absent).contains("idempotencyKey is missing"));
        assert_eq!((rig.orders(), rig.entered()), (0, 0));
        for key in ["k", "k._~:-9", &"k".repeat(128)] {
            assert_eq!(kind(&rig.place(key, "tea").await), "ok");
        }
        // Around this one there is no block.
        assert_eq!(kind(&rig.tool("look", json!({"what": "tea"})).await), "ok");
    });
}

#[test]
fn where_keys_are_optional_a_call_without_one_runs_each_time() {
    block_on(async {
        let rig = Rig::with(|block| block.optional());
        for order in [
            json!({"what": "tea"}),
            json!({"what": "tea", "idempotencyKey": null}),
        ] {
            let before = rig.orders();
            assert_eq!(kind(&rig.tool("place_order", order).await), "ok");
            assert_eq!(rig.orders(), before + 1);
        }
        let bad = json!({"what": "tea", "idempotencyKey": ""});
        assert_eq!(kind(&rig.tool("place_order", bad).await), "invalid_params");
        rig.place("k", "tea").await;
        rig.place("k", "tea").await;
        assert_eq!(rig.orders(), 3);
    });
}

#[test]
fn a_call_that_certainly_did_not_act_gives_its_key_back() {
    block_on(async {
        let rig = Rig::new();
        let bad = json!({"idempotencyKey": "k", "what": 7});
        assert_eq!(kind(&rig.tool("place_order", bad).await), "invalid_params");
        assert_eq!(rig.reconcile(ann(), "k").await, json!([]));
        let placed = rig.place("k", "tea").await;
        assert_eq!(
            placed["structuredContent"],
            json!({"number": 1, "text": "tea"})
        );
    });
}

#[test]
fn a_panic_leaves_the_outcome_unknown_and_runs_again_only_where_all_is_in_the_store() {
    block_on(async {
        let rig = Rig::new();
        let order = json!({"idempotencyKey": "k", "what": "panic"});
        let letter = || {
            call(
                &rig.set,
                Target::Tool("send_letter"),
                order.clone(),
                ann(),
                false,
            )
        };
        let first = letter().await.unwrap_err();
        assert_eq!(first.data.unwrap()["kind"], "handler_panicked");
        for _ in 0..2 {
            let again = letter().await.unwrap();
            assert_eq!(kind(&again), "unknown_outcome");
            assert!(text(&again).contains("only if it is not"), "{again}");
        }
        assert_eq!(rig.reconcile(ann(), "k").await[0]["state"], "unknown");
        assert_eq!(rig.entered(), 1);
        // What this one writes is in the store and rolled back: the second call is the first of its key.
        let place = || {
            call(
                &rig.set,
                Target::Tool("place_order"),
                order.clone(),
                ann(),
                false,
            )
        };
        for entered in [2, 3] {
            assert!(place().await.is_err());
            assert_eq!((rig.orders(), rig.entered()), (0, entered));
        }
    });
}

#[test]
fn a_handler_that_does_not_know_says_so() {
    block_on(async {
        let rig = Rig::new();
        let first = rig.letter("k", "unknown").await;
        assert_eq!(kind(&first), "no_answer");
        let again = rig.letter("k", "unknown").await;
        assert_eq!(kind(&again), "unknown_outcome");
        assert_eq!(rig.entered(), 1);
    });
}

#[test]
fn a_call_that_is_dropped_leaves_the_outcome_unknown_or_its_key_free() {
    block_on(async {
        let rig = Rig::new();
        let hang = json!({"idempotencyKey": "k", "what": "hang"});
        for (tool, expected) in [("send_letter", "unknown_outcome"), ("place_order", "ok")] {
            let tool = Target::Tool(tool);
            {
                let mut running = Box::pin(call(&rig.set, tool, hang.clone(), ann(), false));
                let entered = rig.entered();
                while rig.entered() == entered {
                    assert!(poll_once(running.as_mut()).await.is_none());
                }
                // Until what it writes is written.
                for _ in 0..200 {
                    assert!(poll_once(running.as_mut()).await.is_none());
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
            // It is written down behind the back of the caller who left.
            std::thread::sleep(std::time::Duration::from_millis(200));
            let calls = rig.reconcile(ann(), "k").await;
            assert_eq!(rig.orders(), 0);
            if expected == "ok" {
                assert_eq!(
                    calls.as_array().unwrap().len(),
                    1,
                    "the letter alone: {calls}"
                );
                let other = rig.place("k", "tea").await;
                assert_eq!(kind(&other), "ok");
            } else {
                assert_eq!(calls[0]["state"], "unknown");
                let again = call(&rig.set, tool, hang.clone(), ann(), false)
                    .await
                    .unwrap();
                assert_eq!(kind(&again), expected);
            }
        }
    });
}

#[test]
fn a_lost_call_is_unknown_when_its_lease_is_over_and_run_again_only_where_all_is_in_the_store() {
    block_on(async {
        let rig = Rig::new();
        for tool in ["send_letter", "place_order"] {
            // As a process leaves it that dies in the handler.
            let order = json!({"idempotencyKey": "k", "what": "tea"});
            assert_eq!(kind(&rig.tool(tool, order.clone()).await), "ok");
            let now = rig.clock_now();
            rig.store
                .write(move |db| {
                    db.execute("DELETE FROM orders", [])?;
                    db.execute(
                        "UPDATE idempotency SET state = 0, lease_until = ?1, outcome = NULL, ended_at = NULL, expires_at = NULL",
                        [now + 75_000],
                    )
                })
                .await
                .unwrap();
            assert_eq!(kind(&rig.tool(tool, order.clone()).await), "in_progress");
            rig.clock.advance(74_999);
            assert_eq!(kind(&rig.tool(tool, order.clone()).await), "in_progress");
            rig.clock.advance(1);
            let (expected, orders) = match tool {
                "send_letter" => ("unknown_outcome", 0),
                _ => ("ok", 1),
            };
            assert_eq!(kind(&rig.tool(tool, order.clone()).await), expected);
            assert_eq!(kind(&rig.tool(tool, order).await), expected);
            assert_eq!(rig.orders(), orders);
        }
    });
}

#[test]
fn a_call_that_outlived_its_lease_is_fenced_off() {
    let rig = Rig::new();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| block_on(rig.place("k", "slow tea")));
        while rig.entered() == 0 {
            std::thread::yield_now();
        }
        rig.clock.advance(75_000);
        // The second call finds the lease over and takes the key.
        let second = scope.spawn(|| block_on(rig.place("k", "slow tea")));
        while rig.entered() == 1 {
            std::thread::yield_now();
        }
        rig.shop.pause.open();
        let answers = [slow.join().unwrap(), second.join().unwrap()];
        assert_eq!(kind(&answers[1]), "ok");
        assert_eq!(kind(&answers[0]), "superseded");
        assert!(text(&answers[0]).contains("was undone"));
        let first = &answers[1]["structuredContent"]["number"];
        let third = block_on(rig.place("k", "slow tea"));
        assert_eq!(&third["structuredContent"]["number"], first);
    });
    assert_eq!((rig.orders(), rig.entered()), (1, 2));
}

#[test]
fn a_slow_call_that_is_taken_for_lost_still_gets_its_outcome_recorded() {
    let rig = Rig::new();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| block_on(rig.letter("k", "slow tea")));
        while rig.entered() == 0 {
            std::thread::yield_now();
        }
        rig.clock.advance(75_000);
        let second = block_on(rig.letter("k", "slow tea"));
        assert_eq!(kind(&second), "unknown_outcome");
        rig.shop.pause.open();
        assert_eq!(kind(&slow.join().unwrap()), "ok");
    });
    let third = block_on(rig.letter("k", "slow tea"));
    assert_eq!(third["structuredContent"]["idempotency"]["replayed"], true);
    assert_eq!((rig.orders(), rig.entered()), (1, 1));
}

#[test]
fn an_expired_key_is_refused_for_good_and_its_answer_is_erased() {
    block_on(async {
        let rig = Rig::with(|block| block.retention(std::time::Duration::from_secs(60)));
        rig.place("k", "tea").await;
        rig.clock.advance(59_999);
        assert_eq!(kind(&rig.place("k", "tea").await), "ok");
        assert_eq!(
            rig.reconcile(ann(), "k").await[0]["keptUntil"],
            "2023-11-14T22:14:20.000Z"
        );
        rig.clock.advance(1);
        assert!(rig.reconcile(ann(), "k").await[0]["keptUntil"].is_null());
        let kept = || {
            rig.store
                .read_blocking(|db| {
                    db.query_row("SELECT count(outcome) FROM idempotency", [], |row| {
                        row.get::<_, i64>(0)
                    })
                })
                .unwrap()
        };
        assert_eq!(kept(), 1);
        rig.place("other", "tea").await;
        assert_eq!(kept(), 1, "the new one; the old one is erased");
        for _ in 0..2 {
            let expired = rig.place("k", "tea").await;
            assert_eq!(kind(&expired), "key_expired");
            rig.clock.advance(1_000_000_000_000);
        }
        assert_eq!(rig.orders(), 2);
        // Forgotten by whoever runs the server, it runs again: that is what forgetting means.
        let forgotten = rig.block.forget(START + 1).await.unwrap();
        assert_eq!(forgotten, 1);
        assert_eq!(kind(&rig.place("k", "tea").await), "ok");
        assert_eq!(rig.orders(), 3);
    });
}

#[test]
fn erasing_a_callers_answers_keeps_the_calls_from_running_again() {
    block_on(async {
        let rig = Rig::new();
        rig.place("k", "tea").await;
        assert_eq!(rig.block.erase_answers(None).await.unwrap(), 0);
        assert_eq!(rig.block.erase_answers(ann().as_ref()).await.unwrap(), 1);
        assert_eq!(kind(&rig.place("k", "tea").await), "answer_not_kept");
        assert_eq!(rig.orders(), 1);
    });
}

#[test]
fn large_and_sensitive_answers_are_not_kept() {
    block_on(async {
        let rig = Rig::with(|block| block.max_answer_bytes(4096));
        let first = rig.place("k", "large").await;
        assert_eq!(kind(&first), "ok");
        let again = rig.place("k", "large").await;
        assert_eq!(kind(&again), "answer_not_kept");
        let secret = json!({"idempotencyKey": "s", "what": "diagnosis of a rare kind"});
        assert_eq!(kind(&rig.tool("write_secret", secret.clone()).await), "ok");
        assert_eq!(
            kind(&rig.tool("write_secret", secret).await),
            "answer_not_kept"
        );
        let stored: Vec<Option<String>> = rig
            .store
            .read_blocking(|db| {
                db.prepare("SELECT outcome FROM idempotency")?
                    .query_map([], |row| row.get(0))?
                    .collect()
            })
            .unwrap();
        assert_eq!(stored, [None, None]);
        assert_eq!(rig.orders(), 2);
    });
}

/// A block further in that says something about every result, as labels do.
struct Tagger;

impl Block for Tagger {
    fn name(&self) -> &'static str {
        "com.example/tagger"
    }
    fn place(&self) -> Place {
        Place::LABELS
    }
    fn covers(&self, contract: &Contract, _: &Item) -> bool {
        contract.id.as_str() == "com.example/orders"
    }
    fn before<'a>(&'a self, _: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async { Before::Proceed })
    }
    fn after<'a>(
        &'a self,
        _: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Ok(result) = &mut outcome.result {
                result["tag"] = json!("secret");
            }
            outcome.meta.insert("com.example/tag".into(), json!(1));
            outcome.notes.push("Tagged: secret".into());
        })
    }
}

#[test]
fn what_blocks_further_in_have_said_is_given_again() {
    block_on(async {
        let rig = Rig::new();
        let set = mcp_ext_core::ExtensionSet::builder()
            .enable(OrdersExtension::provide(rig.shop.clone()))
            .enable(rig.block.enable())
            .block(Tagger)
            .build()
            .unwrap();
        for what in ["tea", "sold out"] {
            let order = json!({"idempotencyKey": what.replace(' ', "-"), "what": what});
            let tool = Target::Tool("place_order");
            let first = call(&set, tool, order.clone(), ann(), false).await.unwrap();
            let again = call(&set, tool, order, ann(), false).await.unwrap();
            for answer in [&first, &again] {
                assert!(text(answer).contains("Tagged: secret"), "{answer}");
                assert_eq!(answer["_meta"]["com.example/tag"], 1);
                let tag = &answer["structuredContent"]["tag"];
                assert_eq!(tag == "secret", what == "tea", "{answer}");
            }
            assert!(text(&again).contains("Replayed"));
        }
        assert_eq!(rig.entered(), 2);
    });
}

#[test]
fn an_outcome_that_cannot_be_written_down_is_never_told_as_certain() {
    block_on(async {
        let rig = Rig::new();
        let run = |sql: &'static str| rig.store.write(move |db| db.execute_batch(sql));
        run(
            "CREATE TRIGGER no_outcome BEFORE UPDATE ON idempotency WHEN NEW.state = 1
             BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .await
        .unwrap();
        // All it did is rolled back with the record: it may be repeated.
        assert_eq!(kind(&rig.place("k", "tea").await), "store_failed");
        assert_eq!(
            (rig.orders(), rig.reconcile(ann(), "k").await),
            (0, json!([]))
        );
        // What it did out in the world is not.
        let letter = json!({"idempotencyKey": "k", "what": "tea"});
        let letter = || {
            call(
                &rig.set,
                Target::Tool("send_letter"),
                letter.clone(),
                ann(),
                false,
            )
        };
        let error = letter().await.unwrap_err();
        assert_eq!(error.code, 47008);
        assert_eq!(error.data.unwrap()["kind"], "not_recorded");
        assert_eq!(kind(&letter().await.unwrap()), "unknown_outcome");
        assert_eq!((rig.orders(), rig.entered()), (0, 2));
        run("CREATE TRIGGER no_change BEFORE UPDATE ON idempotency BEGIN SELECT RAISE(ABORT, 'no'); END;
             CREATE TRIGGER no_delete BEFORE DELETE ON idempotency BEGIN SELECT RAISE(ABORT, 'no'); END")
        .await
        .unwrap();
        let place = |key: &'static str| {
            let order = json!({"idempotencyKey": key, "what": "tea"});
            call(&rig.set, Target::Tool("place_order"), order, ann(), false)
        };
        assert_eq!(place("l").await.unwrap_err().code, 47008);
        assert_eq!(kind(&place("l").await.unwrap()), "in_progress");
        // What certainly did nothing is told as before, though its key is not free yet.
        let bad = json!({"idempotencyKey": "m", "what": 7});
        assert_eq!(kind(&rig.tool("place_order", bad).await), "invalid_params");
        run("DROP TRIGGER no_outcome; DROP TRIGGER no_change; DROP TRIGGER no_delete")
            .await
            .unwrap();
        rig.clock.advance(75_000);
        for key in ["k", "l"] {
            assert_eq!(kind(&rig.place(key, "tea").await), "ok");
        }
        assert_eq!(rig.orders(), 2);
        run("DROP TABLE idempotency").await.unwrap();
        assert_eq!(kind(&rig.place("n", "tea").await), "store_failed");
        assert_eq!((rig.orders(), rig.entered()), (2, 5));
    });
}

#[test]
fn reconcile_tells_states_and_no_payload() {
    block_on(async {
        let rig = Rig::new();
        rig.place("k", "tea").await;
        rig.clock.advance(5);
        rig.letter("k", "panic-free").await;
        let calls = rig.reconcile(ann(), "k").await;
        assert_eq!(
            calls,
            json!([
                {"operations": ["place_order", "com.example/orders/place"], "state": "completed", "firstAt": START_TEXT,
                 "endedAt": START_TEXT, "keptUntil": "2023-11-21T22:13:20.000Z"},
                {"operations": ["send_letter"], "state": "completed", "firstAt": "2023-11-14T22:13:20.005Z",
                 "endedAt": "2023-11-14T22:13:20.005Z", "keptUntil": "2023-11-21T22:13:20.005Z"},
            ])
        );
        let one = json!({"idempotencyKey": "k", "operation": "com.example/orders/place"});
        let method = Target::Method("io.github.mcp-ext/idempotency/reconcile");
        let one = call(&rig.set, method, one, ann(), true).await.unwrap();
        assert_eq!(one["calls"].as_array().unwrap().len(), 1);
        let bad = json!({"idempotencyKey": "a b"});
        let bad = call(&rig.set, method, bad, ann(), true).await.unwrap_err();
        assert_eq!(bad.code, -32602);
        let undeclared = json!({"idempotencyKey": "k"});
        let undeclared = call(&rig.set, method, undeclared, ann(), false)
            .await
            .unwrap_err();
        assert_eq!(undeclared.code, -32021);
    });
}

#[test]
fn the_argument_and_the_member_stand_in_the_schemas_of_the_tool() {
    let rig = Rig::new();
    let mut list = json!({"tools": []}).as_object().unwrap().clone();
    common::amend_tools(&rig.set, &mut list);
    let tool = |name: &str| {
        list["tools"]
            .as_array()
            .unwrap()
            .iter()
            .find(|tool| tool["name"] == name)
            .cloned()
            .unwrap()
    };
    let place = tool("place_order");
    let key = &place["inputSchema"]["properties"]["idempotencyKey"];
    assert_eq!(key["pattern"], "^[A-Za-z0-9._~:-]{1,128}$");
    let required = place["inputSchema"]["required"].as_array().unwrap();
    assert!(required.contains(&json!("idempotencyKey")));
    let member = &place["outputSchema"]["properties"]["idempotency"];
    assert_eq!(member["properties"]["replayed"]["type"], "boolean");
    let look = tool("look");
    assert!(look["inputSchema"]["properties"]["idempotencyKey"].is_null());
}

/// Permits calls on these grounds.
struct Permits(Arc<Mutex<Option<&'static str>>>);

impl Block for Permits {
    fn name(&self) -> &'static str {
        "com.example/permits"
    }
    fn place(&self) -> Place {
        Place::CONSENT
    }
    fn covers(&self, contract: &Contract, _: &Item) -> bool {
        contract.id.as_str() == "com.example/orders"
    }
    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        if let Some(purpose) = *self.0.lock().unwrap() {
            Grounds::add(call.cx.facts(), self.name(), purpose);
        }
        Box::pin(async { Before::Proceed })
    }
    fn after<'a>(&'a self, _: &'a BlockCall<'a>, _: &'a mut BlockOutcome) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

#[test]
fn an_answer_is_not_given_again_on_other_grounds() {
    block_on(async {
        let rig = Rig::new();
        let grounds = Arc::new(Mutex::new(None));
        let set = mcp_ext_core::ExtensionSet::builder()
            .enable(OrdersExtension::provide(rig.shop.clone()))
            .enable(rig.block.enable())
            .block(Permits(grounds.clone()))
            .build()
            .unwrap();
        let order = async |purpose: Option<&'static str>| {
            *grounds.lock().unwrap() = purpose;
            let params = json!({"idempotencyKey": "k", "what": "tea"});
            let answer = call(&set, Target::Tool("place_order"), params, ann(), false).await;
            answer.unwrap()
        };
        assert_eq!(kind(&order(Some("treatment")).await), "ok");
        for purpose in [Some("research"), None] {
            assert_eq!(kind(&order(purpose).await), "conflict");
        }
        let again = order(Some("treatment")).await;
        assert_eq!(again["structuredContent"]["idempotency"]["replayed"], true);
        assert_eq!((rig.orders(), rig.entered()), (1, 1));
    });
}

#[test]
fn a_repeat_is_answered_while_another_process_writes() {
    let name = format!("mcp-ext-idempotency-busy-{}.sqlite", std::process::id());
    let file = std::env::temp_dir().join(name);
    let clock = ManualClock::at(START);
    let store = Store::builder()
        .clock(clock.clone())
        .wait(std::time::Duration::from_millis(100))
        .open(&file)
        .unwrap();
    let rig = Rig::on(store, clock, |block| block);
    assert_eq!(kind(&block_on(rig.place("k", "tea"))), "ok");
    // A connection of its own stands for the other process.
    let other = Store::open(&file).unwrap();
    other
        .write_blocking(|_| {
            let again = block_on(rig.place("k", "tea"));
            assert_eq!(again["structuredContent"]["idempotency"]["replayed"], true);
            assert_eq!(kind(&block_on(rig.place("new", "tea"))), "store_failed");
            Ok(())
        })
        .unwrap();
    assert_eq!(kind(&block_on(rig.place("new", "tea"))), "ok");
    drop((rig, other));
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", file.display()));
    }
}

#[test]
fn a_caller_has_no_more_keys_than_the_server_keeps_and_known_calls_are_answered() {
    block_on(async {
        let rig = Rig::with(|block| block.max_keys_per_caller(3));
        for key in ["a", "b"] {
            assert_eq!(kind(&rig.place(key, "tea").await), "ok");
        }
        // Given back, since nothing was done.
        let wrong = json!({"idempotencyKey": "wrong", "what": 7});
        assert_eq!(
            kind(&rig.tool("place_order", wrong).await),
            "invalid_params"
        );
        assert_eq!(kind(&rig.place("c", "tea").await), "ok");
        let refused = rig.place("d", "tea").await;
        assert_eq!(kind(&refused), "too_many_keys");
        assert_eq!(
            refused["structuredContent"]["error"]["details"],
            json!({"most": 3})
        );
        let again = rig.place("b", "tea").await;
        assert_eq!(
            again["structuredContent"]["idempotency"]["replayed"],
            json!(true)
        );
        assert_eq!(kind(&rig.place("b", "milk").await), "conflict");
        assert_eq!((rig.orders(), rig.entered()), (3, 3));

        // Another caller has room of their own.
        let other = call(
            &rig.set,
            Target::Tool("place_order"),
            json!({"idempotencyKey": "d", "what": "tea"}),
            Some(Principal::new("bob")),
            false,
        )
        .await
        .unwrap();
        assert_eq!(kind(&other), "ok");

        rig.clock.advance(10);
        assert_eq!(rig.block.forget(rig.clock_now()).await.unwrap(), 4);
        assert_eq!(kind(&rig.place("d", "tea").await), "ok");
    });
}
