//! The numbered checks that an adapter must meet, on the wire.

use std::time::Duration;

use mcp_ext_core::protocol::Era;
use mcp_ext_core::{ExtensionSet, Limits};
use mcp_ext_rmcp::ServerExtensions;
use serde_json::{Value, json};

use crate::combinations::listed;
use crate::common::grading::{
    self, GATED, ID, LIVE, MODERN_ID, MODERN_METHOD, MODERN_TOOL, RUBRICS, TOOL,
};
use crate::common::http;
use crate::common::inner::{ByHand, DefaultRouter, Paged};
use crate::common::wire::{CARRIERS, Carrier, Client};
use crate::{course, start, wrapped};

// ---- negotiation -------------------------------------------------------------------------------------------------

#[tokio::test]
async fn neg_04_a_declaration_holds_for_one_request_alone() {
    for carrier in CARRIERS {
        let (_, mut client) = start(carrier, Era::Modern, None).await;
        for _ in 0..2 {
            client.declared = grading::declared();
            client.call(RUBRICS, course("c")).await.result();
            let told = client.tool(TOOL, course("c")).await;
            assert_eq!(
                told.result()["structuredContent"]["titles"][0],
                "c for nobody, negotiated: true"
            );
            client.declared = None;
            client.call(RUBRICS, course("c")).await.refused(-32021, 400);
            let told = client.tool(TOOL, course("c")).await;
            assert_eq!(
                told.result()["structuredContent"]["titles"][0],
                "c for nobody, negotiated: false"
            );
        }
    }
}

#[tokio::test]
async fn neg_05_a_declaration_of_discover_is_not_remembered() {
    for carrier in CARRIERS {
        let (_, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        client.declared = None;
        client.call(RUBRICS, course("c")).await.refused(-32021, 400);
    }
}

#[tokio::test]
async fn neg_06_neg_07_undeclared_is_refused_with_400_and_nothing_runs() {
    for carrier in CARRIERS {
        let (lms, mut client) = start(carrier, Era::Modern, None).await;
        // Params that do not fit are not looked at either (REQ-8).
        for params in [course("c"), json!({"course": 7})] {
            let answer = client.call(RUBRICS, params).await;
            let data = &answer.refused(-32021, 400)["data"];
            assert!(
                data["requiredCapabilities"]["extensions"][ID].is_object(),
                "ERR-6: {data}"
            );
        }
        assert_eq!(lms.started(), 0);
    }
}

#[tokio::test]
async fn neg_10_unknown_extensions_are_ignored() {
    for era in [Era::Modern, Era::Legacy] {
        let declared = json!({ID: {"maxBatch": 10}, "com.example/unheard": {"deep": {"er": [1]}}});
        let (_, mut client) = start(Carrier::HttpSessions, era, Some(declared)).await;
        let answer = client.call(RUBRICS, course("c")).await;
        assert_eq!(answer.result()["titles"], json!(["c for nobody, Some(10)"]));
    }
}

#[tokio::test]
async fn neg_11_null_settings_are_refused_and_never_read_as_support() {
    for carrier in CARRIERS {
        for bad in [
            json!({ID: null}),
            json!({ID: true}),
            json!({ID: []}),
            json!({"com.example/other": null}),
            json!([]),
        ] {
            let (lms, mut client) = start(carrier, Era::Modern, None).await;
            client.declared = Some(bad.clone());
            client.call(RUBRICS, course("c")).await.refused(-32602, 400);
            client.tool(TOOL, course("c")).await.refused(-32602, 400);
            assert_eq!(lms.started(), 0, "{bad}");
            client.declared = grading::declared();
            client.call(RUBRICS, course("c")).await.result();
        }
        // A legacy client that repeats its declaration in `_meta` is read by the set itself.
        let (lms, mut client) = start(carrier, Era::Legacy, None).await;
        let mut params = course("c");
        params["_meta"] =
            json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {ID: null}}});
        let answer = client.call(RUBRICS, params).await;
        let data = &answer.refused(-32602, 200)["data"];
        assert_eq!(data["kind"], "malformed_capabilities");
        assert!(
            data["pointer"].as_str().unwrap().contains(ID),
            "it names the key: {data}"
        );
        assert_eq!(lms.started(), 0);
    }
}

#[tokio::test]
async fn neg_12_unknown_members_are_ignored_and_wrong_types_refused() {
    for carrier in CARRIERS {
        let (lms, mut client) = start(
            carrier,
            Era::Modern,
            Some(json!({ID: {"maxBatch": 10, "colour": "red"}})),
        )
        .await;
        client.call(RUBRICS, course("c")).await.result();
        client.declared = Some(json!({ID: {"maxBatch": "privately"}}));
        let answer = client.call(RUBRICS, course("c")).await;
        let data = &answer.refused(-32602, 200)["data"];
        assert_eq!(
            (&data["extension"], &data["kind"]),
            (&json!(ID), &json!("invalid_settings"))
        );
        assert!(
            !answer.frame.to_string().contains("privately"),
            "values are not echoed"
        );
        // Other extensions are not affected.
        client.declared = Some(json!({ID: {"maxBatch": "privately"}, MODERN_ID: {}}));
        client.call(MODERN_METHOD, json!({})).await.result();
        assert_eq!(lms.started(), 1);
    }
}

#[tokio::test]
async fn neg_13_neg_14_discover_lists_what_is_enabled_and_is_the_same_for_everyone() {
    for carrier in CARRIERS {
        let (_, mut client) = start(carrier, Era::Modern, None).await;
        let plain = client.greeting.clone();
        assert_eq!(
            plain["capabilities"]["extensions"],
            json!({
                ID: {"rubricFormats": ["text", "table"], "maxBatch": 50, "write": true, "revision": "2026-11-01", "liveRubrics": false},
                MODERN_ID: {},
            })
        );
        client.declared = grading::declared();
        assert_eq!(
            client.call("server/discover", json!({})).await.result(),
            &plain
        );
    }
}

#[tokio::test]
async fn neg_16_incomplete_meta_is_refused_with_400() {
    for carrier in CARRIERS {
        let (lms, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        client.call(RUBRICS, course("c")).await.result();
        let full = client.stamped(course("c"));
        for key in ["protocolVersion", "clientCapabilities"] {
            let mut params = full.clone();
            params["_meta"]
                .as_object_mut()
                .unwrap()
                .remove(&format!("io.modelcontextprotocol/{key}"));
            let frame = json!({"jsonrpc": "2.0", "method": RUBRICS, "params": params});
            client.send(frame).await.refused(-32602, 400);
            params["_meta"][format!("io.modelcontextprotocol/{key}")] = json!(7);
            let frame = json!({"jsonrpc": "2.0", "method": RUBRICS, "params": params});
            client.send(frame).await.refused(-32602, 400);
        }
        let frame = json!({"jsonrpc": "2.0", "method": RUBRICS, "params": course("c")});
        client.send(frame).await.refused(-32602, 400);
        assert_eq!(lms.started(), 1);
    }
}

#[tokio::test]
async fn neg_18_an_item_that_is_not_provided_is_not_offered() {
    for carrier in CARRIERS {
        let (_, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        assert_eq!(
            client.greeting["capabilities"]["extensions"][ID]["liveRubrics"],
            false
        );
        client.call(LIVE, course("c")).await.refused(-32601, 404);
    }
}

// ---- eras --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn era_01_an_unsupported_version_is_refused_before_the_gate() {
    for carrier in CARRIERS {
        let (lms, mut client) = start(carrier, Era::Modern, None).await;
        client.headers = vec![("MCP-Protocol-Version", "2099-01-01".into())];
        let params = json!({"course": "c", "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2099-01-01",
            "io.modelcontextprotocol/clientCapabilities": {},
        }});
        for method in [RUBRICS, "com.example/nobody/knows"] {
            let answer = client.call(method, params.clone()).await;
            let data = &answer.refused(-32022, 400)["data"];
            assert_eq!(data["requested"], "2099-01-01");
            assert!(!data["supported"].as_array().unwrap().is_empty());
        }
        assert_eq!(lms.started(), 0);
    }
}

#[tokio::test]
async fn era_02_a_modern_extension_is_neither_advertised_nor_effective_for_legacy_peers() {
    let declared = Some(json!({ID: {}, MODERN_ID: {}}));
    for carrier in CARRIERS {
        let (_, mut client) = start(carrier, Era::Legacy, declared.clone()).await;
        assert_eq!(
            client.greeting["capabilities"]["extensions"].get(MODERN_ID),
            None
        );
        client
            .call(MODERN_METHOD, json!({}))
            .await
            .refused(-32601, 200);
        let (names, _) = listed(&mut client).await;
        assert!(!names.iter().any(|n| n == MODERN_TOOL), "{names:?}");
        let answer = client.tool(MODERN_TOOL, json!({"term": "spring"})).await;
        answer.refused(-32602, 200);
    }
}

#[tokio::test]
async fn era_03_a_session_does_not_leak_into_modern_requests() {
    for carrier in [Carrier::HttpSessions, Carrier::Stdio] {
        let (_, mut client) = start(carrier, Era::Legacy, grading::declared()).await;
        client.call(RUBRICS, course("c")).await.result();
        // The same connection, and over HTTP the same session id, with a modern request that declares nothing.
        client.era = Era::Modern;
        client.declared = None;
        client.call(RUBRICS, course("c")).await.refused(-32021, 400);
        client.era = Era::Legacy;
        client.call(RUBRICS, course("c")).await.result();
    }
}

#[tokio::test]
async fn era_04_nothing_modern_is_sent_to_legacy_peers() {
    for carrier in [Carrier::Stdio, Carrier::HttpSessions] {
        let (_, mut client) = start(carrier, Era::Legacy, grading::declared()).await;
        for (method, params) in [
            (RUBRICS, course("c")),
            (RUBRICS, json!({})),
            (RUBRICS, course("none")),
            (
                "tools/call",
                json!({"name": TOOL, "arguments": {"course": "c"}}),
            ),
            (
                "tools/call",
                json!({"name": TOOL, "arguments": {"course": "none"}}),
            ),
            ("tools/call", json!({"name": GATED, "arguments": {}})),
            ("com.example/nobody/knows", json!({})),
        ] {
            // Each frame is checked for `resultType` and for codes of the modern era.
            let answer = client.call(method, params).await;
            let text = answer.frame.to_string();
            assert!(
                !text.contains("io.modelcontextprotocol/serverInfo"),
                "{text}"
            );
        }
    }
}

// ---- requests and results ----------------------------------------------------------------------------------------

#[tokio::test]
async fn req_02_ids_are_echoed_in_their_own_type() {
    let (_, mut client) = start(Carrier::Stdio, Era::Modern, grading::declared()).await;
    for id in [json!("a-1"), json!(77)] {
        let params = client.stamped(course("c"));
        client
            .write(&json!({"jsonrpc": "2.0", "id": id, "method": RUBRICS, "params": params}))
            .await;
        let answer = client.read(Duration::from_secs(5)).await.unwrap();
        assert_eq!(answer["id"], id);
        assert!(answer["result"].is_object());
    }
}

#[tokio::test]
async fn req_03_req_12_modern_results_carry_result_type_and_server_info() {
    for carrier in CARRIERS {
        let (_, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        let theirs = client.greeting["_meta"]["io.modelcontextprotocol/serverInfo"].clone();
        assert!(theirs["name"].is_string());
        for answer in [
            client.call(RUBRICS, course("c")).await,
            client.tool(TOOL, course("c")).await,
            client.tool(TOOL, course("none")).await,
        ] {
            let result = answer.result();
            assert_eq!(result["resultType"], "complete");
            assert_eq!(
                result["_meta"]["io.modelcontextprotocol/serverInfo"], theirs,
                "{result}"
            );
        }
    }
}

#[tokio::test]
async fn req_06_req_07_what_is_not_enabled_is_an_unknown_method() {
    for carrier in [Carrier::HttpSessions, Carrier::HttpStateless] {
        let server = DefaultRouter
            .with_extensions(ExtensionSet::builder().build().unwrap())
            .unwrap();
        let mut client = Client::connect(server, carrier, Era::Modern, grading::declared()).await;
        client.call(RUBRICS, course("c")).await.refused(-32601, 404);
        client
            .call("com.example/nobody/knows", json!({}))
            .await
            .refused(-32601, 404);
    }
}

#[tokio::test]
async fn req_09_a_call_asks_the_client_for_nothing() {
    for carrier in CARRIERS {
        for era in [Era::Modern, Era::Legacy] {
            if (carrier, era) == (Carrier::HttpStateless, Era::Legacy) {
                continue; // The declaration of a session is lost there.
            }
            let (_, mut client) = start(carrier, era, grading::declared()).await;
            let answer = client.call(RUBRICS, course("notify")).await;
            assert!(answer.result().is_object());
            assert!(
                era == Era::Legacy || !answer.before.is_empty(),
                "{carrier:?}"
            );
            for frame in &answer.before {
                assert!(
                    frame["method"].is_string() && frame.get("id").is_none(),
                    "{frame}"
                );
            }
        }
    }
}

#[tokio::test]
async fn req_10_ca_04_lists_do_not_depend_on_earlier_calls_or_connections() {
    for carrier in [Carrier::HttpSessions, Carrier::HttpStateless] {
        let (_, mut client) = start(carrier, Era::Modern, None).await;
        let (_, before) = listed(&mut client).await;
        client.declared = grading::declared();
        client.call(RUBRICS, course("c")).await.result();
        client.tool(GATED, course("c")).await.result();
        let (_, after) = listed(&mut client).await;
        let mut other = client.beside(Era::Modern, None).await;
        let (_, elsewhere) = listed(&mut other).await;
        assert_eq!(before, after);
        assert_eq!(before, elsewhere);
    }
}

#[tokio::test]
async fn req_13_a_call_that_takes_too_long_is_stopped() {
    for carrier in CARRIERS {
        let limits = Limits {
            max_duration: Duration::from_millis(60),
            ..Default::default()
        };
        let (lms, set) = grading::set_with(|b| b.limits(limits));
        let mut client =
            Client::connect(wrapped(set), carrier, Era::Modern, grading::declared()).await;
        let answer = client.call(RUBRICS, course("hang")).await;
        let data = &answer.refused(-32603, 200)["data"];
        assert_eq!(
            (&data["kind"], &data["limit"], &data["retryable"]),
            (&json!("timeout"), &json!(60), &json!(true))
        );
        client.tool(TOOL, course("hang")).await.refused(-32603, 200);
        lms.wait(2, 2).await;
        client.call(RUBRICS, course("c")).await.result();
    }
}

#[tokio::test]
async fn req_16_tools_are_advertised_where_only_extensions_have_some() {
    for era in [Era::Modern, Era::Legacy] {
        let server = ByHand.with_extensions(grading::set().1).unwrap();
        let client = Client::connect(server, Carrier::Stdio, era, None).await;
        assert_eq!(client.greeting["capabilities"]["tools"], json!({}));
    }
    // Without tools for an era, nothing is claimed.
    use mcp_ext_core::__private_0_1_0 as rt;
    let set = || {
        ExtensionSet::builder()
            .enable(rt::Enable::<grading::ModernExtension>::new(grading::Terms))
            .build()
            .unwrap()
    };
    for (era, has) in [(Era::Modern, true), (Era::Legacy, false)] {
        let server = ByHand.with_extensions(set()).unwrap();
        let mut client = Client::connect(server, Carrier::HttpStateless, era, None).await;
        assert_eq!(client.greeting["capabilities"].get("tools").is_some(), has);
        if !has {
            client
                .call("tools/list", json!({}))
                .await
                .refused(-32601, 200);
        }
    }
}

#[tokio::test]
async fn req_17_tools_are_listed_in_the_same_order_each_time() {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (_, mut client) = start(Carrier::Stdio, Era::Modern, None).await;
        seen.push(listed(&mut client).await.0);
    }
    assert_eq!(seen[0], ["add", TOOL, MODERN_TOOL, GATED]);
    assert!(seen.iter().all(|names| names == &seen[0]));
}

#[tokio::test]
async fn req_18_notifications_get_no_answer() {
    for era in [Era::Modern, Era::Legacy] {
        let (_, mut client) = start(Carrier::Stdio, era, grading::declared()).await;
        client.call(RUBRICS, course("c")).await.result();
        // Even one that names a method of ours.
        client.notify(RUBRICS, course("c")).await;
        client
            .notify("notifications/com.example/grading/anything", json!({}))
            .await;
        assert_eq!(client.read(Duration::from_millis(150)).await, None);
    }
}

/// Also NEG-4 and NEG-5 under load: each answer fits its own request.
#[tokio::test]
async fn req_19_many_interleaved_requests_with_and_without_declaration() {
    let (_, mut client) = start(Carrier::Stdio, Era::Modern, None).await;
    client.call("tools/list", json!({})).await;
    let mut expected = std::collections::HashMap::new();
    for i in 0..300u32 {
        client.declared = (i % 3 != 0).then(|| json!({ID: {"maxBatch": i + 1}}));
        let name = if i % 5 == 0 {
            "sleep".to_owned()
        } else {
            format!("c{i}")
        };
        let params = client.stamped(course(&name));
        let mut frame = json!({"jsonrpc": "2.0", "method": RUBRICS, "params": params});
        if i % 2 == 0 {
            let params = client.stamped(json!({"name": TOOL, "arguments": course(&name)}));
            frame = json!({"jsonrpc": "2.0", "method": "tools/call", "params": params});
        }
        let id = client.start(&mut frame);
        client.write(&frame).await;
        expected.insert(id, (i, name));
    }
    while !expected.is_empty() {
        let answer = client
            .read(Duration::from_secs(10))
            .await
            .expect("an answer to each");
        let (i, name) = expected
            .remove(&answer["id"].as_i64().unwrap())
            .expect("one answer to each");
        let declared = i % 3 != 0;
        if i % 2 == 0 {
            let words = format!("{name} for nobody, negotiated: {declared}");
            assert_eq!(
                answer["result"]["structuredContent"]["titles"],
                json!([words])
            );
        } else if declared {
            let batch = (i + 1).min(50);
            assert_eq!(
                answer["result"]["titles"],
                json!([format!("{name} for nobody, Some({batch})")])
            );
        } else {
            assert_eq!(answer["error"]["code"], -32021);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn req_19_many_clients_at_once_over_http() {
    for carrier in [Carrier::HttpSessions, Carrier::HttpStateless] {
        let (_, client) = start(carrier, Era::Modern, None).await;
        let mut running = tokio::task::JoinSet::new();
        for i in 0..60u32 {
            let mut client = client.beside(Era::Modern, None).await;
            client.headers = vec![(http::USER, format!("user-{i}"))];
            running.spawn(async move {
                client.declared = (i % 2 == 0).then(|| json!({ID: {"maxBatch": i + 1}}));
                let answer = client.call(RUBRICS, course("sleep")).await;
                if i % 2 == 0 {
                    let words = format!("sleep for user-{i}, Some({})", (i + 1).min(50));
                    assert_eq!(answer.result()["titles"], json!([words]));
                } else {
                    answer.refused(-32021, 400);
                }
            });
        }
        while let Some(done) = running.join_next().await {
            done.unwrap();
        }
    }
}

#[tokio::test]
async fn req_19_more_calls_than_allowed_at_once_are_turned_away() {
    let limits = Limits {
        max_concurrent: 2,
        ..Default::default()
    };
    let (lms, set) = grading::set_with(|b| b.limits(limits));
    let mut client = Client::connect(
        wrapped(set),
        Carrier::Stdio,
        Era::Modern,
        grading::declared(),
    )
    .await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let params = client.stamped(course("hang"));
        let mut frame = json!({"jsonrpc": "2.0", "method": RUBRICS, "params": params});
        ids.push(client.start(&mut frame));
        client.write(&frame).await;
    }
    lms.wait(2, 0).await;
    let answer = client.call(RUBRICS, course("c")).await;
    assert_eq!(answer.refused(-32603, 200)["data"]["kind"], "busy");
    for id in ids {
        client
            .notify("notifications/cancelled", json!({"requestId": id}))
            .await;
    }
    lms.wait(2, 2).await;
    client.call(RUBRICS, course("c")).await.result();
}

#[tokio::test]
async fn req_25_hdr_14_a_cancelled_call_is_dropped_and_nothing_more_is_sent() {
    for era in [Era::Modern, Era::Legacy] {
        for tool in [false, true] {
            let (lms, mut client) = start(Carrier::Stdio, era, grading::declared()).await;
            let (method, params) = if tool {
                (
                    "tools/call",
                    json!({"name": TOOL, "arguments": course("hang")}),
                )
            } else {
                (RUBRICS, course("hang"))
            };
            let mut frame =
                json!({"jsonrpc": "2.0", "method": method, "params": client.stamped(params)});
            let id = client.start(&mut frame);
            client.write(&frame).await;
            lms.wait(1, 0).await;
            client
                .notify(
                    "notifications/cancelled",
                    json!({"requestId": id, "reason": "enough"}),
                )
                .await;
            lms.wait(1, 1).await;
            assert_eq!(
                client.read(Duration::from_millis(150)).await,
                None,
                "{era:?}"
            );
            client.call(RUBRICS, course("c")).await.result();
            assert_eq!(lms.finished.load(std::sync::atomic::Ordering::SeqCst), 1);
        }
    }
}

#[tokio::test]
async fn req_25_a_client_that_hangs_up_cancels_its_call() {
    for carrier in [Carrier::HttpSessions, Carrier::HttpStateless] {
        let (lms, client) = start(carrier, Era::Modern, grading::declared()).await;
        let params = client.stamped(course("hang"));
        let frame = json!({"jsonrpc": "2.0", "id": 5, "method": RUBRICS, "params": params});
        let stream = http::open(
            client.address(),
            &client.headers_for(&frame),
            &frame.to_string(),
        )
        .await;
        lms.wait(1, 0).await;
        drop(stream);
        lms.wait(1, 1).await;
    }
}

// ---- errors ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn err_04_own_errors_keep_code_kind_and_details() {
    for carrier in CARRIERS {
        let (_, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        let answer = client.call(RUBRICS, course("none")).await;
        let error = answer.refused(4100, 200);
        assert_eq!(
            error["data"],
            json!({"extension": ID, "kind": "unknown_course", "details": {"course": "none"}})
        );
    }
}

#[tokio::test]
async fn err_08_trouble_inside_a_tool_is_told_in_its_result() {
    for carrier in CARRIERS {
        for era in [Era::Modern, Era::Legacy] {
            let (_, mut client) = start(carrier, era, None).await;
            let answer = client.tool(TOOL, course("none")).await;
            assert_eq!(answer.result()["isError"], true);
            assert_eq!(answer.result()["content"][0]["text"], "no course none");
            assert_eq!(
                answer.result()["structuredContent"]["error"]["kind"],
                "unknown_course"
            );
            let answer = client.tool(TOOL, json!({"course": 7})).await;
            assert_eq!(
                answer.result()["isError"],
                true,
                "bad arguments are for the model to mend"
            );
        }
    }
}

#[tokio::test]
async fn err_07_an_unknown_tool_is_bad_params() {
    async fn unknown<S: rmcp::ServerHandler + Clone>(server: S) {
        for carrier in CARRIERS {
            for era in [Era::Modern, Era::Legacy] {
                let server = std::sync::Arc::new(server.clone())
                    .with_extensions(grading::set().1)
                    .unwrap();
                let mut client = Client::connect(server, carrier, era, None).await;
                client
                    .tool("no_such_tool", json!({}))
                    .await
                    .refused(-32602, 200);
            }
        }
    }
    unknown(DefaultRouter).await;
    unknown(Paged).await;
    // Has no tools of its own, so that rmcp's default would answer -32601.
    unknown(ByHand).await;
}

#[tokio::test]
async fn err_a_panic_is_answered_and_the_server_goes_on() {
    for carrier in CARRIERS {
        let (_, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        let answer = client.call(RUBRICS, course("panic")).await;
        assert_eq!(
            answer.refused(-32603, 200)["data"]["kind"],
            "handler_panicked"
        );
        assert!(
            !answer.frame.to_string().contains("a fault in the provider"),
            "ERR-9"
        );
        client.tool(TOOL, course("panic")).await;
        client.call(RUBRICS, course("c")).await.result();
    }
}

// ---- transport ---------------------------------------------------------------------------------------------------

#[tokio::test]
async fn hdr_16_refusals_have_their_status_before_any_stream_opens() {
    let (_, client) = start(Carrier::HttpSessions, Era::Modern, None).await;
    for (method, status) in [
        (RUBRICS, 400),
        (LIVE, 404),
        ("com.example/nobody/knows", 404),
    ] {
        let frame = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": client.stamped(course("c"))});
        let response = http::post(
            client.address(),
            &client.headers_for(&frame),
            &frame.to_string(),
        )
        .await;
        assert_eq!(response.status, status);
        assert!(
            response
                .header("content-type")
                .unwrap()
                .starts_with("application/json")
        );
    }
}

#[tokio::test]
async fn hdr_17_the_answer_ends_the_stream() {
    let (_, client) = start(Carrier::HttpSessions, Era::Modern, grading::declared()).await;
    let frame = json!({"jsonrpc": "2.0", "id": 1, "method": RUBRICS, "params": client.stamped(course("notify"))});
    // Reading to the end would run into its time limit otherwise.
    let response = http::post(
        client.address(),
        &client.headers_for(&frame),
        &frame.to_string(),
    )
    .await;
    assert!(
        response
            .header("content-type")
            .unwrap()
            .starts_with("text/event-stream")
    );
    assert!(response.frames().last().unwrap()["result"].is_object());
}

#[tokio::test]
async fn hdr_15_every_transport_carries_the_same_answers() {
    let mut seen = Vec::new();
    for carrier in CARRIERS {
        let (_, mut client) = start(carrier, Era::Modern, None).await;
        let mut answers = vec![client.greeting.clone()];
        for declared in [None, grading::declared(), Some(json!({ID: null}))] {
            client.declared = declared;
            for (method, params) in [
                (RUBRICS, course("c")),
                (RUBRICS, course("none")),
                (RUBRICS, json!({"course": 7})),
                (LIVE, course("c")),
                ("com.example/nobody/knows", json!({})),
                (
                    "tools/call",
                    json!({"name": TOOL, "arguments": course("c")}),
                ),
                (
                    "tools/call",
                    json!({"name": GATED, "arguments": course("c")}),
                ),
                ("tools/list", json!({})),
            ] {
                answers.push(client.call(method, params).await.frame);
            }
        }
        seen.push(answers);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

#[tokio::test]
async fn hdr_13_each_frame_is_one_line() {
    let (_, mut client) = start(Carrier::Stdio, Era::Modern, grading::declared()).await;
    // `read` parses line by line, so that a newline inside a frame would break it.
    let answer = client.call(RUBRICS, course("two\nlines\u{2028}")).await;
    assert_eq!(
        answer.result()["titles"],
        json!(["two\nlines\u{2028} for nobody, Some(10)"])
    );
}

#[tokio::test]
async fn hdr_22_the_server_ends_with_its_input() {
    use rmcp::ServiceExt;
    use tokio::io::AsyncWriteExt;
    for greeted in [false, true] {
        let (mut ours, theirs) = tokio::io::duplex(1 << 16);
        let server = tokio::spawn(async move {
            match wrapped(grading::set().1).serve(theirs).await {
                Ok(running) => drop(running.waiting().await),
                Err(error) => drop(error),
            }
        });
        if greeted {
            let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}});
            let frame =
                json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
            ours.write_all(format!("{frame}\n").as_bytes())
                .await
                .unwrap();
        }
        drop(ours);
        tokio::time::timeout(Duration::from_secs(8), server)
            .await
            .expect("it ends")
            .unwrap();
    }
}

// ---- lists -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn ca_01_lists_have_their_cache_hints_also_where_only_extensions_have_tools() {
    for carrier in CARRIERS {
        let server = ByHand.with_extensions(grading::set().1).unwrap();
        let mut client = Client::connect(server, carrier, Era::Modern, None).await;
        let (_, pages) = listed(&mut client).await;
        assert!(
            pages[0]["ttlMs"].is_u64() && pages[0]["cacheScope"].is_string(),
            "{}",
            pages[0]
        );
    }
}

#[tokio::test]
async fn ca_02_all_pages_have_one_scope() {
    for filter in [false, true] {
        let server = Paged
            .with_extensions(grading::set_with(|b| b.filter_lists(filter)).1)
            .unwrap();
        let mut client =
            Client::connect(server, Carrier::Stdio, Era::Modern, grading::declared()).await;
        let (_, pages) = listed(&mut client).await;
        assert_eq!(pages.len(), 2);
        assert_eq!(pages[0]["cacheScope"], pages[1]["cacheScope"]);
    }
}

#[tokio::test]
async fn ca_03_a_filtered_list_is_private_and_stale_even_when_nothing_is_hidden() {
    let server = DefaultRouter
        .with_extensions(grading::set_with(|b| b.filter_lists(true)).1)
        .unwrap();
    let mut client = Client::connect(
        server,
        Carrier::Stdio,
        Era::Modern,
        Some(json!({ID: {}, MODERN_ID: {}})),
    )
    .await;
    let (names, pages) = listed(&mut client).await;
    assert_eq!(names, ["add", TOOL, MODERN_TOOL, GATED]);
    assert_eq!(
        (&pages[0]["cacheScope"], &pages[0]["ttlMs"]),
        (&json!("private"), &json!(0))
    );
    // What is hidden is refused all the same.
    client.declared = None;
    let (names, _) = listed(&mut client).await;
    assert_eq!(names, ["add"]);
    client.tool(GATED, course("c")).await.refused(-32021, 400);
}

#[tokio::test]
async fn neg_08_undeclared_clients_see_the_core_behaviour() {
    for carrier in CARRIERS {
        let bare = std::sync::Arc::new(DefaultRouter);
        let mut bare = Client::connect(bare, carrier, Era::Modern, None).await;
        let (_, mut client) = start(carrier, Era::Modern, None).await;
        for (method, params) in [
            (
                "tools/call",
                json!({"name": "add", "arguments": {"a": 1, "b": 2}}),
            ),
            (
                "tools/call",
                json!({"name": "add", "arguments": {"a": "x"}}),
            ),
            ("prompts/list", json!({})),
            ("com.example/nobody/knows", json!({})),
        ] {
            let (with, without) = (
                client.call(method, params.clone()).await,
                bare.call(method, params).await,
            );
            assert_eq!((with.status, with.frame), (without.status, without.frame));
        }
        let strip = |mut greeting: Value| {
            greeting["capabilities"]
                .as_object_mut()
                .unwrap()
                .remove("extensions");
            greeting
        };
        assert_eq!(strip(client.greeting.clone()), strip(bare.greeting.clone()));
    }
}
