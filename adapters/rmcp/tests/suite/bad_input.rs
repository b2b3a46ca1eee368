//! Bad input that reaches the adapter: the exact code and data, nothing runs, and the server goes on.

use mcp_ext_core::Limits;
use mcp_ext_core::protocol::Era;
use serde_json::{Value, json};

use crate::common::grading::{self, ID, MODERN_TOOL, RUBRICS, TOOL};
use crate::common::wire::{CARRIERS, Carrier, Client};
use crate::{course, start, wrapped};

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test]
async fn wrong_types_of_params_name_every_fault() {
    for carrier in CARRIERS {
        let (lms, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        let answer = client
            .call(RUBRICS, json!({"course": 7, "tags": [1, "x"]}))
            .await;
        let data = &answer.refused(-32602, 200)["data"];
        assert_eq!(
            (&data["extension"], &data["kind"]),
            (&json!(ID), &json!("invalid_params"))
        );
        assert!(!data["faults"].as_array().unwrap().is_empty(), "{data}");
        for missing in [json!({}), json!({"course": null})] {
            client.call(RUBRICS, missing).await.refused(-32602, 200);
        }
        assert_eq!(lms.started(), 0);
        client.call(RUBRICS, course("c")).await.result();
    }
}

#[tokio::test]
async fn deep_nesting_is_bounded() {
    for carrier in CARRIERS {
        let (lms, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        let answer = client
            .call(RUBRICS, json!({"course": "c", "extra": nested(100)}))
            .await;
        let data = &answer.refused(-32602, 200)["data"];
        assert_eq!(
            (&data["kind"], &data["limit"]),
            (&json!("too_deep"), &json!(64))
        );
        let answer = client
            .tool(TOOL, json!({"course": "c", "extra": nested(100)}))
            .await;
        assert!(
            answer.frame.to_string().contains("too_deep"),
            "{}",
            answer.frame
        );
        assert_eq!(lms.started(), 0);
        client.call(RUBRICS, course("c")).await.result();
    }
}

#[tokio::test]
async fn huge_arrays_and_strings_are_bounded() {
    for carrier in CARRIERS {
        let (lms, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        for huge in [
            json!({"course": "c", "tags": vec!["x"; 400_000]}),
            course(&"x".repeat(1_200_000)),
        ] {
            let answer = client.call(RUBRICS, huge).await;
            let data = &answer.refused(-32602, 200)["data"];
            assert_eq!(
                (&data["kind"], &data["limit"]),
                (&json!("too_large"), &json!(1024 * 1024))
            );
        }
        assert_eq!(lms.started(), 0);
        client.call(RUBRICS, course("c")).await.result();
    }
}

#[tokio::test]
async fn many_declared_extensions_are_bounded() {
    let many: serde_json::Map<String, Value> = (0..300)
        .map(|i| (format!("com.example/e{i}"), json!({})))
        .chain([(ID.to_owned(), json!({}))])
        .collect();
    for carrier in CARRIERS {
        let (lms, mut client) =
            start(carrier, Era::Modern, Some(Value::Object(many.clone()))).await;
        // The status is rmcp's, which takes a complete `_meta` for a sound one.
        let answer = client.call(RUBRICS, course("c")).await;
        let data = &answer.refused(-32602, 200)["data"];
        assert_eq!(
            (&data["kind"], &data["limit"]),
            (&json!("too_many_extensions"), &json!(256))
        );
        assert_eq!(lms.started(), 0);
        // What is not ours is not concerned.
        client.tool("add", json!({"a": 1, "b": 2})).await.result();
    }
}

#[tokio::test]
async fn limits_of_the_set_are_in_force() {
    let limits = Limits {
        max_depth: 4,
        max_params_bytes: 64,
        ..Default::default()
    };
    let (_, set) = grading::set_with(|b| b.limits(limits));
    let mut client = Client::connect(
        wrapped(set),
        Carrier::Stdio,
        Era::Modern,
        grading::declared(),
    )
    .await;
    client
        .call(RUBRICS, json!({"course": "c", "x": nested(4)}))
        .await
        .refused(-32602, 200);
    client
        .call(RUBRICS, course(&"x".repeat(100)))
        .await
        .refused(-32602, 200);
    client.call(RUBRICS, course("c")).await.result();
}

#[tokio::test]
async fn malformed_tool_arguments() {
    for era in [Era::Modern, Era::Legacy] {
        let (lms, mut client) = start(Carrier::Stdio, era, None).await;
        for bad in [json!([]), json!("x"), json!(7)] {
            let answer = client
                .call("tools/call", json!({"name": TOOL, "arguments": bad}))
                .await;
            assert_eq!(
                answer.refused(-32602, 200)["data"]["kind"],
                "malformed_params"
            );
        }
        // Absent and null arguments are none; the model is told what is missing.
        for none in [
            json!({"name": TOOL}),
            json!({"name": TOOL, "arguments": null}),
        ] {
            assert_eq!(
                client.call("tools/call", none).await.result()["isError"],
                true
            );
        }
        assert_eq!(lms.started(), 0);
    }
}

#[tokio::test]
async fn hostile_names_are_not_echoed_in_full() {
    let long = "x".repeat(10_000);
    let server = crate::common::inner::ByHand;
    let server = mcp_ext_rmcp::ServerExtensions::with_extensions(server, grading::set().1).unwrap();
    let mut client = Client::connect(server, Carrier::Stdio, Era::Modern, None).await;
    let answer = client.tool(&long, json!({})).await;
    assert!(
        answer.refused(-32602, 200)["message"]
            .as_str()
            .unwrap()
            .len()
            < 200
    );
    let answer = client.tool("bell\u{7}\u{1b}[31m", json!({})).await;
    assert!(
        !answer.error()["message"]
            .as_str()
            .unwrap()
            .contains('\u{1b}')
    );
}

#[tokio::test]
async fn lines_that_are_no_json_do_not_end_the_connection() {
    let (_, mut client) = start(Carrier::Stdio, Era::Modern, grading::declared()).await;
    client.call(RUBRICS, course("c")).await.result();
    for line in ["{", "[]", "7", "{\"jsonrpc\":\"2.0\"}", "\u{0}"] {
        client.write_text(line).await;
    }
    let params = client.stamped(course("c"));
    client
        .write(&json!({"jsonrpc": "2.0", "id": "after", "method": RUBRICS, "params": params}))
        .await;
    for _ in 0..10 {
        let answer = client
            .read(std::time::Duration::from_secs(5))
            .await
            .expect("the server goes on");
        if answer["id"] == "after" {
            assert!(answer["result"].is_object());
            return;
        }
    }
    panic!("no answer");
}

#[tokio::test]
async fn a_tool_of_another_era_is_unknown() {
    let (_, mut client) = start(Carrier::Stdio, Era::Legacy, None).await;
    client
        .tool(MODERN_TOOL, json!({"term": "x"}))
        .await
        .refused(-32602, 200);
}
