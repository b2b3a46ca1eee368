//! Calls that are given up.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Outcome, checks, holds};
use crate::client::Client;
use crate::scene::Scene;

checks! { "cancellation":
    everywhere "the handler of a cancelled call is stopped, and nobody answers" cancelled,
    everywhere "other calls go on" others,
    everywhere "a cancellation that comes too late, or of a call that never was, changes nothing" late,
}

/// Waits until as many calls of a name have started and were dropped.
async fn until(client: &Client, key: &str, started: u64, dropped: u64) -> Outcome {
    let mut seen = Value::Null;
    for _ in 0..200 {
        seen = client
            .method("waits", json!({ "key": key }))
            .await?
            .result()?
            .clone();
        if seen["started"] == started && seen["dropped"] == dropped {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Err(format!(
        "{started} were to start and {dropped} to be dropped, but: {seen}"
    ))
}

/// A long call under way.
struct Long {
    frame: Value,
    task: tokio::task::JoinHandle<Outcome<crate::client::Answer>>,
}

impl Long {
    fn start(client: &Client, key: &str, millis: u64) -> Self {
        let frame = client.request(
            "com.example/acceptance/wait",
            json!({ "key": key, "millis": millis }),
        );
        let (client, sent) = (client.clone(), frame.clone());
        let task = tokio::spawn(async move { client.post(&sent, &[]).await });
        Self { frame, task }
    }

    /// As its transport and era do it.
    async fn cancel(&self, scene: &Scene, client: &Client) -> Outcome {
        if scene.place.modern() && scene.place.http() {
            self.task.abort();
            return Ok(());
        }
        let params = json!({ "requestId": self.frame["id"], "reason": "it is no longer needed" });
        client.notify("notifications/cancelled", params).await
    }
}

/// A key that no other column or run has used.
fn key(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("{name} {}", now.map_or(0, |d| d.as_nanos()))
}

async fn cancelled(scene: &Scene) -> Outcome {
    let (client, key) = (scene.declaring().await?, key("cancelled"));
    let long = Long::start(&client, &key, 60_000);
    until(&client, &key, 1, 0).await?;
    long.cancel(scene, &client).await?;
    until(&client, &key, 1, 1).await?;
    // An answer would come now.
    match tokio::time::timeout(Duration::from_millis(300), long.task).await {
        Ok(Ok(Ok(answer))) if answer.frame.is_object() => Err(format!("it was answered: {answer}")),
        // The exchange ended without one, or still waits, or was given up from here.
        _ => Ok(()),
    }
}

async fn others(scene: &Scene) -> Outcome {
    let (client, given_up, kept) = (scene.declaring().await?, key("given up"), key("kept"));
    let one = Long::start(&client, &given_up, 60_000);
    let other = Long::start(&client, &kept, 500);
    until(&client, &given_up, 1, 0).await?;
    until(&client, &kept, 1, 0).await?;
    one.cancel(scene, &client).await?;
    until(&client, &given_up, 1, 1).await?;
    let answer = other.task.await.map_err(|e| e.to_string())??;
    super::equal("the key", &answer.result()?["key"], &json!(kept))
}

async fn late(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let frame = client.request("com.example/acceptance/agreed", json!({}));
    client.post(&frame, &[]).await?.result()?;
    // A client without a session has no way to say this over HTTP.
    if !(scene.place.modern() && scene.place.http()) {
        for id in [frame["id"].clone(), json!("never")] {
            client
                .notify("notifications/cancelled", json!({ "requestId": id }))
                .await?;
        }
    }
    let answer = client.method("agreed", json!({})).await?;
    holds(answer.result().is_ok(), || format!("{answer}"))
}
