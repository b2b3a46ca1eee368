//! What is said to the client while a call runs.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Outcome, checks, equal, holds};
use crate::scene::Scene;

const REACHED: &str = "notifications/com.example/acceptance/reached";
const PROGRESS: &str = "notifications/progress";

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

/// What comes for a call that announces three things: on the answer's own stream, and elsewhere.
struct Announced {
    http: bool,
    before: Vec<Value>,
    elsewhere: Vec<Value>,
}

impl Announced {
    /// Waits a little for what takes another way, until three of a method have come.
    async fn of(scene: &Scene, meta: Value, method: &str) -> Outcome<Self> {
        let client = scene.declaring().await?;
        let already = client.heard().len();
        let params = json!({ "count": 3, "_meta": meta });
        let answer = client.method("announce", params).await?;
        equal("the result", &answer.result()?["count"], &json!(3))?;
        let mut announced = Self {
            http: scene.place.http(),
            before: answer.before,
            elsewhere: Vec::new(),
        };
        for _ in 0..40 {
            announced.elsewhere = client.heard().split_off(already);
            if announced
                .all()
                .iter()
                .filter(|f| f["method"] == method)
                .count()
                >= 3
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Ok(announced)
    }

    fn all(&self) -> Vec<Value> {
        // Over stdio there is one stream: what came before the answer was heard there too.
        let before = if self.http { &self.before[..] } else { &[] };
        [before, &self.elsewhere].concat()
    }
}

async fn arrive(scene: &Scene) -> Outcome {
    let announced = Announced::of(scene, json!({}), REACHED).await?;
    equal(
        "what was reached",
        &counts(&announced.all(), REACHED, "count"),
        &json!([1, 2, 3]),
    )
}

async fn before(scene: &Scene) -> Outcome {
    let announced = Announced::of(scene, json!({}), REACHED).await?;
    equal(
        "what was reached",
        &counts(&announced.before, REACHED, "count"),
        &json!([1, 2, 3]),
    )
}

async fn progress(scene: &Scene) -> Outcome {
    for token in [json!("a token"), json!(42)] {
        let announced = Announced::of(scene, json!({ "progressToken": token }), PROGRESS).await?;
        let steps = counts(&announced.all(), PROGRESS, "progress");
        let steps: Vec<_> = steps
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect();
        holds(steps == [1.0, 2.0, 3.0], || format!("the steps: {steps:?}"))?;
        let tokens = counts(&announced.all(), PROGRESS, "progressToken");
        equal("the tokens", &tokens, &json!([token, token, token]))?;
    }
    Ok(())
}

async fn no_token(scene: &Scene) -> Outcome {
    let announced = Announced::of(scene, json!({}), REACHED).await?;
    equal(
        "progress",
        &counts(&announced.all(), PROGRESS, "progress"),
        &json!([]),
    )
}

async fn from_client(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let already = client.heard().len();
    // Over HTTP a server may refuse what it does not know; that is no answer to it.
    let _ = client
        .notify("notifications/com.example/acceptance/whatever", json!({}))
        .await;
    client.method("agreed", json!({})).await?.result()?;
    let heard = client.heard().split_off(already);
    holds(heard.is_empty(), || format!("{heard:?}"))
}
