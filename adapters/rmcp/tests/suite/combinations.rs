//! Five servers, unchanged, behind the wrapper: three carriers, two eras, declared and not. The one combination that
//! rmcp cannot express, a legacy declaration on HTTP without sessions, is left out: 55 remain.

use std::sync::Arc;

use mcp_ext_core::protocol::Era;
use mcp_ext_rmcp::ServerExtensions;
use rmcp::ServerHandler;
use serde_json::{Value, json};

use crate::common::grading::{self, GATED, ID, MODERN_ID, MODERN_TOOL, RUBRICS, TOOL};
use crate::common::inner::{ByHand, DefaultRouter, FieldRouter, OWN_ID, OWN_METHOD, Paged, Reader};
use crate::common::wire::{CARRIERS, Carrier, Client};

/// Every case of one server; gives their number.
async fn every_case<S: ServerHandler + Clone>(inner: S, own_tools: &[&str]) -> usize {
    let mut cases = 0;
    for carrier in CARRIERS {
        for era in [Era::Legacy, Era::Modern] {
            for declared in [grading::declared(), None] {
                if (carrier, era, declared.is_some()) == (Carrier::HttpStateless, Era::Legacy, true)
                {
                    continue;
                }
                cases += 1;
                println!("{carrier:?} {era:?} declared: {}", declared.is_some());
                let server = inner.clone().with_extensions(grading::set().1).unwrap();
                let client = Client::connect(server, carrier, era, declared.clone()).await;
                one_case(client, own_tools).await;
                let (_, filtering) = grading::set_with(|builder| builder.filter_lists(true));
                let server = inner.clone().with_extensions(filtering).unwrap();
                filtered_case(
                    Client::connect(server, carrier, era, declared).await,
                    own_tools,
                )
                .await;
            }
        }
    }
    cases
}

/// Names on all pages, and the pages.
pub async fn listed(client: &mut Client) -> (Vec<String>, Vec<Value>) {
    let (mut names, mut pages, mut cursor) = (Vec::new(), Vec::new(), None::<Value>);
    loop {
        let params = cursor.map_or(json!({}), |cursor| json!({ "cursor": cursor }));
        let page = client.call("tools/list", params).await.result().clone();
        names.extend(
            page["tools"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t["name"].as_str().unwrap().to_owned()),
        );
        cursor = page.get("nextCursor").cloned();
        pages.push(page);
        if cursor.is_none() {
            return (names, pages);
        }
    }
}

async fn one_case(mut client: Client, own_tools: &[&str]) {
    let modern = client.era == Era::Modern;
    let declared = client.declared.is_some();
    let capabilities = client.greeting["capabilities"].clone();

    // Advertisement, per era; `tools` is there whether or not the server has any.
    assert_eq!(
        capabilities["extensions"][ID]["maxBatch"], 50,
        "{capabilities}"
    );
    assert_eq!(capabilities["extensions"][ID]["revision"], "2026-11-01");
    assert_eq!(
        capabilities["extensions"].get(MODERN_ID).is_some(),
        modern,
        "ERA-2: {capabilities}"
    );
    assert!(capabilities["tools"].is_object(), "REQ-16: {capabilities}");

    // Listing: theirs first, ours after them on the first page, sorted; the gated one is listed for everyone.
    let (names, pages) = listed(&mut client).await;
    let mut ours = vec![TOOL, GATED];
    if modern {
        ours.insert(1, MODERN_TOOL);
    }
    let first_page = own_tools.len().min(1);
    let expected: Vec<&str> = own_tools[..first_page]
        .iter()
        .chain(&ours)
        .chain(&own_tools[first_page..])
        .copied()
        .collect();
    assert_eq!(names, expected);
    for page in &pages {
        assert_eq!(
            page.get("cacheScope").is_some(),
            modern || page.get("ttlMs").is_some()
        );
    }

    // The method.
    let answer = client.call(RUBRICS, json!({"course": "c-1"})).await;
    match (declared, modern) {
        (true, _) => assert_eq!(
            answer.result()["titles"],
            json!(["c-1 for nobody, Some(10)"])
        ),
        (false, true) => {
            let error = answer.refused(-32021, 400);
            assert!(error["data"]["requiredCapabilities"]["extensions"][ID].is_object());
        }
        (false, false) => {
            let unknown = client.carrier == Carrier::HttpStateless;
            let kind = if unknown {
                "declaration_unknown"
            } else {
                "not_declared"
            };
            assert_eq!(answer.refused(-32601, 200)["data"]["kind"], kind);
        }
    }

    // The open tool degrades, the gated one is refused.
    let answer = client.tool(TOOL, json!({"course": "c-1"})).await;
    let words = format!("c-1 for nobody, negotiated: {declared}");
    assert_eq!(
        answer.result()["structuredContent"]["titles"],
        json!([words])
    );
    let answer = client.tool(GATED, json!({"course": "c-1"})).await;
    match (declared, modern) {
        (true, _) => assert_eq!(
            answer.result()["structuredContent"]["titles"],
            json!(["c-1 published"])
        ),
        (false, true) => drop(answer.refused(-32021, 400).clone()),
        (false, false) => assert_eq!(answer.result()["isError"], true),
    }

    // What was theirs stays theirs.
    for tool in own_tools {
        let answer = client.tool(tool, json!({"a": 2, "b": 3})).await;
        let text = answer.result()["content"][0]["text"].as_str().unwrap();
        match *tool {
            "add" => assert_eq!(text, "5"),
            "negotiated" => assert_eq!(text, if declared { ID } else { "" }),
            other => assert_eq!(text, other),
        }
    }
    if capabilities["extensions"].get(OWN_ID).is_some() {
        if !modern {
            assert_eq!(client.greeting["instructions"], "by hand");
            let answer = client.call(OWN_METHOD, json!({"x": [1]})).await;
            assert_eq!(answer.result(), &json!({"echo": {"x": [1]}}));
        }
        let prompts = client.call("prompts/list", json!({})).await;
        assert_eq!(prompts.result()["prompts"][0]["name"], "greet");
        let prompt = client.call("prompts/get", json!({"name": "greet"})).await;
        assert_eq!(prompt.result()["messages"][0]["content"]["text"], "hello");
    }

    // What is nobody's stays unknown.
    client
        .call("com.example/nobody/knows", json!({}))
        .await
        .refused(-32601, if modern { 404 } else { 200 });
}

/// The same under the option that hides what was not negotiated.
async fn filtered_case(mut client: Client, own_tools: &[&str]) {
    let modern = client.era == Era::Modern;
    let declared = client.declared.is_some();
    let (mut names, pages) = listed(&mut client).await;
    let ours = [TOOL, GATED, MODERN_TOOL];
    let mut shown: Vec<String> = names
        .extract_if(.., |name| ours.contains(&&**name))
        .collect();
    shown.sort();
    // The extension of 2026-07-28 alone is not declared here.
    assert_eq!(shown, if declared { vec![TOOL, GATED] } else { vec![] });
    assert_eq!(names, own_tools);
    for page in &pages {
        let hints = (page.get("cacheScope"), page.get("ttlMs"));
        if modern {
            assert_eq!(
                hints,
                (Some(&json!("private")), Some(&json!(0))),
                "CA-3: {page}"
            );
        }
    }
    let answer = client.tool(GATED, json!({"course": "c-1"})).await;
    match (declared, modern) {
        (true, _) => assert_eq!(
            answer.result()["structuredContent"]["titles"],
            json!(["c-1 published"])
        ),
        (false, true) => drop(answer.refused(-32021, 400).clone()),
        (false, false) => assert_eq!(answer.result()["isError"], true),
    }
    for tool in own_tools {
        client.tool(tool, json!({"a": 2, "b": 3})).await.result();
    }
}

#[tokio::test]
async fn combination_of_a_default_router() {
    assert_eq!(every_case(DefaultRouter, &["add"]).await, 11);
}

#[tokio::test]
async fn combination_of_a_router_in_a_field() {
    assert_eq!(every_case(FieldRouter::default(), &["add"]).await, 11);
}

#[tokio::test]
async fn combination_of_a_server_by_hand_without_tools() {
    assert_eq!(every_case(ByHand, &[]).await, 11);
}

#[tokio::test]
async fn combination_of_a_paged_server() {
    assert_eq!(every_case(Paged, &["one", "two"]).await, 11);
}

#[tokio::test]
async fn combination_of_a_server_that_reads_the_negotiation() {
    assert_eq!(every_case(Reader, &["negotiated"]).await, 11);
}

#[tokio::test]
async fn combination_of_a_server_behind_an_arc() {
    assert_eq!(every_case(Arc::new(DefaultRouter), &["add"]).await, 11);
}
