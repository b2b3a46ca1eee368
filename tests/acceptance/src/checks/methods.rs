//! Typed methods: what goes in and what comes out.

use serde_json::{Value, json};

use super::{Outcome, checks, equal, holds};
use crate::scene::Scene;

checks! { "methods":
    everywhere "params and result keep every digit and character" exact,
    everywhere "ids of both kinds come back as they were" ids,
    modern "a result is marked complete and names the server" marked,
    legacy "a result has nothing of the newer revision" unmarked,
    everywhere "params that do not fit are -32602 with every fault at once" faults,
    everywhere "a fault does not repeat the value" no_echo,
    everywhere "params that are missing are -32602" missing,
    everywhere "members that nobody knows are passed over or named" extra,
    everywhere "an unknown method of the extension is -32601" unknown,
    with_headers "a name that the header repeats is compared with it" named,
}

fn parcel() -> Value {
    json!({
        "text": "quote \" backslash \\ newline \n tab \t nul \u{0} é 漢 🜁 \u{2028} </script>",
        "exact": u64::MAX,
        "list": [i64::MIN, -1, 0, 9_007_199_254_740_993_i64, i64::MAX],
        "note": "",
    })
}

async fn exact(scene: &Scene) -> Outcome {
    let answer = scene.declaring().await?.method("echo", parcel()).await?;
    let result = answer.result()?;
    for (key, value) in parcel().as_object().into_iter().flatten() {
        equal(key, &result[key], value)?;
    }
    Ok(())
}

async fn ids(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    for id in [
        json!("a \"string\" é"),
        json!("77"),
        json!(2_147_483_647_u32),
        json!(""),
    ] {
        let mut frame = client.request("com.example/acceptance/agreed", json!({}));
        frame["id"] = id.clone();
        let answer = client.post(&frame, &[]).await?;
        equal("the id", &answer.frame["id"], &id)?;
        answer.result()?;
    }
    Ok(())
}

async fn marked(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let answer = client.method("agreed", json!({})).await?;
    let result = answer.result()?;
    equal("resultType", &result["resultType"], &json!("complete"))?;
    let key = "io.modelcontextprotocol/serverInfo";
    let opening = client.opening();
    equal(key, &result["_meta"][key], &opening.result()?["_meta"][key])
}

async fn unmarked(scene: &Scene) -> Outcome {
    let answer = scene.declaring().await?.method("agreed", json!({})).await?;
    let result = answer.result()?;
    holds(result.get("resultType").is_none(), || {
        format!("resultType in {answer}")
    })
}

async fn faults(scene: &Scene) -> Outcome {
    let params = json!({ "text": 5, "exact": -1, "list": [1, "two"] });
    let answer = scene.declaring().await?.method("echo", params).await?;
    let data = &answer.error(-32602, 200)?["data"];
    equal("data.kind", &data["kind"], &json!("invalid_params"))?;
    let faults = data["faults"].as_array().into_iter().flatten();
    let mut pointers: Vec<_> = faults.filter_map(|f| f["pointer"].as_str()).collect();
    pointers.sort_unstable();
    equal(
        "the pointers",
        &json!(pointers),
        &json!(["/exact", "/list/1", "/text"]),
    )
}

async fn no_echo(scene: &Scene) -> Outcome {
    let params = json!({ "text": ["a private matter"], "exact": 1, "list": [] });
    let answer = scene.declaring().await?.method("echo", params).await?;
    answer.error(-32602, 200)?;
    holds(!answer.frame.to_string().contains("private"), || {
        format!("it does: {answer}")
    })
}

async fn missing(scene: &Scene) -> Outcome {
    let answer = scene.declaring().await?.method("echo", json!({})).await?;
    answer.error(-32602, 200).map(drop)
}

async fn extra(scene: &Scene) -> Outcome {
    let mut params = parcel();
    params["later"] = json!(1);
    let answer = scene.declaring().await?.method("echo", params).await?;
    match answer.result() {
        Ok(result) => equal("exact", &result["exact"], &json!(u64::MAX)),
        Err(_) => {
            let pointer = &answer.error(-32602, 200)?["data"]["faults"][0]["pointer"];
            equal("the pointer", pointer, &json!("/later"))
        }
    }
}

async fn unknown(scene: &Scene) -> Outcome {
    let answer = scene
        .declaring()
        .await?
        .method("nothing", json!({}))
        .await?;
    let status = if scene.place.modern() { 404 } else { 200 };
    // A wrapped server of the older era may have a status of its own for what it does not know.
    match answer.error(-32601, status) {
        Err(why) if scene.place.modern() || scene.place.http() => Err(why),
        other => other.map(drop),
    }
}

async fn named(scene: &Scene) -> Outcome {
    let client = scene.declaring().await?;
    let frame = client.request("com.example/acceptance/named", json!({ "key": "box 7" }));
    equal(
        "the key",
        &client.post(&frame, &[]).await?.result()?["key"],
        &json!("box 7"),
    )?;
    client
        .post(&frame, &[("mcp-name", "box 8")])
        .await?
        .error(-32020, 400)?;
    client
        .post(&frame, &[("mcp-name", "")])
        .await?
        .error(-32020, 400)
        .map(drop)
}
