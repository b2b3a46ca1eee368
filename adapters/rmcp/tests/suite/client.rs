//! Typed clients through an rmcp client, with every line it writes looked at.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_ext_core::__private_0_1_0::CallError;
use mcp_ext_core::client::{Caller, CallerError, Negotiation, Outgoing, declaration};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::wire::JsonObject;
use mcp_ext_rmcp::{RmcpCaller, ServerExtensions, declare};
use rmcp::model::{ClientConfig, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::{RoleClient, ServerHandler, ServiceExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use crate::common::grading::{
    self, Course, GradingError, GradingExtension, GradingSettings, ID, Lms, RUBRICS, RubricFormat,
    TOOL,
};
use crate::common::http;
use crate::common::inner::DefaultRouter;
use crate::wrapped;

const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

type Lines = Arc<Mutex<Vec<Value>>>;

/// Puts a listener on what the client writes.
fn tapped(server: DuplexStream) -> (DuplexStream, Lines) {
    let (client, tap) = tokio::io::duplex(1 << 20);
    let lines = Lines::default();
    let seen = lines.clone();
    tokio::spawn(async move {
        let (from_client, mut to_client) = tokio::io::split(tap);
        let (mut from_server, mut to_server) = tokio::io::split(server);
        let up = async {
            let mut lines = BufReader::new(from_client).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                seen.lock()
                    .unwrap()
                    .push(serde_json::from_str(&line).unwrap());
                to_server
                    .write_all(format!("{line}\n").as_bytes())
                    .await
                    .unwrap();
            }
        };
        let down = tokio::io::copy(&mut from_server, &mut to_client);
        tokio::join!(up, down)
    });
    (client, lines)
}

/// A client of `server` that declares elicitation and nothing of extensions by itself.
async fn connect<S: ServerHandler>(
    server: S,
    era: Era,
) -> (RunningService<RoleClient, ClientConfig>, Lines) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move {
        if let Ok(running) = server.serve(theirs).await {
            let _ = running.waiting().await;
        }
    });
    let (transport, lines) = tapped(ours);
    let mut config = ClientConfig::default();
    config.capabilities = serde_json::from_value(json!({"elicitation": {}})).unwrap();
    (start(config, transport, era).await, lines)
}

async fn start(
    config: ClientConfig,
    transport: DuplexStream,
    era: Era,
) -> RunningService<RoleClient, ClientConfig> {
    let lifecycle = match era {
        Era::Legacy => ClientLifecycleMode::Initialize,
        Era::Modern => ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
    };
    config
        .serve_with_lifecycle(transport, lifecycle)
        .await
        .unwrap()
}

fn course(name: &str) -> Course {
    Course {
        course: name.to_owned(),
        tags: Vec::new(),
    }
}

fn settings() -> GradingSettings {
    GradingSettings {
        max_batch: Some(3),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_typed_client_negotiates_and_calls_in_both_eras() {
    for era in ERAS {
        let (client, _) = connect(wrapped(grading::set().1), era).await;
        let caller = RmcpCaller::of(&client);
        assert_eq!(caller.era(), era);
        let negotiation = GradingExtension::client(caller)
            .declare(settings())
            .negotiate()
            .await
            .unwrap();
        let Negotiation::Active(grading) = negotiation else {
            panic!("not active")
        };
        assert_eq!(grading.settings().max_batch, Some(3));
        assert_eq!(
            grading.rubrics(course("c")).await.unwrap().titles,
            ["c for nobody, Some(3)"]
        );
        assert_eq!(
            grading.publish_grades(course("c")).await.unwrap().titles,
            ["c published"]
        );
        let titles = grading.grade_submission(course("c")).await.unwrap().titles;
        assert_eq!(titles, ["c for nobody, negotiated: true"]);
        // Own errors come back typed, from the method and from the tool.
        for error in [
            grading.rubrics(course("none")).await.unwrap_err(),
            grading.grade_submission(course("none")).await.unwrap_err(),
        ] {
            assert!(
                matches!(error, CallError::Own(GradingError::UnknownCourse { course }) if course == "none")
            );
        }
        // Others keep code and data.
        let error = grading.rubrics(course("panic")).await.unwrap_err();
        assert!(
            matches!(error, CallError::Rpc(error) if error.data.as_ref().unwrap()["kind"] == "handler_panicked")
        );
    }
}

#[tokio::test]
async fn neg_15_every_request_declares_in_both_eras_beside_the_clients_own_capabilities() {
    for era in ERAS {
        let (client, lines) = connect(wrapped(grading::set().1), era).await;
        let negotiation = GradingExtension::client(RmcpCaller::of(&client))
            .declare(settings())
            .negotiate()
            .await
            .unwrap();
        let grading = negotiation.active().unwrap();
        grading.rubrics(course("c")).await.unwrap();
        grading.grade_submission(course("c")).await.unwrap();
        let lines = lines.lock().unwrap();
        let ours: Vec<_> = lines
            .iter()
            .filter(|l| l["method"] == RUBRICS || l["method"] == "tools/call")
            .collect();
        assert_eq!(ours.len(), 2);
        for line in ours {
            let meta = &line["params"]["_meta"];
            assert_eq!(
                meta["io.modelcontextprotocol/clientCapabilities"],
                json!({"elicitation": {}, "extensions": {ID: {"maxBatch": 3, "write": false, "revision": "2026-11-01"}}})
            );
            assert_eq!(
                meta.get("io.modelcontextprotocol/protocolVersion")
                    .is_some(),
                era == Era::Modern
            );
        }
    }
}

#[tokio::test]
async fn neg_17_nothing_is_sent_to_a_server_that_does_not_offer_the_extension() {
    for era in ERAS {
        let (client, lines) = connect(Arc::new(DefaultRouter), era).await;
        let negotiation = GradingExtension::client(RmcpCaller::of(&client))
            .negotiate()
            .await
            .unwrap();
        assert!(matches!(negotiation, Negotiation::NotOffered));
        assert!(
            lines
                .lock()
                .unwrap()
                .iter()
                .all(|line| line["method"] != RUBRICS)
        );
    }
}

#[tokio::test]
async fn settings_that_do_not_combine_are_told_before_anything_is_sent() {
    for era in ERAS {
        let (client, _) = connect(wrapped(grading::set().1), era).await;
        let none = GradingSettings {
            rubric_formats: Some(Default::default()),
            ..Default::default()
        };
        let negotiation = GradingExtension::client(RmcpCaller::of(&client))
            .declare(none)
            .negotiate()
            .await
            .unwrap();
        let Negotiation::Incompatible(mismatch) = negotiation else {
            panic!("they combine")
        };
        assert_eq!(mismatch.rows[0].field, "rubricFormats");
        let text = GradingSettings {
            rubric_formats: Some([RubricFormat::Text].into()),
            ..Default::default()
        };
        let negotiation = GradingExtension::client(RmcpCaller::of(&client))
            .declare(text)
            .negotiate()
            .await
            .unwrap();
        assert!(negotiation.active().is_some());
    }
}

#[tokio::test]
async fn a_declaration_of_the_whole_client_travels_with_every_request() {
    for era in ERAS {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let server = wrapped(grading::set_with(|b| b.filter_lists(true)).1);
        tokio::spawn(async move { server.serve(theirs).await.unwrap().waiting().await });
        let (transport, lines) = tapped(ours);
        let mut config = ClientConfig::default();
        declare(
            &mut config.capabilities,
            declaration::<GradingExtension>(&settings()).unwrap(),
        );
        let client = start(config, transport, era).await;
        // rmcp's own requests see it too: the filtered list shows the tools.
        let tools = client.list_all_tools().await.unwrap();
        assert!(tools.iter().any(|tool| tool.name == TOOL), "{era:?}");
        let lines = lines.lock().unwrap();
        let declared = match era {
            Era::Legacy => &lines[0]["params"]["capabilities"]["extensions"],
            Era::Modern => {
                &lines[0]["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"]
            }
        };
        assert_eq!(declared[ID]["maxBatch"], 3, "{}", lines[0]);
    }
}

#[test]
fn declaring_keeps_what_was_declared_and_leaves_out_what_is_no_object() {
    let mut capabilities = Default::default();
    let one = |id: &str, value: Value| JsonObject::from_iter([(id.to_owned(), value)]);
    declare(&mut capabilities, one("com.example/a", json!({"x": 1})));
    declare(&mut capabilities, one("com.example/b", json!(null)));
    declare(&mut capabilities, one("com.example/c", json!({})));
    assert_eq!(
        serde_json::to_value(capabilities).unwrap(),
        json!({"extensions": {"com.example/a": {"x": 1}, "com.example/c": {}}})
    );
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up_and_cancelled_req_13() {
    let lms = Arc::new(Lms::default());
    let set = mcp_ext_core::ExtensionSet::builder()
        .enable(GradingExtension::provide(lms.clone()))
        .build()
        .unwrap();
    for era in ERAS {
        let (client, lines) = connect(wrapped(set.clone()), era).await;
        let caller = RmcpCaller::of(&client).timeout(Some(Duration::from_millis(80)));
        let grading = GradingExtension::client(caller)
            .negotiate()
            .await
            .unwrap()
            .active()
            .unwrap();
        let error = grading.rubrics(course("hang")).await.unwrap_err();
        assert!(matches!(error, CallError::Transport(_)), "{error:?}");
        cancelled(&lines).await;
    }
    lms.wait(2, 2).await;
}

#[tokio::test]
async fn req_26_a_call_that_is_dropped_is_cancelled_at_the_server() {
    for era in ERAS {
        let (lms, set) = grading::set();
        let (client, lines) = connect(wrapped(set), era).await;
        let grading = GradingExtension::client(RmcpCaller::of(&client))
            .negotiate()
            .await
            .unwrap()
            .active()
            .unwrap();
        let call = tokio::time::timeout(Duration::from_millis(80), grading.rubrics(course("hang")));
        assert!(call.await.is_err());
        cancelled(&lines).await;
        lms.wait(1, 1).await;
        // A call that has been answered is not cancelled afterwards.
        grading.rubrics(course("c")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let lines = lines.lock().unwrap();
        assert_eq!(
            lines
                .iter()
                .filter(|l| l["method"] == "notifications/cancelled")
                .count(),
            1
        );
    }
}

/// Waits for a cancellation of the last request.
async fn cancelled(lines: &Lines) {
    for _ in 0..200 {
        {
            let lines = lines.lock().unwrap();
            if let Some(line) = lines
                .iter()
                .find(|l| l["method"] == "notifications/cancelled")
            {
                let request = lines.iter().rfind(|l| l["method"] == RUBRICS).unwrap();
                assert_eq!(line["params"]["requestId"], request["id"]);
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no cancellation: {:?}", lines.lock().unwrap());
}

// ---- over HTTP ---------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_typed_client_over_http_sends_the_headers_of_rmcp_hdr_1() {
    use rmcp::transport::StreamableHttpClientTransport;
    for (era, sessions) in [
        (Era::Legacy, true),
        (Era::Legacy, false),
        (Era::Modern, true),
        (Era::Modern, false),
    ] {
        let heads: Arc<Mutex<Vec<hyper::HeaderMap>>> = Arc::default();
        let seen = heads.clone();
        let watch = move |head: &hyper::HeaderMap| seen.lock().unwrap().push(head.clone());
        let address = http::serve_watched(wrapped(grading::set().1), sessions, watch).await;
        let transport = StreamableHttpClientTransport::from_uri(format!("http://{address}/mcp"));
        let lifecycle = match era {
            Era::Legacy => ClientLifecycleMode::Initialize,
            Era::Modern => ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            },
        };
        let client = ClientConfig::default()
            .serve_with_lifecycle(transport, lifecycle)
            .await
            .unwrap();
        let grading = GradingExtension::client(RmcpCaller::of(&client))
            .negotiate()
            .await
            .unwrap()
            .active()
            .unwrap();
        // Also without sessions, where rmcp forgets `initialize`: the declaration is on the request.
        assert_eq!(
            grading.rubrics(course("c")).await.unwrap().titles,
            ["c for nobody, Some(50)"],
            "{era:?}"
        );
        assert_eq!(
            grading.publish_grades(course("c")).await.unwrap().titles,
            ["c published"]
        );
        if era == Era::Modern {
            let heads = heads.lock().unwrap();
            let of = |method: &str| {
                heads
                    .iter()
                    .find(|h| h.get("mcp-method").is_some_and(|m| m == method))
                    .unwrap()
            };
            assert_eq!(of("tools/call")["mcp-name"], "publish_grades");
            let head = of(RUBRICS);
            assert_eq!(head["mcp-protocol-version"], "2026-07-28");
            assert_eq!(head.get("mcp-name"), None, "HDR-5");
            let accept = head["accept"].to_str().unwrap();
            assert!(
                accept.contains("application/json") && accept.contains("text/event-stream"),
                "{accept}"
            );
        }
    }
}

/// rmcp's client has no way to send `Mcp-Name` for a method of an extension.
#[tokio::test]
async fn a_method_with_a_name_source_cannot_be_called_over_http_through_rmcps_client() {
    use rmcp::transport::StreamableHttpClientTransport;
    let address = http::serve(wrapped(grading::set().1), false).await;
    let transport = StreamableHttpClientTransport::from_uri(format!("http://{address}/mcp"));
    let lifecycle = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    let client = ClientConfig::default()
        .serve_with_lifecycle(transport, lifecycle)
        .await
        .unwrap();
    let caller = RmcpCaller::of(&client);
    let request = Outgoing {
        method: grading::RUBRIC.into(),
        params: JsonObject::from_iter([("id".to_owned(), json!("r-1"))]),
        declare: declaration::<GradingExtension>(&settings()).unwrap(),
        mcp_name: Some("r-1".into()),
    };
    let error = caller.call(request).await.unwrap_err();
    let CallerError::Rpc(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.code, -32020);
}

// ---- results that rmcp's client takes for something else ---------------------------------------------------------

/// A server that answers every extension method with `params.answer`.
async fn echoing() -> (
    RunningService<RoleClient, ClientConfig>,
    tokio::task::JoinHandle<()>,
) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let server = tokio::spawn(async move {
        let (read, mut write) = tokio::io::split(theirs);
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let frame: Value = serde_json::from_str(&line).unwrap();
            let result = match frame["method"].as_str() {
                Some("initialize") => json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"extensions": {ID: {"write": true}}},
                    "serverInfo": {"name": "raw", "version": "1"},
                }),
                _ => frame["params"]["answer"].clone(),
            };
            if frame.get("id").is_some() {
                let answer = json!({"jsonrpc": "2.0", "id": frame["id"], "result": result});
                write
                    .write_all(format!("{answer}\n").as_bytes())
                    .await
                    .unwrap();
            }
        }
    });
    (ClientConfig::default().serve(ours).await.unwrap(), server)
}

async fn sent(caller: &RmcpCaller, answer: &Value) -> Result<Value, CallerError> {
    let params = JsonObject::from_iter([("answer".to_owned(), answer.clone())]);
    let request = Outgoing {
        method: "com.example/any/thing".into(),
        params,
        declare: JsonObject::new(),
        mcp_name: None,
    };
    caller.call(request).await
}

#[tokio::test]
async fn results_that_rmcps_client_leaves_alone() {
    let (client, _server) = echoing().await;
    let caller = RmcpCaller::of(&client);
    assert_eq!(
        caller.server_extensions().await.unwrap(),
        JsonObject::from_iter([(ID.to_owned(), json!({"write": true}))])
    );
    for answer in [
        json!({}),
        json!({"resultType": "complete"}),
        json!({"resultType": "complete", "titles": ["a"], "_meta": {"com.example/x": 1}}),
        json!({"resultType": "com.example/odd", "titles": []}),
        json!({"titles": [], "total": 18446744073709551615u64}),
        json!({"action": "discharge", "patient": "p-1"}),
        json!({"resources": [{"resourceType": "Patient"}], "total": 1}),
        json!([1, 2]),
        json!("text"),
    ] {
        assert_eq!(sent(&caller, &answer).await.unwrap(), answer);
    }
}

#[tokio::test]
async fn results_that_rmcps_client_takes_for_those_of_the_core_protocol() {
    let (client, _server) = echoing().await;
    let caller = RmcpCaller::of(&client);
    for (answer, lost) in [
        (json!({"content": [], "total": 1}), "total"),
        (json!({"structuredContent": {"x": 1}, "total": 1}), "total"),
        (json!({"isError": false, "total": 1}), "total"),
        (json!({"contents": [], "total": 1}), "total"),
        (json!({"messages": [], "total": 1}), "total"),
        (json!({"completion": {"values": []}, "total": 1}), "total"),
        (json!({"action": "cancel", "patient": "p-1"}), "patient"),
        (json!({"tools": [], "total": 1}), "total"),
        (json!({"resources": [], "total": 0}), "total"),
        (json!({"prompts": [], "total": 0}), "total"),
        (json!({"resourceTemplates": [], "total": 0}), "total"),
    ] {
        assert!(answer.get(lost).is_some());
        let got = sent(&caller, &answer).await.unwrap();
        assert_eq!(got.get(lost), None, "{answer} became {got}");
    }
}

#[tokio::test]
async fn tool_results_come_back_whole() {
    let (client, _) = connect(wrapped(grading::set().1), Era::Modern).await;
    let request = Outgoing {
        method: "tools/call".into(),
        params: json!({"name": TOOL, "arguments": {"course": "c"}})
            .as_object()
            .unwrap()
            .clone(),
        declare: JsonObject::new(),
        mcp_name: None,
    };
    let result = RmcpCaller::of(&client).call(request).await.unwrap();
    assert_eq!(result["resultType"], "complete");
    assert_eq!(
        result["structuredContent"]["titles"][0],
        "c for nobody, negotiated: false"
    );
    assert!(result["content"][0]["text"].is_string());
    assert!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"].is_string());
}

#[tokio::test]
async fn a_server_that_has_gone_is_a_transport_error() {
    let (client, server) = echoing().await;
    let caller = RmcpCaller::of(&client);
    server.abort();
    let _ = server.await;
    let error = sent(&caller, &json!({})).await.unwrap_err();
    assert!(matches!(error, CallerError::Transport(_)), "{error:?}");
    // Through a wrapper of a wrapper the peers are the same.
    assert!(DefaultRouter.with_extensions(grading::set().1).is_ok());
}
