//! What is compared must do the same: ours and the twin answer alike.

use mcp_ext_bench::cases::{CASES, answers, tool_answers};
use mcp_ext_bench::frames;
use serde_json::json;

#[test]
fn both_answer_alike() {
    for (what, frame) in frames::agreed() {
        for (carrier, ours, theirs) in answers(&frame).unwrap() {
            assert!(ours["id"] == 7, "{what}, {carrier}: {ours}");
            assert_eq!(ours, theirs, "{what}, {carrier}");
        }
    }
}

#[test]
fn what_is_refused_is_refused_by_both() {
    let refused = [
        (
            frames::modern(
                "com.example/grading/rubrics",
                json!({"course": 1}),
                frames::declared(),
            ),
            -32602,
        ),
        (
            frames::modern(
                "com.example/grading/rubrics",
                json!({"course": "x"}),
                json!({"com.example/grading": {"revision": "1999-01-01"}}),
            ),
            -32021,
        ),
        (
            frames::modern(
                "com.example/grading/rubrics",
                json!({"course": "x"}),
                json!({"com.example/grading": {}, "com.example/other": 1}),
            ),
            -32602,
        ),
    ];
    for (frame, code) in refused {
        for (carrier, ours, theirs) in answers(&frame).unwrap() {
            assert_eq!(ours["error"]["code"], code, "{carrier}: {ours}");
            assert_eq!(theirs["error"]["code"], code, "{carrier}: {theirs}");
        }
    }
}

#[test]
fn a_tool_answers_alike_with_extensions_and_without() {
    let (with, without) = tool_answers().unwrap();
    assert_eq!(with["result"]["content"][0]["text"], "42");
    assert_eq!(with, without);
}

#[test]
fn every_case_runs() {
    for case in CASES {
        case.run(1)
            .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    }
}
