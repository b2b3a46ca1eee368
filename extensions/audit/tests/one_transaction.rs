//! A handler's effect, its idempotency record and its audit outcome in one transaction: a process is ended at every point,
//! the call is repeated with its key, and the effect is there once, with the records that belong to it.
#![cfg(unix)]

mod common;

use std::sync::Arc;

use common::scratch::{KillAt, Scratch, child, was_killed};
use common::{Guard, GuardingExtension, Rig, ShopExtension, Till};
use futures_lite::future::block_on;
use mcp_ext_audit::{Audit, Verifier, verify};
use mcp_ext_core::ExtensionSet;
use mcp_ext_idempotency::Idempotency;
use mcp_ext_store::{Builder, ManualClock, Store};
use serde_json::{Value, json};

const FILE: &str = "MCP_EXT_ONE_FILE";
const KILL: &str = "MCP_EXT_ONE_KILL_AT";

const NOW: i64 = 1_795_510_800_000;
const HOUR: i64 = 3_600_000;

fn open(file: &str, builder: Builder) -> Rig {
    let store = builder.open(file).unwrap();
    let schema = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL)";
    store.migrate("shop", &[schema]).unwrap();
    let audit = Audit::new(&store).unwrap();
    let idempotency = Idempotency::new(&store)
        .unwrap()
        .around(|contract, item| {
            contract.id.as_str() == "com.example/shop" && item.name == "place_order"
        })
        .effects_in_store(|_, item| item.name == "place_order");
    let set = ExtensionSet::builder()
        .enable(ShopExtension::provide(Till(store.clone())))
        .enable(audit.enable())
        .enable(idempotency.enable())
        .enable(GuardingExtension::provide(Guard(store.clone())).around(Guard(store.clone())))
        .build()
        .unwrap();
    Rig {
        store,
        audit,
        set: Arc::new(set),
    }
}

fn order(rig: &Rig, key: &str) -> Value {
    let arguments = json!({"item": "tea", "idempotencyKey": key});
    let params = json!({"name": "place_order", "arguments": arguments});
    block_on(rig.ask(None, "tools/call", params, json!({}), json!({}))).unwrap()
}

#[test]
fn child_that_is_killed() {
    let (Ok(file), Ok(at)) = (std::env::var(FILE), std::env::var(KILL)) else {
        return;
    };
    let builder = Store::builder()
        .clock(ManualClock::at(NOW))
        .probe(KillAt::new(at.parse().unwrap()));
    order(&open(&file, builder), "key-1");
}

#[test]
fn crash_effect_idempotency_record_and_audit_outcome_are_one() {
    let mut points = Vec::new();
    loop {
        let at = points.len();
        assert!(at < 200, "the child never came to its end");
        let scratch = Scratch::new("one");
        let file = scratch.file().display().to_string();
        let variables = [(FILE, file.clone()), (KILL, at.to_string())];
        let output = child("child_that_is_killed", &variables).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let killed = was_killed(output.status);
        assert!(killed || output.status.success(), "{told}");
        let point = told.split("killed at: ").nth(1).unwrap_or("end").trim();

        // Later, when the lease of the dead process is over.
        let rig = open(&file, Store::builder().clock(ManualClock::at(NOW + HOUR)));
        let done = rig.orders().len();
        let story = rig.story();
        let returned = |story: &[String]| story.iter().filter(|s| *s == "allowed returned").count();
        assert_eq!(done, returned(&story), "{point}: {story:?}");

        let first = order(&rig, "key-1");
        assert_eq!(
            first["structuredContent"]["item"], "tea",
            "{point}: {first}"
        );
        let replayed = first["structuredContent"]["idempotency"]["replayed"] == true;
        assert_eq!(
            replayed,
            done == 1,
            "{point}: done means remembered: {first}"
        );
        let again = order(&rig, "key-1");
        assert_eq!(
            again["structuredContent"]["idempotency"]["replayed"], true,
            "{point}"
        );
        assert_eq!(
            again["structuredContent"]["number"],
            first["structuredContent"]["number"]
        );
        assert_eq!(rig.orders(), ["tea"], "{point}: once");

        // Each answer was recorded, the replays too; at most the call of the dead process has no outcome.
        let story = rig.story();
        assert_eq!(returned(&story), done + 2, "{point}: {story:?}");
        assert!(rig.audit.unfinished(10).unwrap().len() <= 1);
        let segment = rig.audit.segments().unwrap().remove(0);
        let mut export = Vec::new();
        let head = rig.audit.export(&segment.name, &mut export).unwrap();
        verify(&export[..], Verifier::new().against(head))
            .unwrap()
            .unwrap();
        if !killed {
            break;
        }
        points.push(point.lines().next().unwrap_or_default().to_owned());
    }
    let named = |name: &str| points.iter().any(|p| p.contains(name));
    assert!(
        named("inserted into orders")
            && named("inserted into audit_record")
            && named("idempotency"),
        "{points:?}"
    );
}
