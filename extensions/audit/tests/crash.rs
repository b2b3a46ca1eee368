//! Processes that are ended at every point around every write, and two processes on one log.
#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::Rig;
use common::scratch::{KillAt, Scratch, child, was_killed};
use mcp_ext_audit::{Verifier, verify};
use mcp_ext_store::Store;

const FILE: &str = "MCP_EXT_AUDIT_FILE";
const KILL: &str = "MCP_EXT_AUDIT_KILL_AT";

fn open(
    file: &str,
    configure: impl FnOnce(mcp_ext_store::Builder) -> mcp_ext_store::Builder,
) -> Rig {
    let builder = Store::builder().wait(Duration::from_secs(30));
    Rig::new(configure(builder).open(file).unwrap(), |audit| audit)
}

/// Verifies the log, and that there is an order for each outcome that says so and no other; gives intents and outcomes.
fn check(rig: &Rig) -> (usize, usize) {
    let mut outcomes = 0;
    let mut calls: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for segment in rig.audit.segments().unwrap() {
        if segment.records == 0 {
            continue;
        }
        let mut export = Vec::new();
        let head = rig.audit.export(&segment.name, &mut export).unwrap();
        verify(&export[..], Verifier::new().against(head))
            .unwrap()
            .unwrap();
    }
    let mut returned = 0;
    for record in rig.records() {
        let governance = &record["extensions"]["caller-governance"];
        let call = governance["session_id"].as_str().unwrap().to_owned();
        let intent = governance["output_disposition"].is_null();
        calls.entry(call).or_default().push(intent);
        outcomes += usize::from(!intent);
        returned += usize::from(governance["output_disposition"] == "returned");
    }
    for (call, stages) in &calls {
        assert!(
            *stages == [true] || *stages == [true, false],
            "{call}: {stages:?}"
        );
    }
    assert_eq!(
        rig.orders().len(),
        returned,
        "an effect without its record, or a record without its effect"
    );
    assert_eq!(
        rig.audit.unfinished(1000).unwrap().len(),
        calls.len() - outcomes
    );
    (calls.len(), outcomes)
}

#[test]
fn child_that_is_killed() {
    let (Ok(file), Ok(at)) = (std::env::var(FILE), std::env::var(KILL)) else {
        return;
    };
    let at = at.parse().unwrap();
    let rig = open(&file, |builder| builder.probe(KillAt::new(at)));
    rig.order("tea", "").unwrap();
    rig.order("milk", "sold out").unwrap();
    rig.order("salt", "refuse").unwrap();
    rig.order("rice", "").unwrap();
}

#[test]
fn crash_killed_at_every_point_the_log_verifies_and_nothing_is_lost_or_doubled() {
    let mut points = Vec::new();
    let mut before = (0, 0);
    loop {
        let at = points.len();
        assert!(at < 200, "the child never came to its end");
        let scratch = Scratch::new("audit-crash");
        let file = scratch.file().display().to_string();
        let variables = [(FILE, file.clone()), (KILL, at.to_string())];
        let output = child("child_that_is_killed", &variables).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let killed = was_killed(output.status);
        assert!(killed || output.status.success(), "{told}");
        let point = told
            .split("killed at: ")
            .nth(1)
            .unwrap_or("end")
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();

        let rig = open(&file, |builder| builder);
        let now = check(&rig);
        // A later point never shows less; what was committed before a crash is there after it.
        assert!(
            now.0 >= before.0 && now.1 >= before.1,
            "{point}: {before:?} {now:?}"
        );
        assert!(
            now.0 - now.1 <= 1,
            "{point}: more than one call was running"
        );
        before = now;
        rig.order("more", "").unwrap();
        assert_eq!(check(&rig), (now.0 + 1, now.1 + 1), "{point}");
        if !killed {
            assert_eq!(now, (4, 4));
            break;
        }
        points.push(point);
    }
    for point in [
        "begun",
        "inserted into audit_record",
        "inserted into audit_call",
        "inserted into orders",
        "before commit",
        "committed",
    ] {
        assert!(
            points.iter().any(|p| p == point),
            "{point} is not among {points:?}"
        );
    }
}

#[test]
fn child_that_orders() {
    let Ok(file) = std::env::var(FILE) else {
        return;
    };
    if std::env::var(KILL).is_ok() {
        return;
    }
    let rig = open(&file, |builder| builder);
    for i in 0..20 {
        rig.order("tea", if i % 5 == 4 { "sold out" } else { "" })
            .unwrap();
    }
}

#[test]
fn two_processes_make_one_chain() {
    let scratch = Scratch::new("audit-processes");
    let file = scratch.file().display().to_string();
    let variables = [(FILE, file.clone())];
    let children: Vec<_> = (0..2)
        .map(|_| {
            child("child_that_orders", &variables)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let rig = open(&file, |builder| builder);
    assert_eq!(check(&rig), (40, 40));
    assert_eq!(rig.audit.segments().unwrap().len(), 1);
    assert_eq!(rig.orders().len(), 32);
}
