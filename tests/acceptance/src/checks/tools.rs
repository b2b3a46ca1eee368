//! Tools: ours, and the server's own beside them.

use serde_json::{Value, json};

use super::{Outcome, checks, equal, holds};
use crate::client::Answer;
use crate::scene::Scene;

checks! { "tools":
    everywhere "a tool answers with content and structured content" both,
    everywhere "a tool sees what was negotiated" negotiated,
    everywhere "arguments that do not fit are told to the model" arguments,
    everywhere "an error of the extension is told to the model" own_error,
    everywhere "a tool of the server's own answers as it does alone" theirs,
    everywhere "an unknown tool is answered as the server does alone" unknown,
    everywhere "a call without a tool's name is answered as the server does alone" nameless,
}

/// Without what changes from call to call.
fn essence(answer: &Answer) -> Value {
    let mut frame = answer.frame.clone();
    if let Some(object) = frame.as_object_mut() {
        object.remove("id");
    }
    json!([answer.status, frame])
}

async fn both(scene: &Scene) -> Outcome {
    let answer = scene
        .declaring()
        .await?
        .tool("acceptance_open", json!({ "text": "hello" }))
        .await?;
    let result = answer.result()?;
    equal(
        "the text",
        &result["structuredContent"]["text"],
        &json!("hello"),
    )?;
    equal(
        "the kind of content",
        &result["content"][0]["type"],
        &json!("text"),
    )?;
    let words = result["content"][0]["text"].as_str().unwrap_or_default();
    holds(words.contains("hello"), || {
        format!("the content does not say it: {answer}")
    })?;
    holds(result["isError"] != true, || format!("{answer}"))?;
    let marked = scene.place.modern().then(|| json!("complete"));
    equal(
        "resultType",
        &json!(result.get("resultType")),
        &json!(marked),
    )
}

async fn negotiated(scene: &Scene) -> Outcome {
    let client = scene
        .client(Some(
            json!({ "formats": ["table"], "maxItems": 7, "write": true }),
        ))
        .await?;
    let expected =
        json!({ "negotiated": true, "formats": ["table"], "maxItems": 7, "write": true });
    for tool in ["acceptance_open", "acceptance_gated"] {
        let answer = client.tool(tool, json!({ "text": "hello" })).await?;
        equal(
            tool,
            &answer.result()?["structuredContent"]["agreed"],
            &expected,
        )?;
    }
    Ok(())
}

async fn told(scene: &Scene, arguments: Value, words: &[&str]) -> Outcome {
    let answer = scene
        .declaring()
        .await?
        .tool("acceptance_open", arguments)
        .await?;
    let result = answer.result()?;
    equal("isError", &result["isError"], &json!(true))?;
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    for word in words {
        holds(text.contains(word), || {
            format!("the words do not say `{word}`: {answer}")
        })?;
    }
    Ok(())
}

async fn arguments(scene: &Scene) -> Outcome {
    told(scene, json!({ "text": 5 }), &["text", "string"]).await
}

async fn own_error(scene: &Scene) -> Outcome {
    told(scene, json!({ "text": "fail" }), &["there is no fail"]).await
}

async fn same(scene: &Scene, params: Value) -> Outcome<Option<Answer>> {
    let Some(bare) = scene.bare().await? else {
        return Ok(None);
    };
    let alone = bare.call("tools/call", params.clone()).await?;
    let behind = scene.silent().await?.call("tools/call", params).await?;
    equal("the answer", &essence(&behind), &essence(&alone))?;
    Ok(Some(behind))
}

async fn theirs(scene: &Scene) -> Outcome {
    let Some((tool, arguments)) = scene.own_tool() else {
        return Ok(());
    };
    match same(scene, json!({ "name": tool, "arguments": arguments })).await? {
        Some(answer) => holds(answer.result()?["isError"] != true, || {
            format!("it fails: {answer}")
        }),
        None => Ok(()),
    }
}

async fn unknown(scene: &Scene) -> Outcome {
    same(scene, json!({ "name": "no_such_tool", "arguments": {} }))
        .await
        .map(drop)
}

async fn nameless(scene: &Scene) -> Outcome {
    same(scene, json!({ "arguments": {} })).await.map(drop)
}
