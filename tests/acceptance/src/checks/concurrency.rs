//! Many calls at once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Outcome, checks, equal, holds};
use crate::client::Client;
use crate::scene::Scene;

checks! { "concurrency":
    everywhere "forty calls at once get each their own answer" many,
    everywhere "ids that differ by their kind alone are two calls" kinds,
    everywhere "a long call holds nothing up" long,
    everywhere "clients with other settings at once are told apart" settings,
}

async fn all(mut tasks: JoinSet<Outcome>) -> Outcome {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|e| e.to_string())??;
    }
    Ok(())
}

async fn many(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let mut tasks = JoinSet::new();
    for n in 0..40_i64 {
        let client = client.clone();
        tasks.spawn(async move {
            if n % 4 == 3 {
                let answer = client
                    .tool("acceptance_open", json!({ "text": n.to_string() }))
                    .await?;
                return equal(
                    "a tool",
                    &answer.result()?["structuredContent"]["text"],
                    &json!(n.to_string()),
                );
            }
            let params = json!({ "text": "x".repeat(2000), "exact": n, "list": [n, -n] });
            let answer = client.method("echo", params).await?;
            equal("a method", &answer.result()?["list"], &json!([n, -n]))
        });
    }
    all(tasks).await
}

async fn kinds(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let mut tasks = JoinSet::new();
    for id in [json!(900_007), json!("900007")] {
        let client = client.clone();
        tasks.spawn(async move {
            let key = format!(
                "{id} of {}",
                if id.is_string() { "text" } else { "numbers" }
            );
            let params = json!({ "key": key, "millis": 200 });
            let mut frame = client.request("com.example/acceptance/wait", params);
            frame["id"] = id;
            let answer = client.post(&frame, &[]).await?;
            equal("the id", &answer.frame["id"], &frame["id"])?;
            equal("the key", &answer.result()?["key"], &frame["params"]["key"])
        });
    }
    all(tasks).await
}

async fn long(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let waiting = {
        let client = client.clone();
        tokio::spawn(async move {
            client
                .method("wait", json!({ "key": "held", "millis": 1500 }))
                .await
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    client.method("agreed", json!({})).await?.result()?;
    client.call("tools/list", json!({})).await?.result()?;
    holds(!waiting.is_finished(), || {
        format!("the others took {:?}", began.elapsed())
    })?;
    let answer = waiting.await.map_err(|e| e.to_string())??;
    answer.result().map(drop)
}

async fn settings(scene: &Scene) -> Outcome {
    let mut tasks = JoinSet::new();
    for n in [7, 9] {
        let client: Client = scene.client(Some(json!({ "maxItems": n }))).await?;
        for _ in 0..10 {
            let client = client.clone();
            tasks.spawn(async move {
                let answer = client.method("agreed", json!({})).await?;
                let seen: &Value = &answer.result()?["maxItems"];
                equal("maxItems", seen, &json!(n))
            });
        }
    }
    all(tasks).await
}
