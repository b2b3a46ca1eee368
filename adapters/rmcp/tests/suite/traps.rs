//! Traps of rmcp, one test each: what it does by itself, and what a wrapper would get wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_ext_core::protocol::Era;
use mcp_ext_core::{ExtensionSet, Observer};
use mcp_ext_rmcp::{AdapterError, ServerExtensions};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomNotification,
    ExtensionCapabilities, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

use crate::combinations::listed;
use crate::common::grading::{
    self, CHANGED, GATED, ID, MODERN_ID, MODERN_TOOL, RUBRIC, RUBRICS, TOOL,
};
use crate::common::inner::{ByHand, DefaultRouter, OWN_ID, OWN_METHOD, Paged, plain_tool};
use crate::common::wire::{CARRIERS, Carrier, Client};
use crate::common::{frames, http};
use crate::{course, start, wrapped};

/// A wrapper below `ServerHandler` would bypass these checks.
#[tokio::test]
async fn trap_version_and_meta_checks_of_rmcp_stay_in_force() {
    for carrier in CARRIERS {
        let (lms, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        let capabilities = client.capabilities();
        client.headers = vec![("MCP-Protocol-Version", "1900-01-01".into())];
        let params = json!({"course": "c", "_meta": {
            "io.modelcontextprotocol/protocolVersion": "1900-01-01",
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        }});
        let answer = client.call(RUBRICS, params).await;
        let data = &answer.refused(-32022, 400)["data"];
        assert_eq!(data["requested"], "1900-01-01");
        assert!(
            data["supported"]
                .as_array()
                .unwrap()
                .contains(&json!("2026-07-28"))
        );
        assert_eq!(lms.started(), 0);
    }
}

#[tokio::test]
async fn trap_meta_is_taken_out_of_params_and_kept_for_the_handler() {
    let (_, mut client) = start(Carrier::Stdio, Era::Modern, grading::declared()).await;
    let mut params = client.stamped(course("meta"));
    params["_meta"]["com.example/anything"] = json!({"x": 1});
    params["_meta"]["traceparent"] =
        json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let answer = client.call(RUBRICS, params).await;
    let titles = &answer.result()["titles"];
    assert!(
        titles[0].as_str().unwrap().contains("com.example/anything"),
        "META-5: {titles}"
    );
    assert_eq!(
        titles[1],
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    );
}

#[tokio::test]
async fn trap_filtered_lists_are_private_and_stale_for_modern_peers_alone() {
    for carrier in CARRIERS {
        for era in [Era::Modern, Era::Legacy] {
            for declared in [None, grading::declared()] {
                let seen =
                    declared.is_some() && (carrier, era) != (Carrier::HttpStateless, Era::Legacy);
                let (_, set) = grading::set_with(|b| b.filter_lists(true));
                let server = Paged.with_extensions(set).unwrap();
                let mut client = Client::connect(server, carrier, era, declared).await;
                let (names, pages) = listed(&mut client).await;
                let expected: &[&str] = if seen {
                    &["one", TOOL, GATED, "two"]
                } else {
                    &["one", "two"]
                };
                assert_eq!(names, expected, "{carrier:?} {era:?}");
                assert_eq!(pages.len(), 2);
                for page in pages {
                    match era {
                        Era::Modern => assert_eq!(
                            (&page["cacheScope"], &page["ttlMs"]),
                            (&json!("private"), &json!(0))
                        ),
                        Era::Legacy => {
                            assert_eq!((page.get("cacheScope"), page.get("ttlMs")), (None, None))
                        }
                    }
                }
            }
        }
    }
}

/// Says that its list stays fresh for an hour, for everyone.
#[derive(Clone)]
struct LongLived;

impl ServerHandler for LongLived {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut page = ListToolsResult::with_all_items(vec![plain_tool("one")]);
        page.ttl_ms = Some(3_600_000);
        page.cache_scope = Some(rmcp::model::CacheScope::Public);
        Ok(page)
    }
}

#[tokio::test]
async fn trap_a_long_lived_list_becomes_stale_when_it_is_filtered() {
    for (filter, hints) in [(false, ("public", 3_600_000)), (true, ("private", 0))] {
        let (_, set) = grading::set_with(|builder| builder.filter_lists(filter));
        let server = LongLived.with_extensions(set).unwrap();
        let mut client = Client::connect(server, Carrier::Stdio, Era::Modern, None).await;
        let (_, pages) = listed(&mut client).await;
        assert_eq!(
            (&pages[0]["cacheScope"], &pages[0]["ttlMs"]),
            (&json!(hints.0), &json!(hints.1))
        );
    }
}

/// `#[tool_handler]` says `public`; only a filtered list may take that back.
#[tokio::test]
async fn trap_cache_hints_of_the_wrapped_server_are_left_alone() {
    for era in [Era::Modern, Era::Legacy] {
        let mut bare = Client::connect(Arc::new(DefaultRouter), Carrier::Stdio, era, None).await;
        let (_, theirs) = listed(&mut bare).await;
        let (_, mut client) = start(Carrier::Stdio, era, None).await;
        let (_, mut merged) = listed(&mut client).await;
        merged[0]["tools"].as_array_mut().unwrap().truncate(1);
        assert_eq!(merged, theirs);
        if era == Era::Modern {
            assert_eq!(merged[0]["cacheScope"], "public");
        }
    }
}

#[tokio::test]
async fn trap_result_type_is_on_modern_results_alone() {
    for carrier in CARRIERS {
        let (_, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        assert_eq!(
            client.call(RUBRICS, course("c")).await.result()["resultType"],
            "complete"
        );
        assert_eq!(
            client.tool(TOOL, course("c")).await.result()["resultType"],
            "complete"
        );
    }
    for carrier in [Carrier::Stdio, Carrier::HttpSessions] {
        let (_, mut client) = start(carrier, Era::Legacy, grading::declared()).await;
        assert_eq!(
            client
                .call(RUBRICS, course("c"))
                .await
                .result()
                .get("resultType"),
            None
        );
        assert_eq!(
            client
                .tool(TOOL, course("c"))
                .await
                .result()
                .get("resultType"),
            None
        );
        assert_eq!(
            client
                .tool(TOOL, course("none"))
                .await
                .result()
                .get("resultType"),
            None
        );
    }
}

/// rmcp stamps no `resultType` on what a server answers to a custom method; that is the server's own affair.
#[tokio::test]
async fn trap_custom_results_of_the_wrapped_server_are_left_alone() {
    let (_, set) = grading::set();
    let server = ByHand.with_extensions(set).unwrap();
    let mut client = Client::connect(server, Carrier::Stdio, Era::Modern, None).await;
    let mut frame =
        json!({"jsonrpc": "2.0", "method": OWN_METHOD, "params": client.stamped(json!({"x": 1}))});
    let id = client.start(&mut frame);
    client.write(&frame).await;
    let answer = client.read(Duration::from_secs(5)).await.unwrap();
    assert_eq!(
        answer,
        json!({"jsonrpc": "2.0", "id": id, "result": {"echo": {"x": 1}}})
    );
}

/// rmcp's decoder takes them for requests it does not know.
#[tokio::test]
async fn trap_malformed_core_params_are_bad_params_and_not_an_unknown_method() {
    for carrier in CARRIERS {
        for era in [Era::Modern, Era::Legacy] {
            let (_, mut client) = start(carrier, era, None).await;
            client.headers = vec![("Mcp-Name", "add".into())];
            let params = json!({"name": "add", "arguments": [1, 2]});
            let answer = client.call("tools/call", params).await;
            assert_eq!(
                answer.refused(-32602, 200)["data"]["kind"],
                "malformed_params"
            );
            client.headers.clear();
            client
                .call("tools/call", json!({"nam": "add"}))
                .await
                .refused(-32602, 200);
            // A method of a capability that the server lacks is unknown, however its params look.
            let status = if era == Era::Modern { 404 } else { 200 };
            client
                .call("prompts/get", json!({"nam": "x"}))
                .await
                .refused(-32601, status);
            client
                .call("tasks/get", json!({}))
                .await
                .refused(-32601, status);
        }
    }
}

/// Every core method with params that do not fit, in front of a server that has all of them.
#[tokio::test]
async fn trap_malformed_params_of_each_core_method_rmcp_decodes() {
    #[derive(Clone)]
    struct Everything;
    impl ServerHandler for Everything {
        fn get_info(&self) -> ServerConfig {
            let capabilities = json!({"tools": {}, "prompts": {}, "resources": {"subscribe": true}, "completions": {}, "logging": {}});
            ServerConfig::new(serde_json::from_value(capabilities).unwrap())
        }

        fn accepted_subscription_filter(
            &self,
            requested: &rmcp::model::SubscriptionFilter,
        ) -> Option<rmcp::model::SubscriptionFilter> {
            Some(requested.clone())
        }
    }
    let both: &[(&str, Value)] = &[
        ("tools/call", json!({})),
        ("prompts/get", json!({"name": 1})),
        ("resources/read", json!({"url": "x"})),
        ("completion/complete", json!({"ref": 1})),
    ];
    let legacy = [
        ("logging/setLevel", json!({"level": "loud"})),
        ("resources/subscribe", json!({})),
        ("resources/unsubscribe", json!({})),
    ];
    let modern = [("subscriptions/listen", json!({}))];
    for era in [Era::Modern, Era::Legacy] {
        let server = Everything.with_extensions(grading::set().1).unwrap();
        let mut client = Client::connect(server, Carrier::Stdio, era, None).await;
        client.call("tools/list", json!({})).await;
        let (own, other): (&[_], &[_]) = match era {
            Era::Modern => (&modern, &legacy),
            Era::Legacy => (&legacy, &modern),
        };
        for (method, params) in both.iter().chain(own) {
            let answer = client.call(method, params.clone()).await;
            assert_eq!(answer.error()["code"], -32602, "{method}: {}", answer.frame);
            assert_eq!(
                answer.error()["data"],
                json!({"kind": "malformed_params", "method": method})
            );
        }
        for (method, params) in other {
            let answer = client.call(method, params.clone()).await;
            assert_eq!(
                answer.error()["code"],
                -32601,
                "{method} is of the other era: {}",
                answer.frame
            );
        }
    }
}

/// rmcp reads optional params that do not fit as none at all, and nobody behind it can tell.
#[tokio::test]
async fn trap_a_malformed_cursor_is_no_cursor_in_rmcp() {
    let server = Paged.with_extensions(grading::set().1).unwrap();
    let mut client = Client::connect(server, Carrier::Stdio, Era::Modern, None).await;
    let answer = client.call("tools/list", json!({"cursor": 7})).await;
    assert_eq!(answer.result()["tools"][0]["name"], "one");
    // A cursor that nobody gave out is refused.
    client
        .call("tools/list", json!({"cursor": "7"}))
        .await
        .refused(-32602, 200);
    let server = ByHand.with_extensions(grading::set().1).unwrap();
    let mut client = Client::connect(server, Carrier::Stdio, Era::Modern, None).await;
    client
        .call("tools/list", json!({"cursor": "7"}))
        .await
        .refused(-32602, 200);
}

/// `initialize` with settings that are no object never counts as support, whoever refuses it.
#[tokio::test]
async fn trap_null_settings_in_initialize_neg_11() {
    for (carrier, code, status) in [
        (Carrier::Stdio, Some(-32602), None),
        (Carrier::HttpSessions, None, Some(400)),
        (Carrier::HttpStateless, Some(-32602), Some(200)),
    ] {
        let client = Client::silent(wrapped(grading::set().1), carrier, Era::Legacy, None).await;
        let frame = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {"extensions": {ID: null}},
            "clientInfo": {"name": "raw", "version": "1"}}});
        if carrier.is_http() {
            let response = http::post(client.address(), &[], &frame.to_string()).await;
            assert_eq!(
                Some(response.status),
                status,
                "{carrier:?}: {}",
                response.body
            );
            if code.is_some() {
                assert_eq!(response.frames()[0]["error"]["code"].as_i64(), code);
            }
        } else {
            let mut client = client;
            client.write(&frame).await;
            let answer = client.read(Duration::from_secs(5)).await.unwrap();
            assert_eq!(answer["error"]["code"].as_i64(), code, "{answer}");
        }
    }
}

#[tokio::test]
async fn trap_a_later_initialize_does_not_end_a_modern_session() {
    let (_, mut client) = start(Carrier::Stdio, Era::Modern, grading::declared()).await;
    client.call(RUBRICS, course("c")).await.result();
    // Read without validation: the answer is a legacy one.
    let mut frame = json!({"jsonrpc": "2.0", "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": client.capabilities(),
        "clientInfo": {"name": "raw", "version": "1"}}});
    client.start(&mut frame);
    client.write(&frame).await;
    let answer = client.read(Duration::from_secs(5)).await.unwrap();
    assert!(
        answer["result"]["capabilities"]["extensions"]
            .get(MODERN_ID)
            .is_none(),
        "ERA-2: {answer}"
    );
    // ERA-3: what the session declared does not leak into a modern request, and `_meta` stays required.
    client.declared = None;
    client.call(RUBRICS, course("c")).await.refused(-32021, 400);
    let frame = json!({"jsonrpc": "2.0", "method": RUBRICS, "params": {"course": "c"}});
    client.send(frame).await.refused(-32602, 400);
}

/// An `initialize` of one's own often leaves 2026-07-28 in the result, which rmcp corrects after the handler.
#[tokio::test]
async fn trap_the_version_of_initialize_is_settled_after_the_handler() {
    for carrier in CARRIERS {
        let (_, set) = grading::set();
        let server = ByHand.with_extensions(set).unwrap();
        let client = Client::connect(server, carrier, Era::Legacy, None).await;
        assert_eq!(client.greeting["protocolVersion"], "2025-11-25");
        let extensions = client.greeting["capabilities"]["extensions"]
            .as_object()
            .unwrap();
        assert_eq!(
            extensions.keys().map(String::as_str).collect::<Vec<_>>(),
            [ID, OWN_ID],
            "ERA-2"
        );
    }
}

#[tokio::test]
async fn trap_a_declaration_in_meta_wins_over_the_session() {
    for carrier in [Carrier::Stdio, Carrier::HttpSessions] {
        let (_, mut client) = start(carrier, Era::Legacy, grading::declared()).await;
        let mut params = course("c");
        params["_meta"] = json!({"io.modelcontextprotocol/clientCapabilities": {}});
        client.call(RUBRICS, params).await.refused(-32601, 200);
        let (_, mut client) = start(carrier, Era::Legacy, None).await;
        let mut params = course("c");
        params["_meta"] =
            json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {ID: {}}}});
        client.call(RUBRICS, params).await.result();
    }
}

#[tokio::test]
async fn trap_absent_and_null_params_are_none() {
    let (_, mut client) = start(Carrier::Stdio, Era::Legacy, grading::declared()).await;
    for frame in [
        json!({"jsonrpc": "2.0", "method": RUBRICS}),
        json!({"jsonrpc": "2.0", "method": RUBRICS, "params": null}),
    ] {
        let answer = client.send(frame).await;
        assert_eq!(
            answer.refused(-32602, 200)["data"]["kind"],
            "invalid_params"
        );
    }
}

/// rmcp cannot decode the message at all, so that nobody can answer its id.
#[tokio::test]
async fn trap_params_that_are_no_object_are_lost_in_rmcp() {
    let (_, mut client) = start(Carrier::Stdio, Era::Legacy, grading::declared()).await;
    client
        .write_text(
            &json!({"jsonrpc": "2.0", "id": 9, "method": RUBRICS, "params": [1]}).to_string(),
        )
        .await;
    let answer = client.read(Duration::from_secs(5)).await.unwrap();
    assert_eq!(answer["error"]["code"], -32600, "{answer}");
    assert!(answer.get("id").is_none_or(Value::is_null));
    // The server goes on.
    client.call(RUBRICS, course("c")).await.result();

    let (_, client) = start(Carrier::HttpStateless, Era::Legacy, None).await;
    let body = json!({"jsonrpc": "2.0", "id": 9, "method": RUBRICS, "params": [1]}).to_string();
    assert_eq!(http::post(client.address(), &[], &body).await.status, 415);
}

#[tokio::test]
async fn trap_notifications_about_a_request_arrive_before_its_answer() {
    for carrier in CARRIERS {
        for era in [Era::Modern, Era::Legacy] {
            let (_, mut client) = start(carrier, era, grading::declared()).await;
            let mut params = client.stamped(course("notify"));
            params["_meta"]["progressToken"] = json!("t-1");
            if (carrier, era) == (Carrier::HttpStateless, Era::Legacy) {
                params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
                    client.capabilities();
            }
            let answer = client.call(RUBRICS, params).await;
            answer.result();
            let methods: Vec<_> = answer
                .before
                .iter()
                .map(|f| f["method"].as_str().unwrap())
                .collect();
            if (carrier, era) == (Carrier::HttpSessions, Era::Legacy) {
                // rmcp puts all but progress on the stream of the session, which this client has not opened.
                assert_eq!(methods, ["notifications/progress"]);
            } else {
                assert_eq!(
                    methods,
                    ["notifications/progress", CHANGED],
                    "{carrier:?} {era:?}"
                );
                assert_eq!(answer.before[1]["params"], json!({"grade": 1}));
            }
            assert_eq!(answer.before[0]["params"]["progressToken"], "t-1");
        }
    }
}

/// Once a notification has opened the stream, the status is 200 whatever follows.
#[tokio::test]
async fn trap_an_error_after_a_notification_has_status_200() {
    let (_, mut client) = start(Carrier::HttpStateless, Era::Modern, grading::declared()).await;
    let answer = client.call(RUBRICS, course("notify none")).await;
    assert_eq!(answer.before.len(), 1);
    answer.refused(4100, 200);
}

#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<String>>>);

impl ServerHandler for Listener {
    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        _: NotificationContext<RoleServer>,
    ) {
        self.0.lock().unwrap().push(notification.method);
    }
}

#[tokio::test]
async fn trap_client_notifications_reach_the_wrapped_server_only_where_rmcp_carries_them() {
    for carrier in CARRIERS {
        for era in [Era::Modern, Era::Legacy] {
            let listener = Listener::default();
            let (_, set) = grading::set();
            let server = listener.clone().with_extensions(set).unwrap();
            let mut client = Client::connect(server, carrier, era, grading::declared()).await;
            if era == Era::Modern {
                // The first request decides about the life of a stdio session.
                client.call("tools/list", json!({})).await;
            }
            // An extension defines none from client to server: what is in its name space is dropped.
            client.notify(CHANGED, json!({"grade": 1})).await;
            client
                .notify("notifications/com.example/other/event", json!({}))
                .await;
            client.call("tools/list", json!({})).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let carried =
                carrier == Carrier::Stdio || (carrier, era) == (Carrier::HttpSessions, Era::Legacy);
            let expected: &[&str] = if carried {
                &["notifications/com.example/other/event"]
            } else {
                &[]
            };
            assert_eq!(*listener.0.lock().unwrap(), expected, "{carrier:?} {era:?}");
        }
    }
}

/// rmcp looks a tool's schema up through the wrapper's `get_tool`.
#[tokio::test]
async fn trap_param_headers_of_contributed_tools_are_checked_hdr_18() {
    for carrier in [Carrier::HttpSessions, Carrier::HttpStateless] {
        let (_, mut client) = start(carrier, Era::Modern, None).await;
        let term = json!({"term": "spring"});
        client.headers = vec![("Mcp-Param-Term", "spring".into())];
        let answer = client.tool(MODERN_TOOL, term.clone()).await;
        assert_eq!(
            answer.result()["structuredContent"]["titles"],
            json!(["spring"])
        );
        client.headers = vec![("Mcp-Param-Term", "autumn".into())];
        client
            .tool(MODERN_TOOL, term.clone())
            .await
            .refused(-32020, 400);
        client.headers = vec![];
        client.tool(MODERN_TOOL, term).await.refused(-32020, 400);
    }
}

/// rmcp checks `Mcp-Name` for the methods it knows alone.
#[tokio::test]
async fn trap_mcp_name_of_extension_methods_is_checked_hdr_4_hdr_5_hdr_6() {
    for carrier in [Carrier::HttpSessions, Carrier::HttpStateless] {
        let (lms, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        let id = json!({"id": "Übung"});
        for wrong in ["", "another", "=?base64?%%%?="] {
            client.headers = vec![("Mcp-Name", wrong.into())];
            if wrong.is_empty() {
                client.headers.clear();
            }
            let answer = client.call(RUBRIC, id.clone()).await;
            assert_eq!(answer.refused(-32020, 400)["data"]["header"], "Mcp-Name");
        }
        assert_eq!(lms.started(), 0);
        client.headers = vec![("Mcp-Name", "=?base64?w5xidW5n?=".into())];
        assert_eq!(
            client.call(RUBRIC, id).await.result()["titles"],
            json!(["Übung"])
        );
        // A method without a name source ignores it.
        client.headers = vec![("Mcp-Name", "whatever".into())];
        client.call(RUBRICS, course("c")).await.result();
    }
    // Without headers there is nothing to compare.
    let (_, mut client) = start(Carrier::Stdio, Era::Modern, grading::declared()).await;
    client.call(RUBRIC, json!({"id": "Übung"})).await.result();
}

#[tokio::test]
async fn trap_mcp_method_of_extension_methods_is_checked_hdr_2() {
    let (_, mut client) = start(Carrier::HttpStateless, Era::Modern, grading::declared()).await;
    client.headers = vec![("Mcp-Method", RUBRIC.into())];
    client.call(RUBRICS, course("c")).await.refused(-32020, 400);
    client.headers = vec![("Mcp-Method", String::new())];
    client.call(RUBRICS, course("c")).await.refused(-32020, 400);
    // `MCP-Protocol-Version` differs from `_meta`.
    client.headers = vec![("MCP-Protocol-Version", "2025-11-25".into())];
    client.call(RUBRICS, course("c")).await.refused(-32020, 400);
}

// ---- clashes with the wrapped server -----------------------------------------------------------------------------

#[derive(Clone)]
struct Clashing(&'static str);

impl ServerHandler for Clashing {
    fn get_info(&self) -> ServerConfig {
        let own = ExtensionCapabilities::from([(self.0.to_owned(), Default::default())]);
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_extensions_with(own)
                .build(),
        )
    }

    fn get_tool(&self, name: &str) -> Option<rmcp::model::Tool> {
        (name == self.0).then(|| plain_tool("taken"))
    }
}

#[test]
fn req_15_clashes_known_at_construction_name_both_sides() {
    let clash = |taken| {
        Clashing(taken)
            .with_extensions(grading::set().1)
            .unwrap_err()
    };
    let error = clash("com.example/Grading");
    assert!(
        matches!(&error, AdapterError::ExtensionClash { advertised, .. } if advertised == "com.example/Grading")
    );
    for part in [ID, "com.example/Grading", "rmcp"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = clash(TOOL);
    assert!(matches!(&error, AdapterError::ToolClash { tool, .. } if tool == TOOL));
    for part in [ID, TOOL, "rmcp"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // A second wrapper of the same extension is a clash too.
    let once = DefaultRouter.with_extensions(grading::set().1).unwrap();
    assert!(matches!(
        once.with_extensions(grading::set().1),
        Err(AdapterError::ExtensionClash { .. })
    ));
}

/// Has a tool of our name that it does not tell of before it lists.
#[derive(Clone)]
struct Late;

impl ServerHandler for Late {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![plain_tool(TOOL)]))
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text("theirs")]).into())
    }
}

#[derive(Clone, Default)]
struct Watcher(Arc<Mutex<Vec<String>>>);

impl Observer for Watcher {
    fn withheld(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }
}

#[tokio::test]
async fn trap_a_tool_of_the_wrapped_server_that_turns_up_late_wins() {
    for carrier in CARRIERS {
        let watcher = Watcher::default();
        let (lms, set) = grading::set_with(|b| b.observer(watcher.clone()));
        let server = Late.with_extensions(set).unwrap();
        let mut client = Client::connect(server, carrier, Era::Modern, None).await;
        for _ in 0..2 {
            let (names, pages) = listed(&mut client).await;
            assert_eq!(names, [TOOL, MODERN_TOOL, GATED]);
            assert_eq!(pages[0]["tools"][0]["description"], "A tool");
        }
        // The call goes where the list says, also for the next POST, which has a clone of its own.
        let answer = client.tool(TOOL, course("c")).await;
        assert_eq!(answer.result()["content"][0]["text"], "theirs");
        assert_eq!(lms.started(), 0);
        let withheld = watcher.0.lock().unwrap();
        assert_eq!(withheld.len(), 1, "told once: {withheld:?}");
        assert!(withheld[0].contains(TOOL));
    }
}

/// A set with tools for modern peers alone gives legacy peers of a server without tools no `tools/call`.
#[tokio::test]
async fn trap_tools_of_the_other_era_do_not_make_malformed_calls_known() {
    use crate::common::grading::{ModernExtension, Terms};
    use mcp_ext_core::__private_0_1_0 as rt;
    for (era, code) in [(Era::Modern, -32602), (Era::Legacy, -32601)] {
        let set = ExtensionSet::builder().enable(rt::Enable::<ModernExtension>::new(Terms));
        let server = ByHand.with_extensions(set.build().unwrap()).unwrap();
        let mut client = Client::connect(server, Carrier::Stdio, era, None).await;
        for params in [json!({"nam": "x"}), json!({"name": "x"})] {
            client.call("tools/call", params).await.refused(code, 200);
        }
    }
}

// ---- nesting -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn trap_two_wrappers_nest() {
    use crate::common::grading::{GradingExtension, Lms, ModernExtension, Terms};
    use mcp_ext_core::__private_0_1_0 as rt;
    for carrier in CARRIERS {
        for era in [Era::Modern, Era::Legacy] {
            let inner = ExtensionSet::builder()
                .enable(GradingExtension::provide(Lms::default()))
                .build()
                .unwrap();
            let outer = ExtensionSet::builder()
                .enable(rt::Enable::<ModernExtension>::new(Terms))
                .build()
                .unwrap();
            let server = DefaultRouter
                .with_extensions(inner)
                .unwrap()
                .with_extensions(outer)
                .unwrap();
            let mut client = Client::connect(server, carrier, era, None).await;
            let extensions = &client.greeting["capabilities"]["extensions"];
            assert!(extensions[ID].is_object());
            assert_eq!(
                extensions.get(MODERN_ID).is_some(),
                era == Era::Modern,
                "{extensions}"
            );
            let (names, _) = listed(&mut client).await;
            let mut expected = vec!["add", TOOL, GATED];
            expected.extend((era == Era::Modern).then_some(MODERN_TOOL));
            assert_eq!(names, expected);
            client.tool(TOOL, course("c")).await.result();
            client.tool("add", json!({"a": 1, "b": 2})).await.result();
        }
    }
}

// ---- HTTP --------------------------------------------------------------------------------------------------------

/// The factory of a Streamable HTTP service is called for each POST.
#[test]
fn trap_the_wrapper_is_cheap_to_clone_and_shares_everything() {
    struct NotClone(Vec<u8>);
    impl ServerHandler for NotClone {}
    let server = NotClone(vec![0; 16])
        .with_extensions(grading::set().1)
        .unwrap();
    let clone = server.clone();
    assert!(std::ptr::eq(server.inner(), clone.inner()));
    assert_eq!(clone.inner().0.len(), 16);
    assert!(std::mem::size_of_val(&server) <= 2 * std::mem::size_of::<usize>());
}

#[tokio::test]
async fn trap_the_principal_of_a_middleware_reaches_the_handler() {
    for carrier in [Carrier::HttpSessions, Carrier::HttpStateless] {
        let (_, mut client) = start(carrier, Era::Modern, grading::declared()).await;
        for user in ["ada", "ben"] {
            client.headers = vec![(http::USER, user.into())];
            let answer = client.call(RUBRICS, course("c")).await;
            assert_eq!(
                answer.result()["titles"],
                json!([format!("c for {user}, Some(10)")])
            );
            let answer = client.tool(TOOL, course("c")).await;
            assert_eq!(
                answer.result()["structuredContent"]["titles"][0],
                format!("c for {user}, negotiated: true")
            );
        }
    }
    let (_, mut client) = start(Carrier::HttpSessions, Era::Legacy, grading::declared()).await;
    client.headers = vec![(http::USER, "ada".into())];
    let answer = client.call(RUBRICS, course("c")).await;
    assert_eq!(answer.result()["titles"], json!(["c for ada, Some(10)"]));
}

/// On stdio, whoever stands in front of the wrapper can say who calls.
#[tokio::test]
async fn trap_a_principal_in_the_context_reaches_the_handler() {
    #[derive(Clone)]
    struct Ada<S>(S);
    impl<S: ServerHandler> ServerHandler for Ada<S> {
        fn get_info(&self) -> ServerConfig {
            self.0.get_info()
        }

        async fn call_tool(
            &self,
            request: CallToolRequestParams,
            mut context: RequestContext<RoleServer>,
        ) -> Result<CallToolResponse, ErrorData> {
            context
                .extensions
                .insert(mcp_ext_core::Principal::new("ada"));
            self.0.call_tool(request, context).await
        }
    }
    let server = Ada(wrapped(grading::set().1));
    let mut client = Client::connect(server, Carrier::Stdio, Era::Modern, None).await;
    let answer = client.tool(TOOL, course("c")).await;
    assert_eq!(
        answer.result()["structuredContent"]["titles"],
        json!(["c for ada, negotiated: false"])
    );
}

// ---- what cannot be carried --------------------------------------------------------------------------------------

#[test]
fn what_rmcp_cannot_carry_is_reported() {
    let server = wrapped(grading::set().1);
    let report: Vec<_> = server.report().iter().map(ToString::to_string).collect();
    assert!(
        report
            .iter()
            .any(|gap| gap.contains("Mcp-Name") && gap.contains(RUBRIC)),
        "{report:?}"
    );
    assert!(
        report
            .iter()
            .any(|gap| gap.starts_with(ID) && gap.contains("declaration_unknown")),
        "{report:?}"
    );
    assert!(
        !report.iter().any(|gap| gap.contains(CHANGED)),
        "{report:?}"
    );
}

#[tokio::test]
async fn trap_subscriptions_are_the_wrapped_servers_affair() {
    let (_, mut client) = start(Carrier::Stdio, Era::Modern, grading::declared()).await;
    let params = json!({"notifications": {"toolsListChanged": true}});
    client
        .call("subscriptions/listen", params)
        .await
        .refused(-32601, 404);
    client
        .call("subscriptions/listen", json!({}))
        .await
        .refused(-32601, 404);
}

/// The frames of the tests above are validated; this shows that the validation can fail.
#[test]
fn frames_that_break_the_specification_are_noticed() {
    let broken = [
        (
            Era::Modern,
            json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}),
        ),
        (
            Era::Legacy,
            json!({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "complete", "tools": []}}),
        ),
        (
            Era::Legacy,
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32021, "message": "no"}}),
        ),
        (
            Era::Modern,
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32042, "message": "no"}}),
        ),
    ];
    for (era, frame) in broken {
        let checked = std::panic::catch_unwind(|| frames::check(era, Some("tools/list"), &frame));
        assert!(checked.is_err(), "{frame}");
    }
    if frames::shared().is_some() {
        let frame =
            json!({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "complete", "tools": [{}]}});
        assert!(
            std::panic::catch_unwind(|| frames::check(Era::Modern, Some("tools/list"), &frame))
                .is_err()
        );
    }
}
