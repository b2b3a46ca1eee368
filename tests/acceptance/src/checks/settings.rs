//! What both sides' settings give together.

use serde_json::{Value, json};

use super::{Outcome, checks, equal, gating, holds};
use crate::client::ID;
use crate::scene::Scene;

checks! { "settings":
    everywhere "a client without settings of its own gets what the server grants" none,
    everywhere "a client narrows what the server grants" narrower,
    everywhere "a client does not widen what the server grants" wider,
    everywhere "members and set members that nobody knows are passed over" unknown,
    everywhere "settings that do not combine are refused, with the field and both values" mismatch,
    everywhere "a member of a wrong type is -32602 on the extension's calls alone" wrong_type,
    everywhere "a tool for everyone works under settings that do not combine" open_tool,
}

async fn agreed(scene: &Scene, declares: Value) -> Outcome<Value> {
    let answer = scene
        .client(Some(declares))
        .await?
        .method("agreed", json!({}))
        .await?;
    let mut result = answer.result()?.clone();
    // What each era puts beside it is another check's.
    if let Some(object) = result.as_object_mut() {
        object.retain(|key, _| !matches!(key.as_str(), "resultType" | "_meta"));
    }
    Ok(result)
}

async fn none(scene: &Scene) -> Outcome {
    let expected = json!({ "negotiated": true, "formats": ["plain", "table"], "maxItems": 50, "write": false });
    equal("agreed", &agreed(scene, json!({})).await?, &expected)
}

async fn narrower(scene: &Scene) -> Outcome {
    let declares = json!({ "formats": ["table"], "maxItems": 7, "write": true });
    let expected =
        json!({ "negotiated": true, "formats": ["table"], "maxItems": 7, "write": true });
    equal("agreed", &agreed(scene, declares).await?, &expected)
}

async fn wider(scene: &Scene) -> Outcome {
    let declares = json!({ "maxItems": 1_000_000, "write": true });
    let expected =
        json!({ "negotiated": true, "formats": ["plain", "table"], "maxItems": 50, "write": true });
    equal("agreed", &agreed(scene, declares).await?, &expected)
}

async fn unknown(scene: &Scene) -> Outcome {
    let declares = json!({ "formats": ["table", "hologram"], "colour": { "deep": [1, null] } });
    let expected =
        json!({ "negotiated": true, "formats": ["table"], "maxItems": 50, "write": false });
    equal("agreed", &agreed(scene, declares).await?, &expected)
}

fn nothing_in_common() -> Option<Value> {
    Some(json!({ "formats": ["hologram"] }))
}

async fn mismatch(scene: &Scene) -> Outcome {
    let answer = scene
        .client(nothing_in_common())
        .await?
        .method("agreed", json!({}))
        .await?;
    let data = gating::refused(scene, &answer, "settings_mismatch")?;
    let field = &data["mismatch"][0];
    equal("the field", &field["field"], &json!("formats"))?;
    equal(
        "the server's value",
        &field["server"],
        &json!(["plain", "table"]),
    )?;
    holds(
        field.get("rule").is_some() && field.get("client").is_some(),
        || format!("{field} lacks a member"),
    )
}

async fn wrong_type(scene: &Scene) -> Outcome {
    let client = scene.client(Some(json!({ "maxItems": "many" }))).await?;
    client
        .method("agreed", json!({}))
        .await?
        .error(-32602, 200)?;
    client.call("tools/list", json!({})).await?.result()?;
    let Some((tool, arguments)) = scene.own_tool() else {
        return Ok(());
    };
    client
        .tool(tool, arguments.clone())
        .await?
        .result()
        .map(drop)
}

async fn open_tool(scene: &Scene) -> Outcome {
    let client = scene.client(nothing_in_common()).await?;
    let answer = client
        .tool("acceptance_open", json!({ "text": "hello" }))
        .await?;
    let agreed = &answer.result()?["structuredContent"]["agreed"];
    equal(
        &format!("{ID} was negotiated"),
        &agreed["negotiated"],
        &json!(false),
    )
}
