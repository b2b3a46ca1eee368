//! What is said to the client while a call runs.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Outcome, checks, equal, holds};
use crate::client::{Answer, Client};
use crate::scene::Scene;

const REACHED: &str = "notifications/com.example/acceptance/reached";

checks! { "notifications":
    everywhere "a notification of the extension arrives, each once and in order" arrive,
    everywhere "it comes before the answer, on its stream" before,
    everywhere "progress arrives under the client's token" progress,
    everywhere "no progress arrives without a token" no_token,
    everywhere "a notification of the client in the extension's name is answered by nobody" from_client,
}

fn counts(frames: &[Value], method: &str, member: &str) -> Value {
    frames
        .iter()
        .filter(|f| f["method"] == method)
        .map(|f| f["params"][member].clone())
        .collect()
}

async fn announce(client: &Client, meta: Value) -> Outcome<(Answer, Vec<Value>)> {
    let already = client.heard().len();
    let answer = client
        .method("announce", json!({ "count": 3, "_meta": meta }))
        .await?;
    equal("the result", &answer.result()?["count"], &json!(3))?;
    // What takes another way may come a little later.
    let mut elsewhere = Vec::new();
    for _ in 0..40 {
        elsewhere = client.heard().split_off(already);
        let so_far = answer
            .before
            .iter()
            .chain(&elsewhere)
            .filter(|f| f["method"] == REACHED)
            .count();
        if so_far >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Ok((answer, elsewhere))
}

async fn arrive(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let (answer, elsewhere) = announce(&client, json!({})).await?;
    let all = if scene.place.http() {
        [answer.before, elsewhere].concat()
    } else {
        elsewhere
    };
    equal(
        "what was reached",
        &counts(&all, REACHED, "count"),
        &json!([1, 2, 3]),
    )
}

async fn before(scene: &Scene) -> Outcome {
    let (answer, _) = announce(&scene.declaring().await?, json!({})).await?;
    equal(
        "what was reached",
        &counts(&answer.before, REACHED, "count"),
        &json!([1, 2, 3]),
    )
}

async fn progress(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    for token in [json!("a token"), json!(42)] {
        let (answer, _) = announce(&client, json!({ "progressToken": token })).await?;
        let steps = counts(&answer.before, "notifications/progress", "progress");
        let steps: Vec<_> = steps
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect();
        holds(steps == [1.0, 2.0, 3.0], || format!("the steps: {steps:?}"))?;
        let tokens = counts(&answer.before, "notifications/progress", "progressToken");
        equal("the tokens", &tokens, &json!([token, token, token]))?;
    }
    Ok(())
}

async fn no_token(scene: &Scene) -> Outcome {
    let (answer, elsewhere) = announce(&scene.declaring().await?, json!({})).await?;
    let all = [answer.before, elsewhere].concat();
    equal(
        "progress",
        &counts(&all, "notifications/progress", "progress"),
        &json!([]),
    )
}

async fn from_client(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let already = client.heard().len();
    client
        .notify("notifications/com.example/acceptance/whatever", json!({}))
        .await?;
    client.method("agreed", json!({})).await?.result()?;
    let heard = client.heard().split_off(already);
    holds(heard.is_empty(), || format!("{heard:?}"))
}
