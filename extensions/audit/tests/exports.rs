//! Exports: everything that can be done to one is found.

use std::io::Cursor;
use std::sync::OnceLock;

use mcp_ext_audit::{
    Break, Digest, Event, Head, Outcome, Reason, Record, Scalar, Text, Verifier, Whole, verify,
};
use proptest::prelude::*;

/// A chain with a variety of strings, one record a line.
fn chain(records: usize) -> Vec<String> {
    let text = |text: &str| Text::new(text).unwrap();
    let purposes = [
        "TREAT",
        "caf\u{e9}",
        "\"quoted\" and \\",
        "\u{1f512} locked",
        "",
    ];
    let mut previous = None;
    (0..records)
        .map(|i| {
            let governance = [
                (
                    "purpose_declared",
                    Scalar::Text(text(purposes[i % purposes.len()])),
                ),
                ("session_id", Scalar::Text(text(&format!("call-{}", i / 2)))),
                ("flagged", Scalar::Flag(i % 7 == 0)),
                (
                    "sources_touched",
                    if i % 5 == 0 {
                        Scalar::Text(text(r#"["a","b"]"#))
                    } else {
                        Scalar::Null
                    },
                ),
            ];
            let security = [
                ("drift_status", "none"),
                ("severity", "info"),
                ("quarantine_decision", "release"),
                ("policy_id", "example.org/policy@1"),
                ("evidence_hash", "hmac-sha256:0123456789abcdef"),
            ];
            let governance = governance
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect();
            let mut extensions =
                std::collections::BTreeMap::from([("caller-governance".to_owned(), governance)]);
            if i % 3 != 0 {
                let data = security
                    .into_iter()
                    .map(|(k, v)| (k.to_owned(), Scalar::Text(text(v))))
                    .collect();
                extensions.insert("runtime-security".to_owned(), data);
            }
            let event = Event {
                event_id: text(&format!("event-{i}")),
                occurred_at: format!("2026-11-24T09:{:02}:{:02}.000Z", i / 60 % 60, i % 60),
                principal_id: text("sub_1"),
                event_type: text("tool_call"),
                tool_name: (i % 4 != 0).then(|| text("place_order")),
                outcome: [Outcome::Deferred, Outcome::Allowed][i % 2],
                extensions,
            };
            let record = event.seal(previous).unwrap();
            previous = Some(record.event_hash);
            record.to_line()
        })
        .collect()
}

fn export() -> &'static [String] {
    static EXPORT: OnceLock<Vec<String>> = OnceLock::new();
    EXPORT.get_or_init(|| chain(60))
}

fn joined(lines: &[String]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|l| [l.as_bytes(), b"\n"].concat())
        .collect()
}

fn head() -> Head {
    let last = Record::parse(export().last().unwrap()).unwrap();
    Head::new("seg_1", export().len() as u64, last.event_hash).unwrap()
}

fn verdict(bytes: &[u8]) -> Result<Whole, Break> {
    verify(Cursor::new(bytes), Verifier::new()).unwrap()
}

fn broken(lines: &[String]) -> (u64, &'static str) {
    let broken = verdict(&joined(lines)).unwrap_err();
    (broken.index, broken.reason.kind())
}

#[test]
fn an_untouched_export_is_whole() {
    let whole = verdict(&joined(export())).unwrap();
    assert_eq!(whole.records, 60);
    assert_eq!(whole.last, Some(head().event_hash()));
    let empty = Whole {
        records: 0,
        last: None,
    };
    assert_eq!(verdict(b""), Ok(empty));
}

#[test]
fn neg_audit_an_edited_record() {
    let mut lines = export().to_vec();
    lines[3] = lines[3].replace("sub_1", "sub_2");
    assert_eq!(broken(&lines), (3, "hash_mismatch"));
}

#[test]
fn neg_audit_an_edited_record_with_a_digest_of_its_own() {
    let mut lines = export().to_vec();
    let mut record = Record::parse(&lines[3]).unwrap();
    record.event.principal_id = Text::new("sub_2").unwrap();
    record.event_hash = record.digest();
    lines[3] = record.to_line();
    assert_eq!(broken(&lines), (4, "chain_gap"));
}

#[test]
fn neg_audit_a_removed_record() {
    for at in [0, 7, 58] {
        let mut lines = export().to_vec();
        lines.remove(at);
        assert_eq!(broken(&lines), (at as u64, "chain_gap"));
    }
}

#[test]
fn neg_audit_swapped_records() {
    for (a, b) in [(0, 1), (5, 6), (5, 40), (58, 59)] {
        let mut lines = export().to_vec();
        lines.swap(a, b);
        let (index, kind) = broken(&lines);
        assert_eq!(index, a as u64);
        assert_eq!(kind, "reordered");
    }
}

#[test]
fn neg_audit_a_replayed_record() {
    for (from, to) in [(0, 1), (5, 6), (5, 30), (59, 60)] {
        let mut lines = export().to_vec();
        lines.insert(to, lines[from].clone());
        assert_eq!(broken(&lines), (to as u64, "replayed"));
    }
}

#[test]
fn neg_audit_an_inserted_record() {
    let mut lines = export().to_vec();
    let mut record = Record::parse(&lines[10]).unwrap();
    record.event.event_id = Text::new("forged").unwrap();
    record.event_hash = record.digest();
    lines.insert(10, record.to_line());
    assert_eq!(broken(&lines), (11, "chain_gap"));
}

#[test]
fn neg_audit_a_cut_tail_is_found_by_the_head_alone() {
    for keep in [0, 1, 30, 59] {
        let cut = joined(&export()[..keep]);
        assert!(verdict(&cut).is_ok());
        let found = verify(&cut[..], Verifier::new().against(head()))
            .unwrap()
            .unwrap_err();
        assert_eq!(
            found,
            Break {
                index: keep as u64,
                reason: Reason::Cut { expected: 60 }
            }
        );
    }
    let whole = verify(&joined(export())[..], Verifier::new().against(head())).unwrap();
    assert_eq!(whole.unwrap().records, 60);
    // What was appended after the head was put away is none of its business.
    let longer = chain(70);
    assert!(
        verify(&joined(&longer)[..], Verifier::new().against(head()))
            .unwrap()
            .is_ok()
    );
}

#[test]
fn neg_audit_a_chain_that_was_written_anew() {
    let mut previous = None;
    let forged: Vec<String> = export()
        .iter()
        .enumerate()
        .map(|(i, line)| {
            let mut record = Record::parse(line).unwrap();
            if i == 5 {
                record.event.outcome = Outcome::Denied;
            }
            record.previous_hash = previous;
            record.event_hash = record.digest();
            previous = Some(record.event_hash);
            record.to_line()
        })
        .collect();
    assert!(
        verdict(&joined(&forged)).is_ok(),
        "the chain alone cannot tell"
    );
    let found = verify(&joined(&forged)[..], Verifier::new().against(head()))
        .unwrap()
        .unwrap_err();
    assert_eq!(found.reason, Reason::HeadMismatch);
}

#[test]
fn a_file_cut_within_a_line_is_torn() {
    let bytes = joined(export());
    let cut = &bytes[..bytes.len() - 1];
    let found = verdict(cut).unwrap_err();
    assert_eq!((found.index, found.reason), (59, Reason::Torn));
}

#[test]
fn a_line_without_end_is_given_up() {
    struct Endless;
    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer.fill(b'x');
            Ok(buffer.len())
        }
    }
    let found = verify(std::io::BufReader::new(Endless), Verifier::new())
        .unwrap()
        .unwrap_err();
    assert_eq!(found.reason, Reason::Line);
}

#[test]
fn records_of_other_software_are_read_if_wanted() {
    let spaced: Vec<String> = export()
        .iter()
        .map(|line| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["anchor_witness"] = serde_json::Value::Null;
            format!(" {value} \r")
        })
        .collect();
    assert_eq!(broken(&spaced), (0, "form"));
    let whole = verify(&joined(&spaced)[..], Verifier::new().any_form()).unwrap();
    assert_eq!(whole.unwrap().records, 60);
}

#[test]
fn a_run_is_verified_from_where_it_begins() {
    let before = Record::parse(&export()[19]).unwrap();
    let rest = joined(&export()[20..]);
    let whole = verify(
        &rest[..],
        Verifier::new().after(20, before.event_hash).against(head()),
    )
    .unwrap();
    assert_eq!(whole.unwrap().records, 60);
    let other = verify(&rest[..], Verifier::new().after(20, Digest::of(b"other"))).unwrap();
    assert_eq!(other.unwrap_err().index, 20);
}

#[test]
fn a_head_from_before_the_run_is_never_taken_for_a_check_of_it() {
    let rest = joined(&export()[20..]);
    let hash = |n: usize| Record::parse(&export()[n - 1]).unwrap().event_hash;
    let against = |count: usize, hash: Digest| {
        let head = Head::new("seg_1", count as u64, hash).unwrap();
        let verifier = Verifier::new().after(20, Record::parse(&export()[19]).unwrap().event_hash);
        verify(&rest[..], verifier.against(head))
            .unwrap()
            .map(|whole| whole.records)
            .map_err(|found| found.reason)
    };
    assert_eq!(against(10, hash(10)), Err(Reason::HeadBefore { head: 10 }));
    assert_eq!(against(20, hash(10)), Err(Reason::HeadMismatch));
    assert_eq!(against(20, hash(20)), Ok(60));
    assert_eq!(against(21, hash(21)), Ok(60));
    assert_eq!(against(21, hash(20)), Err(Reason::HeadMismatch));
}

#[test]
fn heads_that_say_nothing_are_refused() {
    for bad in [
        r#"{}"#,
        r#"{"count":5,"event_hash":"d494769c1ae442ea88dd190068747abf63c0568a3b856f85791b1a50a99d48b4","segment":"s"}"#,
        r#"{"count":"0","event_hash":"d494769c1ae442ea88dd190068747abf63c0568a3b856f85791b1a50a99d48b4","segment":"s"}"#,
        r#"{"count":"05","event_hash":"d494769c1ae442ea88dd190068747abf63c0568a3b856f85791b1a50a99d48b4","segment":"s"}"#,
        r#"{"count":"5","event_hash":"D494","segment":"s"}"#,
        r#"{"count":"5","event_hash":"d494769c1ae442ea88dd190068747abf63c0568a3b856f85791b1a50a99d48b4","segment":""}"#,
    ] {
        assert!(serde_json::from_str::<Head>(bad).is_err(), "{bad}");
    }
    let head = head();
    assert_eq!(serde_json::from_str::<Head>(&head.to_json()).unwrap(), head);
    assert_eq!(serde_json::to_string(&head).unwrap(), head.to_json());
}

#[cfg(feature = "ed25519")]
mod signed {
    use super::{export, head, joined};
    use mcp_ext_audit::{Reason, Record, Signer, Verifier, verify};

    fn signed(signer: &Signer) -> Vec<String> {
        export()
            .iter()
            .map(|line| {
                let mut record = Record::parse(line).unwrap();
                record.signature = Some(signer.sign(&record.event_hash));
                record.to_line()
            })
            .collect()
    }

    #[test]
    fn signatures_are_verified() {
        let signer = Signer::from_secret(&[1; 32]);
        let other = Signer::from_secret(&[2; 32]);
        let lines = signed(&signer);
        let verdict = |lines: &[String], key: &Signer| {
            verify(
                &joined(lines)[..],
                Verifier::new().signed_by(key.public_key()),
            )
            .unwrap()
        };
        assert!(verdict(&lines, &signer).is_ok());
        assert_eq!(
            verdict(&lines, &other).unwrap_err().reason,
            Reason::Signature
        );
        assert_eq!(
            verdict(export(), &signer).unwrap_err().reason,
            Reason::Signature
        );
        let mut mixed = lines.clone();
        mixed[9] = export()[9].clone();
        let found = verdict(&mixed, &signer).unwrap_err();
        assert_eq!((found.index, found.reason), (9, Reason::Signature));
        // Signatures are not in the chain: without the key it is whole.
        assert!(
            verify(&joined(&mixed)[..], Verifier::new())
                .unwrap()
                .is_ok()
        );
        // A head without a signature does not pass where signatures are wanted.
        let unsigned = Verifier::new()
            .signed_by(signer.public_key())
            .against(head());
        let found = verify(&joined(&lines)[..], unsigned).unwrap().unwrap_err();
        assert_eq!(found.reason, Reason::HeadSignature);
    }
}

/// Something done to an export.
#[derive(Debug, Clone)]
enum Attack {
    Change { at: usize, to: u8 },
    RemoveByte { at: usize },
    InsertByte { at: usize, byte: u8 },
    RemoveLine { at: usize },
    RepeatLine { from: usize, to: usize },
    SwapLines { a: usize, b: usize },
    MoveLine { from: usize, to: usize },
}

fn attack() -> impl Strategy<Value = Attack> {
    let at = any::<usize>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, to)| Attack::Change { at, to }),
        2 => at().prop_map(|at| Attack::RemoveByte { at }),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Attack::InsertByte { at, byte }),
        1 => at().prop_map(|at| Attack::RemoveLine { at }),
        1 => (at(), at()).prop_map(|(from, to)| Attack::RepeatLine { from, to }),
        1 => (at(), at()).prop_map(|(a, b)| Attack::SwapLines { a, b }),
        1 => (at(), at()).prop_map(|(from, to)| Attack::MoveLine { from, to }),
    ]
}

fn attacked(attack: &Attack) -> Vec<u8> {
    let mut bytes = joined(export());
    let mut lines = export().to_vec();
    let n = lines.len();
    match *attack {
        Attack::Change { at, to } => {
            let at = at % bytes.len();
            bytes[at] = to;
            return bytes;
        }
        Attack::RemoveByte { at } => {
            bytes.remove(at % bytes.len());
            return bytes;
        }
        Attack::InsertByte { at, byte } => {
            bytes.insert(at % (bytes.len() + 1), byte);
            return bytes;
        }
        Attack::RemoveLine { at } => {
            lines.remove(at % n);
        }
        Attack::RepeatLine { from, to } => lines.insert(to % (n + 1), lines[from % n].clone()),
        Attack::SwapLines { a, b } => lines.swap(a % n, b % n),
        Attack::MoveLine { from, to } => {
            let line = lines.remove(from % n);
            lines.insert(to % n, line);
        }
    }
    joined(&lines)
}

proptest! {
    #[test]
    fn whatever_is_done_to_an_export_is_found(attack in attack()) {
        let before = joined(export());
        let after = attacked(&attack);
        prop_assume!(after != before);
        let alone = verdict(&after);
        // The one thing a chain cannot show is that its end is missing; the head shows it.
        if alone.is_ok() {
            prop_assert!(before.starts_with(&after), "{attack:?}");
        }
        let with_head = verify(&after[..], Verifier::new().against(head())).unwrap();
        prop_assert!(with_head.is_err(), "{attack:?}");
    }

    /// The quick way through a line and the thorough one agree.
    #[test]
    fn verification_agrees_with_reading_the_record(line in 0usize..60, at in any::<usize>(), to in any::<u8>()) {
        let mut bytes = export()[line].clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = to;
        let previous = line.checked_sub(1).map(|l| Record::parse(&export()[l]).unwrap().event_hash);
        let mut verifier = match previous {
            Some(previous) => Verifier::new().after(line as u64, previous),
            None => Verifier::new(),
        };
        let quick = verifier.clone().line(&bytes);
        let thorough = match std::str::from_utf8(&bytes) {
            Err(_) => Err(Reason::Line),
            Ok(text) => match Record::parse(text) {
                Err(fault) => Err(Reason::Schema(fault)),
                Ok(record) if record.to_line() != text => Err(Reason::Form),
                Ok(record) => verifier.record(&record),
            },
        };
        prop_assert_eq!(quick, thorough);
    }
}
