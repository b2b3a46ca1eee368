//! Who gets what when an extension is not negotiated: one test for each cell, over stdio and HTTP.

use mcp_ext_core::protocol::Era;
use serde_json::{Value, json};

use crate::common::grading::{self, GATED, ID, LIVE, MODERN_METHOD, RUBRICS};
use crate::common::wire::{Answer, Carrier};
use crate::{course, start};

const MISMATCHED: &str = r#"{"com.example/grading": {"rubricFormats": []}}"#;

/// Makes one call of a method; nothing may have run.
async fn method(carrier: Carrier, era: Era, name: &str, declared: Option<Value>) -> Answer {
    let (lms, mut client) = start(carrier, era, declared).await;
    let answer = client.call(name, course("c-1")).await;
    assert_eq!(lms.started(), 0, "nothing runs before the gate");
    answer
}

/// Makes one call of the gated tool; nothing may have run.
async fn gated(carrier: Carrier, era: Era, declared: Option<Value>) -> Answer {
    let (lms, mut client) = start(carrier, era, declared).await;
    let answer = client.tool(GATED, course("c-1")).await;
    assert_eq!(lms.started(), 0, "nothing runs before the gate");
    answer
}

fn mismatched() -> Option<Value> {
    Some(serde_json::from_str(MISMATCHED).unwrap())
}

/// The words of a tool's refusal, and its details.
fn told(answer: &Answer) -> (&str, &Value) {
    let result = answer.result();
    assert_eq!(result["isError"], true, "{result}");
    let text = result["content"][0]["text"].as_str().unwrap();
    let error = &result["structuredContent"]["error"];
    assert_eq!(error["message"], text);
    (text, error)
}

async fn method_not_offered_modern(carrier: Carrier) {
    for name in ["com.example/elsewhere/list", LIVE] {
        method(carrier, Era::Modern, name, grading::declared())
            .await
            .refused(-32601, 404);
    }
}

async fn method_not_offered_legacy(carrier: Carrier) {
    for name in ["com.example/elsewhere/list", LIVE, MODERN_METHOD] {
        method(carrier, Era::Legacy, name, grading::declared())
            .await
            .refused(-32601, 200);
    }
}

async fn method_not_declared_modern(carrier: Carrier) {
    let answer = method(carrier, Era::Modern, RUBRICS, None).await;
    let error = answer.refused(-32021, 400);
    assert_eq!(
        error["data"],
        json!({"requiredCapabilities": {"extensions": {ID: {}}}})
    );
}

async fn method_not_declared_legacy(carrier: Carrier) {
    let answer = method(carrier, Era::Legacy, RUBRICS, None).await;
    let error = answer.refused(-32601, 200);
    assert_eq!(
        error["data"],
        json!({"extension": ID, "kind": "not_declared"})
    );
}

async fn settings_do_not_combine_modern(carrier: Carrier) {
    let (_, mut client) = start(carrier, Era::Modern, mismatched()).await;
    let answer = client.call(RUBRICS, course("c-1")).await;
    let data = &answer.refused(-32021, 400)["data"];
    assert_eq!(
        data["mismatch"],
        json!([{"field": "rubricFormats", "rule": "intersect", "server": ["text", "table"], "client": []}])
    );
    // Declaring what the answer asks for passes.
    client.declared = Some(data["requiredCapabilities"]["extensions"].clone());
    client.call(RUBRICS, course("c-1")).await.result();
}

async fn settings_do_not_combine_legacy(carrier: Carrier) {
    let modern = method(carrier, Era::Modern, RUBRICS, mismatched()).await;
    let legacy = method(carrier, Era::Legacy, RUBRICS, mismatched()).await;
    assert_eq!(legacy.refused(-32601, 200)["data"], modern.error()["data"]);
}

async fn gated_tool_not_negotiated_modern(carrier: Carrier) {
    let answer = gated(carrier, Era::Modern, None).await;
    let error = answer.refused(-32021, 400);
    assert_eq!(
        error["data"],
        json!({"requiredCapabilities": {"extensions": {ID: {}}}})
    );
    gated(carrier, Era::Modern, mismatched())
        .await
        .refused(-32021, 400);
}

async fn gated_tool_not_negotiated_legacy(carrier: Carrier) {
    let answer = gated(carrier, Era::Legacy, None).await;
    let (words, details) = told(&answer);
    assert_eq!(
        (&details["extension"], &details["kind"]),
        (&json!(ID), &json!("not_declared"))
    );
    // The same words as a method's refusal.
    assert_eq!(
        method(carrier, Era::Legacy, RUBRICS, None).await.error()["message"],
        words
    );
    let answer = gated(carrier, Era::Legacy, mismatched()).await;
    assert_eq!(told(&answer).1["kind"], "settings_mismatch");
}

macro_rules! cells {
    ($($cell:ident),* $(,)?) => {
        $(mod $cell {
            #[tokio::test]
            async fn stdio() {
                super::$cell(super::Carrier::Stdio).await;
            }

            #[tokio::test]
            async fn http() {
                super::$cell(super::Carrier::HttpSessions).await;
            }
        })*
    };
}

cells!(
    method_not_offered_modern,
    method_not_offered_legacy,
    method_not_declared_modern,
    method_not_declared_legacy,
    settings_do_not_combine_modern,
    settings_do_not_combine_legacy,
    gated_tool_not_negotiated_modern,
    gated_tool_not_negotiated_legacy,
);

/// Only HTTP without sessions loses a declaration, so there is no such cell over stdio.
mod declaration_unknown_legacy {
    use super::*;

    #[tokio::test]
    async fn http() {
        let answer = method(
            Carrier::HttpStateless,
            Era::Legacy,
            RUBRICS,
            grading::declared(),
        )
        .await;
        let data = &answer.refused(-32601, 200)["data"];
        assert_eq!(
            (&data["extension"], &data["kind"]),
            (&json!(ID), &json!("declaration_unknown"))
        );
        assert!(
            data["remedy"]
                .as_str()
                .unwrap()
                .contains("clientCapabilities"),
            "what to do: {data}"
        );
    }

    #[tokio::test]
    async fn http_gated_tool() {
        let answer = gated(Carrier::HttpStateless, Era::Legacy, grading::declared()).await;
        assert_eq!(told(&answer).1["kind"], "declaration_unknown");
    }

    /// The remedy works.
    #[tokio::test]
    async fn http_remedy() {
        let (_, mut client) = start(Carrier::HttpStateless, Era::Legacy, grading::declared()).await;
        let mut params = course("c-1");
        params["_meta"] =
            json!({"io.modelcontextprotocol/clientCapabilities": client.capabilities()});
        let answer = client.call(RUBRICS, params).await;
        assert_eq!(
            answer.result()["titles"],
            json!(["c-1 for nobody, Some(10)"])
        );
    }
}

/// HTTP without sessions has the same cells as HTTP with them, where no declaration of a session is involved.
#[tokio::test]
async fn http_without_sessions_has_the_same_modern_cells() {
    let carrier = Carrier::HttpStateless;
    method_not_offered_modern(carrier).await;
    method_not_declared_modern(carrier).await;
    settings_do_not_combine_modern(carrier).await;
    gated_tool_not_negotiated_modern(carrier).await;
}
