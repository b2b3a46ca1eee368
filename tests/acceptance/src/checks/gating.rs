//! Who is let in.

use serde_json::{Value, json};

use super::{Outcome, checks, equal, holds};
use crate::client::{Answer, Client, ID};
use crate::scene::Scene;

checks! { "gating":
    everywhere "a method is answered to a client that declares the extension" declared,
    everywhere "a method is refused to a client that does not" undeclared,
    everywhere "a gated tool is called by a client that declares the extension" gated_declared,
    everywhere "a gated tool is refused to a client that does not" gated_undeclared,
    everywhere "a refused call reaches no handler" nothing_runs,
    everywhere "a tool for everyone is called by a client that declares nothing" open_undeclared,
}

fn text() -> Value {
    json!({ "text": "hello" })
}

/// The refusal of a method, as each era words it.
pub(super) fn refused(scene: &Scene, answer: &Answer, kind: &str) -> Outcome<Value> {
    let error = if scene.place.modern() {
        answer.error(-32021, 400)?
    } else {
        answer.error(-32601, 200)?
    };
    let data = error["data"].clone();
    if scene.place.modern() {
        let required = &data["requiredCapabilities"]["extensions"][ID];
        holds(required.is_object(), || {
            format!("requiredCapabilities do not name {ID}: {answer}")
        })?;
    } else {
        equal("data.extension", &data["extension"], &json!(ID))?;
        equal("data.kind", &data["kind"], &json!(kind))?;
    }
    Ok(data)
}

async fn declared(scene: &Scene) -> Outcome {
    let answer = scene.declaring().await?.method("agreed", json!({})).await?;
    equal("negotiated", &answer.result()?["negotiated"], &json!(true))
}

async fn undeclared(scene: &Scene) -> Outcome {
    let answer = scene.silent().await?.method("agreed", json!({})).await?;
    refused(scene, &answer, "not_declared").map(drop)
}

async fn gated_declared(scene: &Scene) -> Outcome {
    let answer = scene
        .declaring()
        .await?
        .tool("acceptance_gated", text())
        .await?;
    equal(
        "the text",
        &answer.result()?["structuredContent"]["text"],
        &json!("hello"),
    )
}

async fn gated_undeclared(scene: &Scene) -> Outcome {
    let answer = scene
        .silent()
        .await?
        .tool("acceptance_gated", text())
        .await?;
    if scene.place.modern() {
        return refused(scene, &answer, "not_declared").map(drop);
    }
    let result = answer.result()?;
    equal("isError", &result["isError"], &json!(true))?;
    let words = result["content"][0]["text"].as_str().unwrap_or_default();
    holds(words.contains(ID), || {
        format!("the words do not name the extension: {answer}")
    })
}

async fn nothing_runs(scene: &Scene) -> Outcome {
    let key = "refused";
    let answer = scene
        .silent()
        .await?
        .method("wait", json!({ "key": key, "millis": 0 }))
        .await?;
    refused(scene, &answer, "not_declared")?;
    let client: Client = scene.declaring().await?;
    let waits = client.method("waits", json!({ "key": key })).await?;
    equal("calls that started", &waits.result()?["started"], &json!(0))
}

async fn open_undeclared(scene: &Scene) -> Outcome {
    let answer = scene
        .silent()
        .await?
        .tool("acceptance_open", text())
        .await?;
    let result = answer.result()?;
    // Nothing was agreed on writing, and what the server grants bounds the rest.
    let agreed = json!({ "negotiated": false, "formats": ["plain", "table"], "maxItems": 50, "write": false });
    equal(
        "what the tool saw",
        &result["structuredContent"],
        &json!({ "text": "hello", "agreed": agreed }),
    )
}
