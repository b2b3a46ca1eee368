//! Errors, and over HTTP their statuses.

use serde_json::json;

use super::{Outcome, checks, equal, holds};
use crate::client::ID;
use crate::scene::Scene;

const AGREED: &str = "com.example/acceptance/agreed";

checks! { "errors":
    everywhere "an error of the extension has its code, kind and details" own,
    everywhere "an error that may pass says so" retryable,
    everywhere "a fault in a handler is -32603, and the server goes on" panics,
    modern "a version that is not served is -32022" version,
    modern "a request without the client's capabilities is -32602" incomplete,
    with_headers "a method in the header that is not the body's is -32020" method_header,
    with_headers "a version in the header that is not the body's is -32020" version_header,
    with_headers "a header that is missing is -32020" no_header,
}

async fn own(scene: &Scene) -> Outcome {
    let answer = scene
        .declaring()
        .await?
        .method("fail", json!({ "how": "missing" }))
        .await?;
    let error = answer.error(4100, 200)?;
    equal("message", &error["message"], &json!("there is no thing"))?;
    let data = &error["data"];
    equal("data.extension", &data["extension"], &json!(ID))?;
    equal("data.kind", &data["kind"], &json!("missing"))?;
    equal(
        "data.details",
        &data["details"],
        &json!({ "name": "thing" }),
    )
}

async fn retryable(scene: &Scene) -> Outcome {
    let answer = scene
        .declaring()
        .await?
        .method("fail", json!({ "how": "busy" }))
        .await?;
    equal(
        "data.retryable",
        &answer.error(4101, 200)?["data"]["retryable"],
        &json!(true),
    )
}

async fn panics(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let answer = client.method("fail", json!({ "how": "panic" })).await?;
    let error = answer.error(-32603, 200)?;
    equal(
        "data.kind",
        &error["data"]["kind"],
        &json!("handler_panicked"),
    )?;
    holds(!answer.frame.to_string().contains("asked for"), || {
        format!("it shows the panic: {answer}")
    })?;
    client.method("agreed", json!({})).await?.result().map(drop)
}

async fn version(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let mut frame = client.request(AGREED, json!({}));
    frame["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("1900-01-01");
    let answer = client
        .post(&frame, &[("mcp-protocol-version", "1900-01-01")])
        .await?;
    let data = &answer.error(-32022, 400)?["data"];
    equal("data.requested", &data["requested"], &json!("1900-01-01"))?;
    let supported = data["supported"].as_array();
    holds(
        supported.is_some_and(|s| s.contains(&json!("2026-07-28"))),
        || format!("data.supported in {answer}"),
    )
}

async fn incomplete(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let mut frame = client.request(AGREED, json!({}));
    if let Some(meta) = frame["params"]["_meta"].as_object_mut() {
        meta.remove("io.modelcontextprotocol/clientCapabilities");
    }
    client.post(&frame, &[]).await?.error(-32602, 400).map(drop)
}

async fn mismatch(scene: &Scene, headers: &[(&str, &str)]) -> Outcome {
    let client = scene.declaring().await?;
    let frame = client.request(AGREED, json!({}));
    let answer = client.post(&frame, headers).await?;
    answer.error(-32020, 400)?;
    equal("the id", &answer.frame["id"], &frame["id"])
}

async fn method_header(scene: &Scene) -> Outcome {
    mismatch(scene, &[("mcp-method", "com.example/acceptance/echo")]).await
}

async fn version_header(scene: &Scene) -> Outcome {
    mismatch(scene, &[("mcp-protocol-version", "2025-11-25")]).await
}

async fn no_header(scene: &Scene) -> Outcome {
    mismatch(scene, &[("mcp-method", "")]).await
}
