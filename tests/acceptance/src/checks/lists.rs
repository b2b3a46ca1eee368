//! The list of tools, and how long it may be kept.

use serde_json::{Value, json};

use super::{Outcome, checks, equal, holds, names};
use crate::scene::Scene;

const OURS: [&str; 2] = ["acceptance_gated", "acceptance_open"];

checks! { "lists":
    everywhere "ours stand after the server's own, sorted, once" order,
    everywhere "the server's own entries are as they are alone" entries,
    everywhere "the list is the same for everyone, and each time" stable,
    everywhere "our entries have what models need" described,
    everywhere "all else in the list is the server's own, cache hints too" the_rest,
    everywhere "a filtered list shows a tool to those who declare the extension" filtered_declared,
    everywhere "a filtered list hides a tool from those who do not" filtered_undeclared,
    modern "a filtered list is private and not kept" private,
    legacy "a filtered list has no cache hints" no_hints,
}

async fn list(client: &crate::client::Client) -> Outcome<Value> {
    Ok(client
        .call("tools/list", json!({}))
        .await?
        .result()?
        .clone())
}

async fn order(scene: &Scene) -> Outcome {
    let listed = list(&scene.declaring().await?).await?;
    let own = match scene.bare().await? {
        Some(bare) => list(&bare).await?,
        None => json!({}),
    };
    let expected: Vec<_> = names(&own).into_iter().chain(OURS).collect();
    let seen = names(&listed);
    // Without the server alone to compare with, only the end of the list is known.
    let seen = if own["tools"].is_array() {
        &seen[..]
    } else {
        &seen[seen.len().saturating_sub(2)..]
    };
    equal("the names", &json!(seen), &json!(expected))
}

async fn entries(scene: &Scene) -> Outcome {
    let Some(bare) = scene.bare().await? else {
        return Ok(());
    };
    let (own, listed) = (list(&bare).await?, list(&scene.declaring().await?).await?);
    for (at, entry) in own["tools"].as_array().into_iter().flatten().enumerate() {
        equal("an entry", &listed["tools"][at], entry)?;
    }
    Ok(())
}

async fn stable(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let (one, again) = (list(&client).await?, list(&client).await?);
    equal("the list", &again, &one)?;
    equal(
        "the list of one who declares nothing",
        &list(&scene.silent().await?).await?,
        &one,
    )
}

async fn described(scene: &Scene) -> Outcome {
    let listed = list(&scene.declaring().await?).await?;
    for name in OURS {
        let entry = listed["tools"]
            .as_array()
            .and_then(|all| all.iter().find(|t| t["name"] == name));
        let entry = entry.ok_or_else(|| format!("{name} is not listed"))?;
        holds(entry["description"].is_string(), || {
            format!("no description: {entry}")
        })?;
        equal(
            "inputSchema.type",
            &entry["inputSchema"]["type"],
            &json!("object"),
        )?;
        equal(
            "inputSchema.required",
            &entry["inputSchema"]["required"],
            &json!(["text"]),
        )?;
        equal(
            "outputSchema.type",
            &entry["outputSchema"]["type"],
            &json!("object"),
        )?;
    }
    let open = listed["tools"]
        .as_array()
        .and_then(|all| all.iter().find(|t| t["name"] == OURS[1]));
    equal(
        "the hint",
        &json!(open.map(|t| &t["annotations"]["readOnlyHint"])),
        &json!(true),
    )
}

async fn the_rest(scene: &Scene) -> Outcome {
    let Some(bare) = scene.bare().await? else {
        return Ok(());
    };
    let (mut own, mut listed) = (list(&bare).await?, list(&scene.silent().await?).await?);
    for result in [&mut own, &mut listed] {
        result["tools"] = Value::Null;
    }
    equal("the result without its tools", &listed, &own)
}

async fn filtered(scene: &Scene, declares: Option<Value>) -> Outcome<Option<Value>> {
    match scene.filtered(declares).await? {
        Some(client) => list(&client).await.map(Some),
        None => Ok(None),
    }
}

async fn filtered_declared(scene: &Scene) -> Outcome {
    let Some(listed) = filtered(scene, Some(json!({}))).await? else {
        return Ok(());
    };
    holds(names(&listed).ends_with(&OURS), || {
        format!("not both are listed: {:?}", names(&listed))
    })
}

async fn filtered_undeclared(scene: &Scene) -> Outcome {
    let Some(listed) = filtered(scene, None).await? else {
        return Ok(());
    };
    holds(!names(&listed).contains(&OURS[0]), || {
        format!("it is listed: {:?}", names(&listed))
    })
}

async fn private(scene: &Scene) -> Outcome {
    for declares in [None, Some(json!({}))] {
        let Some(listed) = filtered(scene, declares).await? else {
            return Ok(());
        };
        equal("cacheScope", &listed["cacheScope"], &json!("private"))?;
        equal("ttlMs", &listed["ttlMs"], &json!(0))?;
    }
    Ok(())
}

async fn no_hints(scene: &Scene) -> Outcome {
    let Some(listed) = filtered(scene, Some(json!({}))).await? else {
        return Ok(());
    };
    let hints = ["cacheScope", "ttlMs", "resultType"];
    holds(hints.iter().all(|hint| listed.get(hint).is_none()), || {
        format!("it has: {listed}")
    })
}
