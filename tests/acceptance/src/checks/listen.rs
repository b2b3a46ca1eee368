//! Streams of `subscriptions/listen` that ask for a notification of the extension.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Outcome, checks, equal, holds};
use crate::client::{Client, ID, Listening};
use crate::scene::Scene;

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const MOVED: &str = "notifications/com.example/acceptance/moved";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

checks! { "listening":
    modern "a stream begins with what of it is honoured" begins,
    modern "what is published arrives on the streams that asked for it, each once, under their ids" arrives,
    modern "what the server itself has for the stream stays as it is alone" beside_the_servers,
    modern "who did not declare the extension is told to, before a stream opens" undeclared,
    modern "a stream that its client ends hears nothing more" ended,
    modern "a filter that does not fit is -32602, and says where" unfitting,
}

fn moved(keys: &[&str]) -> Value {
    json!({ ID: { "moved": { "keys": keys } } })
}

async fn listen(client: &Client, filter: Value) -> Outcome<Listening> {
    client
        .listen(filter)
        .await?
        .map_err(|answer| format!("a stream was expected, but: {answer}"))
}

/// The first message of a stream, which has to be the acknowledgement under its id: what it says is honoured.
async fn honoured(stream: &Listening) -> Outcome<Value> {
    let first = stream.frames(1).await?.remove(0);
    equal("the first message", &first["method"], &json!(ACKNOWLEDGED))?;
    equal(
        "its subscription",
        &first["params"]["_meta"][SUBSCRIPTION],
        &stream.id,
    )?;
    Ok(first["params"]["notifications"].clone())
}

async fn publish(client: &Client, key: &str) -> Outcome {
    client
        .method("move", json!({ "key": key }))
        .await?
        .result()?;
    Ok(())
}

async fn begins(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let mut filter = moved(&["a"]);
    filter[ID]["moved"]["more"] = 1.into();
    filter[ID]["unheardOf"] = true.into();
    let stream = listen(&client, filter).await?;
    equal(
        "what is honoured",
        &honoured(&stream).await?,
        &moved(&["a"]),
    )
}

async fn arrives(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let (a, all) = (
        listen(&client, moved(&["a"])).await?,
        listen(&client, moved(&[])).await?,
    );
    honoured(&a).await?;
    honoured(&all).await?;
    for key in ["a", "b", "a"] {
        publish(&client, key).await?;
    }
    for (stream, expected) in [(&a, json!(["a", "a"])), (&all, json!(["a", "b", "a"]))] {
        let count = 1 + expected.as_array().map_or(0, Vec::len);
        stream.frames(count).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let frames = stream.frames(count).await?.split_off(1);
        let keys: Value = frames.iter().map(|f| f["params"]["key"].clone()).collect();
        equal("what was moved", &keys, &expected)?;
        for frame in frames {
            equal("the notification", &frame["method"], &json!(MOVED))?;
            equal(
                "its subscription",
                &frame["params"]["_meta"][SUBSCRIPTION],
                &stream.id,
            )?;
        }
    }
    Ok(())
}

async fn beside_the_servers(scene: &Scene) -> Outcome {
    let theirs = json!({ "toolsListChanged": true });
    let alone = match scene.bare().await? {
        Some(bare) => match bare.listen(theirs.clone()).await? {
            Ok(stream) => honoured(&stream).await?,
            // A server that has no listen streams leaves ours alone.
            Err(_) => json!({}),
        },
        None => return Ok(()),
    };
    let client = scene.declaring().await?;
    let mut filter = theirs;
    filter[ID] = moved(&[])[ID].clone();
    let stream = listen(&client, filter).await?;
    let mut expected = alone;
    expected[ID] = moved(&[])[ID].clone();
    equal("what is honoured", &honoured(&stream).await?, &expected)?;
    publish(&client, "a").await?;
    let frames = stream.frames(2).await?;
    equal("the notification", &frames[1]["method"], &json!(MOVED))
}

async fn undeclared(scene: &Scene) -> Outcome {
    let client = scene.silent().await?;
    match client.listen(moved(&[])).await? {
        Ok(_) => Err("a stream was opened".to_owned()),
        Err(answer) => {
            let error = answer.error(-32021, 400)?;
            let required = &error["data"]["requiredCapabilities"]["extensions"][ID];
            holds(required.is_object(), || error.to_string())
        }
    }
}

async fn ended(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let (gone, kept) = (
        listen(&client, moved(&[])).await?,
        listen(&client, moved(&[])).await?,
    );
    honoured(&gone).await?;
    honoured(&kept).await?;
    gone.end(&client).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    publish(&client, "a").await?;
    kept.frames(2).await?;
    let heard = gone.frames(1).await?.split_off(1);
    holds(heard.is_empty(), || format!("{heard:?}"))
}

async fn unfitting(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    match client
        .listen(json!({ ID: { "moved": { "keys": [1] } } }))
        .await?
    {
        Ok(_) => Err("a stream was opened".to_owned()),
        Err(answer) => {
            let error = answer.error(-32602, 200)?;
            let pointer = &error["data"]["faults"][0]["pointer"];
            let expected = json!("/notifications/com.example~1acceptance/moved/keys/0");
            equal("where", pointer, &expected)
        }
    }
}
