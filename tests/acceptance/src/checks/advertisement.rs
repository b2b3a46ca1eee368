//! What a server says of itself when it is asked.

use serde_json::{Value, json};

use super::{Outcome, checks, equal, holds};
use crate::client::ID;
use crate::scene::Scene;

checks! { "advertisement":
    everywhere "the extension is offered with its settings and revision" offered,
    everywhere "it is offered to a client that declares nothing" offered_to_all,
    everywhere "tools are offered" tools,
    everywhere "everything else in that answer is the server's own" the_rest,
}

async fn offered(scene: &Scene) -> Outcome {
    let opening = scene.declaring().await?.opening();
    let settings = json!({ "revision": "2026-11-01", "formats": ["plain", "table"], "maxItems": 50, "write": true });
    equal(
        "the settings",
        &opening.result()?["capabilities"]["extensions"][ID],
        &settings,
    )
}

async fn offered_to_all(scene: &Scene) -> Outcome {
    let (one, other) = (
        scene.silent().await?.opening(),
        scene.declaring().await?.opening(),
    );
    equal("the answer", one.result()?, other.result()?)
}

async fn tools(scene: &Scene) -> Outcome {
    let opening = scene.silent().await?.opening();
    holds(
        opening.result()?["capabilities"]["tools"].is_object(),
        || format!("no tools in {opening}"),
    )
}

async fn the_rest(scene: &Scene) -> Outcome {
    let Some(bare) = scene.bare().await? else {
        return Ok(());
    };
    let (opening, bare) = (scene.silent().await?.opening(), bare.opening());
    let (mut ours, bare) = (opening.result()?.clone(), bare.result()?);
    let theirs = &bare["capabilities"];
    let capabilities = ours["capabilities"]
        .as_object_mut()
        .ok_or("no capabilities")?;
    if let Some(extensions) = capabilities
        .get_mut("extensions")
        .and_then(Value::as_object_mut)
    {
        extensions.remove(ID);
        if extensions.is_empty() && theirs.get("extensions").is_none() {
            capabilities.remove("extensions");
        }
    }
    if theirs.get("tools").is_none() {
        capabilities.remove("tools");
    }
    equal("without what is ours", &ours, bare)
}
