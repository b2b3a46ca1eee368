//! Processes that die by SIGKILL around every write of the register, and processes that share one.
#![cfg(unix)]
#![allow(missing_docs)]

#[path = "../../store/tests/common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use common::{KillAt, Scratch, child, was_killed};
use futures_lite::future::block_on;
use mcp_ext_consent::{ConsentSource, Decision, Question, Record, Register};
use mcp_ext_store::Store;

const FILE: &str = "MCP_EXT_CONSENT_FILE";
const KILL: &str = "MCP_EXT_CONSENT_KILL_AT";

fn permits(register: &Register, subject: &str) -> bool {
    let question = Question {
        caller: None,
        subject: subject.into(),
        action: "read".into(),
        data_classes: BTreeSet::new(),
        purpose: None,
        now_ms: 0,
    };
    matches!(
        block_on(register.decide(&question)).unwrap(),
        Decision::Permit(_)
    )
}

/// Everything the register writes, one after the other, with a line for each that returned.
fn write_all(register: &Register) {
    block_on(register.record(None, Record::consent("c-1", "p-1"))).unwrap();
    println!("done: recorded");
    assert!(block_on(register.withdraw(None, "c-1")).unwrap());
    println!("done: withdrawn");
    block_on(register.record(None, Record::consent("c-2", "p-2"))).unwrap();
    println!("done: recorded another");
    assert_eq!(block_on(register.forget(None, "p-2")).unwrap(), 1);
    println!("done: forgotten");
}

#[test]
fn child_that_is_killed() {
    let (Ok(file), Ok(at)) = (std::env::var(FILE), std::env::var(KILL)) else {
        return;
    };
    let store = Store::builder()
        .probe(KillAt::new(at.parse().unwrap()))
        .open(file)
        .unwrap();
    write_all(&Register::new(store).unwrap());
}

#[test]
fn crash_killed_at_every_point_what_was_said_is_there_and_what_was_withdrawn_is_not() {
    let mut points = 0;
    loop {
        let scratch = Scratch::new("consent");
        let variables = [
            (FILE, scratch.file().display().to_string()),
            (KILL, points.to_string()),
        ];
        let output = child("child_that_is_killed", &variables).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let killed = was_killed(output.status);
        assert!(killed || output.status.success(), "{told}");
        let done = |what: &str| said.contains(&format!("done: {what}\n"));
        let at_commit = told.contains("killed at: committed");

        let register = Register::new(Store::open(scratch.file()).unwrap()).unwrap();
        let first = permits(&register, "p-1");
        let second = permits(&register, "p-2");
        // What returned holds. What did not return holds only if it was killed right after its commit.
        let recorded = done("recorded");
        let withdrawn = done("withdrawn");
        let again = done("recorded another");
        match (recorded, withdrawn) {
            (_, true) => assert!(!first, "{told}"),
            (true, false) => assert_eq!(first, !at_commit, "{told}"),
            (false, _) => assert!(!first || at_commit, "{told}"),
        }
        match (again, done("forgotten")) {
            (_, true) => assert!(!second, "{told}"),
            (true, false) => assert_eq!(second, !at_commit, "{told}"),
            (false, _) => assert!(!second || (withdrawn && at_commit), "{told}"),
        }
        // And the register goes on: what is said again is refused or counts.
        let said_again = block_on(register.record(None, Record::consent("c-1", "p-1")));
        assert_eq!(said_again.is_ok(), permits(&register, "p-1") && !first);
        if !killed {
            break;
        }
        points += 1;
        assert!(points < 200, "the child never came to its end");
    }
    // Four writes, each begun, written, before and after its commit; and those of the schema.
    assert!(points >= 16, "{points}");
}

#[test]
fn child_that_withdraws() {
    let Ok(file) = std::env::var(FILE) else {
        return;
    };
    let register = Register::new(Store::open(file).unwrap()).unwrap();
    for n in 0..20 {
        println!(
            "withdrew: {n} {}",
            block_on(register.withdraw(None, &format!("c-{n}"))).unwrap()
        );
    }
}

#[test]
fn two_processes_share_one_register() {
    let scratch = Scratch::new("consent-shared");
    let register = Register::new(Store::open(scratch.file()).unwrap()).unwrap();
    for n in 0..20 {
        block_on(register.record(None, Record::consent(format!("c-{n}"), format!("p-{n}"))))
            .unwrap();
    }
    let variables = [(FILE, scratch.file().display().to_string())];
    let mut other = child("child_that_withdraws", &variables)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ours = 0;
    let mut theirs = 0;
    for line in BufReader::new(other.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The first stands behind the words of the test runner.
        let told = line.split_once("withdrew: ");
        let Some((n, withdrew)) = told.and_then(|(_, told)| told.split_once(' ')) else {
            continue;
        };
        // What the other process has withdrawn no longer permits anything here.
        assert!(!permits(&register, &format!("p-{n}")));
        theirs += u32::from(withdrew == "true");
        // From the other end, so that the two meet: each record is withdrawn by one of them.
        let last = 19 - n.parse::<u32>().unwrap();
        ours += u32::from(block_on(register.withdraw(None, &format!("c-{last}"))).unwrap());
    }
    assert!(other.wait().unwrap().success());
    assert_eq!(ours + theirs, 20);
}
