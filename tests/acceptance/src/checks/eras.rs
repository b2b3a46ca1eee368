//! Both revisions, and what is neither.

use serde_json::json;

use super::{Outcome, checks, holds};
use crate::scene::Scene;

checks! { "eras":
    legacy "a call before a session is open reaches no handler" before_initialize,
    sessions "a call in a session that nobody opened reaches no handler" unknown_session,
    everywhere "two sessions at once are told apart" two_sessions,
    everywhere "the server's own ping, or the lack of one, is as it is alone" ping,
}

async fn before_initialize(scene: &Scene) -> Outcome {
    let client = scene.fresh(false).await?;
    match client.method("agreed", json!({})).await {
        // An answer of another kind, or an end of the connection.
        Ok(answer) => holds(answer.result().is_err(), || {
            format!("it was answered: {answer}")
        }),
        Err(_) => Ok(()),
    }
}

async fn unknown_session(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let frame = client.request("com.example/acceptance/agreed", json!({}));
    let answer = client
        .post(&frame, &[("mcp-session-id", "no-such-session")])
        .await?;
    holds(answer.result().is_err(), || {
        format!("it was answered: {answer}")
    })
}

async fn two_sessions(scene: &Scene) -> Outcome {
    let (one, two) = (scene.fresh(true).await?, scene.fresh(true).await?);
    for client in [&one, &two, &one] {
        client.method("agreed", json!({})).await?.result()?;
    }
    drop(one);
    two.method("agreed", json!({})).await?.result().map(drop)
}

async fn ping(scene: &Scene) -> Outcome {
    let Some(bare) = scene.bare().await? else {
        return Ok(());
    };
    let (alone, behind) = (
        bare.call("ping", json!({})).await?,
        scene.silent().await?.call("ping", json!({})).await?,
    );
    let same =
        alone.status == behind.status && alone.frame.get("result") == behind.frame.get("result");
    holds(same, || format!("alone {alone}, behind {behind}"))
}
