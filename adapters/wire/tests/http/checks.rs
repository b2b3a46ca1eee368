//! The numbered checks of the protocol that need HTTP.

use http::Method;
use serde_json::{Value, json};

use crate::common::*;
use crate::rig::*;
use crate::server::*;

#[tokio::test]
async fn neg_13_a_modern_call_without_a_discover_is_answered_once_the_server_is_asked() {
    let rig = rig(set(), plain).await;
    let echo = modern_post(rig.address, &[], &modern("a", ECHO, json!({"text": "x"}))).await;
    assert_eq!(echo.status, 200, "{echo:?}");
    assert_eq!(echo.headers["content-type"], "application/json");
    let echo = echo.json();
    assert_eq!(echo["id"], "a");
    assert_eq!(echo["result"]["text"], "x");
    assert_eq!(echo["result"]["resultType"], "complete");
    assert_eq!(
        echo["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "plain"
    );
    modern_post(rig.address, &[], &modern(2, ECHO, json!({"text": "x"}))).await;
    assert_eq!(
        rig.methods(),
        ["server/discover"],
        "asked once, and ours is not forwarded"
    );
}

#[tokio::test]
async fn answers_are_amended_and_everything_else_stays() {
    let rig = rig(set(), plain).await;
    let discover = modern_post(rig.address, &[], &modern(1, "server/discover", json!({}))).await;
    let length = discover.headers["content-length"].to_str().unwrap();
    assert_eq!(length, discover.body.len().to_string());
    let frame = discover.json();
    assert_eq!(
        frame["result"]["capabilities"]["extensions"][ID]["maxText"],
        1000
    );
    assert_eq!(
        frame["result"]["capabilities"]["extensions"]["com.example/theirs"]["x"],
        1.5
    );
    let list = modern_post(rig.address, &[], &modern(2, "tools/list", json!({})))
        .await
        .json();
    let names: Vec<_> = list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["add", TOOL, GATED]);
    let call = json!({"name": "add", "arguments": {}});
    let call = modern_post(rig.address, &[], &modern(3, "tools/call", call)).await;
    assert_eq!(call.json()["result"]["content"][0]["text"], "3");
    let unknown = modern_post(
        rig.address,
        &[],
        &modern(4, "com.example/none/x", json!({})),
    )
    .await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn req_06_a_server_without_tools_list_gets_one_with_status_200() {
    let rig = rig(set(), |got| match got.rpc_method().as_str() {
        "tools/list" => json(
            404,
            &json!({"jsonrpc": "2.0", "id": got.json()["id"],
            "error": {"code": -32601, "message": "no"}}),
        ),
        _ => plain(got),
    })
    .await;
    let list = modern_post(rig.address, &[], &modern(1, "tools/list", json!({}))).await;
    assert_eq!(list.status, 200);
    assert_eq!(list.json()["result"]["tools"].as_array().unwrap().len(), 2);
}

/// The order of evaluation: what is refused first when several things are wrong.
#[tokio::test]
async fn hdr_02_neg_07_neg_16_era_01_the_order_of_evaluation_and_its_statuses() {
    let rig = rig(set(), plain).await;
    let good = modern(1, ECHO, json!({"text": "x"}));
    let without = |key: &str| {
        let mut frame = good.clone();
        frame["params"]["_meta"]
            .as_object_mut()
            .unwrap()
            .remove(key);
        frame
    };
    let version = |version: &str| {
        let mut frame = good.clone();
        frame["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = version.into();
        frame
    };
    let mut undeclared = good.clone();
    undeclared["params"]["_meta"] = modern_meta(false);
    let mut bad_params = good.clone();
    bad_params["params"]["text"] = 5.into();
    let mut bad_both = bad_params.clone();
    bad_both["params"]["_meta"] = modern_meta(false);
    let mut no_id = good.clone();
    no_id["id"] = Value::Null;
    let mut bad_settings = good.clone();
    bad_settings["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"]
        [ID] = json!({"revision": "1999-01-01"});
    let (v, m) = (("mcp-protocol-version", "2026-07-28"), ("mcp-method", ECHO));
    let caps = "io.modelcontextprotocol/clientCapabilities";
    let vers = "io.modelcontextprotocol/protocolVersion";
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Value, u16, i64);
    let cases: Vec<Case<'_>> = vec![
        ("no id", vec![v, m], no_id, 400, -32600),
        ("no version header", vec![m], good.clone(), 400, -32020),
        ("no method header", vec![v], good.clone(), 400, -32020),
        (
            "no headers and no meta value",
            vec![m],
            without(caps),
            400,
            -32020,
        ),
        ("no version in meta", vec![v, m], without(vers), 400, -32602),
        (
            "no capabilities in meta",
            vec![v, m],
            without(caps),
            400,
            -32602,
        ),
        (
            "incomplete meta before a header that differs",
            vec![v, ("mcp-method", "x/y")],
            without(caps),
            400,
            -32602,
        ),
        (
            "method differs",
            vec![v, ("mcp-method", "x/y")],
            good.clone(),
            400,
            -32020,
        ),
        (
            "method differs in case",
            vec![v, ("mcp-method", "COM.EXAMPLE/DESK/ECHO")],
            good.clone(),
            400,
            -32020,
        ),
        ("method twice", vec![v, m, m], good.clone(), 400, -32020),
        (
            "version differs",
            vec![v, m],
            version("2099-01-01"),
            400,
            -32020,
        ),
        (
            "version unknown",
            vec![("mcp-protocol-version", "2099-01-01"), m],
            version("2099-01-01"),
            400,
            -32022,
        ),
        ("undeclared", vec![v, m], undeclared, 400, -32021),
        (
            "undeclared before params",
            vec![v, m],
            bad_both,
            400,
            -32021,
        ),
        (
            "settings do not combine",
            vec![v, m],
            bad_settings,
            400,
            -32021,
        ),
        ("params", vec![v, m], bad_params, 200, -32602),
    ];
    for (what, headers, frame, status, code) in cases {
        let answer = post(rig.address, &headers, &frame).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_i64()),
            (status, Some(code)),
            "{what}: {answer:?}"
        );
    }
    // Names are case-insensitive, blanks around values do not count, Mcp-Name is not ours to look at.
    let headers = [
        ("MCP-PROTOCOL-VERSION", " 2026-07-28 "),
        ("mCp-MeThOd", ECHO),
        ("mcp-name", "whatever"),
    ];
    assert_eq!(post(rig.address, &headers, &good).await.status, 200);
    assert!(rig.methods().iter().all(|m| m == "server/discover"));
}

#[tokio::test]
async fn hdr_04_a_tool_of_ours_demands_its_name_in_the_header() {
    let rig = rig(set(), plain).await;
    let call = modern(
        1,
        "tools/call",
        json!({"name": TOOL, "arguments": {"text": "x"}}),
    );
    let base = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
    ];
    for (name, status) in [
        (Some(TOOL), 200),
        (Some("=?base64?ZGVza19zaG91dA==?="), 200),
        (Some("=?base64?%%%?="), 400),
        (Some("other"), 400),
        (None, 400),
    ] {
        let mut headers = base.to_vec();
        headers.extend(name.map(|name| ("mcp-name", name)));
        let answer = post(rig.address, &headers, &call).await;
        assert_eq!(answer.status, status, "{name:?}: {answer:?}");
        if status == 400 {
            assert_eq!(answer.json()["error"]["code"], -32020);
        }
    }
}

#[tokio::test]
async fn era_02_an_era_that_the_server_has_not_shown_is_the_server_s_to_answer() {
    // Legacy alone: it knows no modern request.
    let rig = rig(set(), |got| {
        if got
            .headers
            .get("mcp-protocol-version")
            .is_some_and(|v| v == "2026-07-28")
        {
            let mut refused = json(
                400,
                &json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "old"}}),
            );
            refused.headers_mut().insert("x-mine", "1".parse().unwrap());
            return refused;
        }
        plain(got)
    })
    .await;
    let answer = modern_post(rig.address, &[], &modern(1, ECHO, json!({"text": "x"}))).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.headers["x-mine"], "1");
    assert_eq!(answer.json()["error"]["message"], "old");
    assert_eq!(rig.methods(), ["server/discover", ECHO]);
}

#[tokio::test]
async fn trap_06_listen_passes_as_it_comes() {
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let stream = std::sync::Mutex::new(Some(receive));
    let rig = rig(set(), move |got| match got.rpc_method().as_str() {
        "subscriptions/listen" => http::Response::builder()
            .header("content-type", "text/event-stream")
            .body(mcp_ext_wire::WireBody::new(Pieces(
                stream.lock().unwrap().take().unwrap(),
            )))
            .unwrap(),
        _ => plain(got),
    })
    .await;
    let frame = modern(
        1,
        "subscriptions/listen",
        json!({"notifications": {"toolsListChanged": true}}),
    );
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "subscriptions/listen"),
        ("content-type", "application/json"),
        ("accept", "text/event-stream"),
    ];
    let response = open(
        rig.address,
        Method::POST,
        "/mcp",
        &headers,
        frame.to_string().into(),
    )
    .await;
    let mut body = response.into_body();
    // Each piece arrives before the next is sent, even in the middle of an event.
    for piece in ["data: {\"a\":", "1}\n\n", ": still here\n\n"] {
        send.send(Ok(piece.into())).await.unwrap();
        let got = http_body_util::BodyExt::frame(&mut body)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(got.into_data().unwrap(), piece);
    }
    // And when the client is gone, the server is told.
    drop(body);
    tokio::time::timeout(std::time::Duration::from_secs(5), send.closed())
        .await
        .expect("the server's stream is closed");
}
