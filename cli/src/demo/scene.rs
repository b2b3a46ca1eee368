//! One scene: a server process, a client that knows the extension and one that does not, and what their frames say.

use std::time::Duration;

use mcp_ext::algebra::Negotiate;
use mcp_ext::client::Negotiation;
use mcp_ext::healthcare::types::{PageSize, SearchParam, SearchParams};
use mcp_ext::healthcare::{FhirExtension, FhirSettings};
use mcp_ext::rmcp::RmcpCaller;
use mcp_ext::{Extension, client};
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ClientRequest, CustomRequest,
    Implementation, ProtocolVersion,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};

use super::log::{Frame, Log};
use super::{Era, Fact, Scene, Transport, http, stdio};
use crate::Error;

const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// Plays a scene; whatever goes wrong is part of it.
pub async fn play(server: &[String], transport: Transport, era: Era) -> Scene {
    let knowing = Log::new("knows the extension");
    let plain = Log::new("never heard of it");
    let mut facts = Vec::new();
    let broken = acts(server, transport, era, &knowing, &plain, &mut facts)
        .await
        .err()
        .map(|e| e.to_string());
    let mut frames = knowing.frames();
    frames.extend(plain.frames());
    Scene {
        transport,
        era,
        facts,
        broken,
        frames,
    }
}

async fn acts(
    server: &[String],
    transport: Transport,
    era: Era,
    knowing: &Log,
    plain: &Log,
    facts: &mut Vec<Fact>,
) -> Result<(), Error> {
    let id = FhirExtension::CONTRACT.id.as_str();
    let search = format!("{id}/search");
    let listen = match transport {
        Transport::Stdio => None,
        Transport::Http => Some(http::start(server).await?),
    };
    let url = listen.as_ref().map(|(_, url)| url.as_str());

    // A client that knows the extension.
    let settings = FhirSettings {
        max_results: Some(5),
        ..Default::default()
    };
    let declaration = client::declaration::<FhirExtension>(&settings)?;
    let (running, _process) = connect(
        server,
        url,
        era,
        knowing,
        &declaration_for(era, &declaration),
    )
    .await?;
    let hello = match era {
        Era::Modern => "server/discover",
        Era::Legacy => "initialize",
    };
    let fhir = match FhirExtension::client(RmcpCaller::of(&running))
        .declare(settings)
        .negotiate()
        .await?
    {
        Negotiation::Active(fhir) => fhir,
        Negotiation::NotOffered => {
            facts.push(missing(knowing, hello, id));
            return Err(format!("the server does not offer {id}").into());
        }
        Negotiation::Incompatible(why) => {
            return Err(format!("the settings do not combine: {why}").into());
        }
    };
    let found = fhir.search(heart_rates()).await?;

    // The same call without the declaration.
    let (other, _other_process) = connect(server, url, era, plain, &Default::default()).await?;
    let undeclared = serde_json::to_value(heart_rates())?;
    let refused = other
        .peer()
        .send_request(ClientRequest::CustomRequest(CustomRequest::new(
            search.clone(),
            Some(undeclared),
        )))
        .await;
    if refused.is_ok() {
        facts.push(Fact {
            what: "a client that does not declare the extension is refused",
            seen: json!("the call was answered"),
            expected: Some("a refusal".to_owned()),
        });
    }

    // The tools, for a client that never heard of the extension.
    other.peer().list_tools(None).await?;
    let arguments = serde_json::to_value(heart_rates())?;
    let mut call = CallToolRequestParams::new("fhir_search");
    call.arguments = arguments.as_object().cloned();
    other.peer().call_tool(call).await?;

    facts.extend(
        read(
            era,
            transport,
            knowing,
            plain,
            hello,
            &search,
            &found.matches.len(),
        )
        .await?,
    );
    running.cancel().await?;
    other.cancel().await?;
    Ok(())
}

fn heart_rates() -> SearchParams {
    SearchParams {
        resource_type: "Observation".to_owned(),
        params: vec![SearchParam {
            name: "code".to_owned(),
            modifier: None,
            values: vec!["http://loinc.org|8867-4".to_owned()],
        }],
        sort: vec!["-date".to_owned()],
        count: PageSize::new(3),
        cursor: None,
    }
}

/// In `initialize` versions the client declares once, when it connects.
fn declaration_for(
    era: Era,
    declaration: &serde_json::Map<String, Value>,
) -> serde_json::Map<String, Value> {
    match era {
        Era::Legacy => declaration.clone(),
        Era::Modern => Default::default(),
    }
}

type Running = RunningService<RoleClient, ClientConfig>;

async fn connect(
    server: &[String],
    url: Option<&str>,
    era: Era,
    log: &Log,
    declare: &serde_json::Map<String, Value>,
) -> Result<(Running, Option<tokio::process::Child>), Error> {
    let extensions = serde_json::from_value(Value::Object(declare.clone()))?;
    let capabilities = if declare.is_empty() {
        ClientCapabilities::default()
    } else {
        ClientCapabilities::builder()
            .enable_extensions_with(extensions)
            .build()
    };
    let info = ClientConfig::new(
        capabilities,
        Implementation::new("mcp-ext-demo", env!("CARGO_PKG_VERSION")),
    );
    let lifecycle = match era {
        Era::Modern => ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
        Era::Legacy => ClientLifecycleMode::Initialize,
    };
    match url {
        None => {
            let (process, output, input) = stdio::start(server, log)?;
            Ok((
                info.serve_with_lifecycle((output, input), lifecycle)
                    .await?,
                Some(process),
            ))
        }
        Some(url) => {
            let url = http::capture(url, log).await?;
            let transport = StreamableHttpClientTransport::from_config(
                StreamableHttpClientTransportConfig::with_uri(url),
            );
            Ok((info.serve_with_lifecycle(transport, lifecycle).await?, None))
        }
    }
}

fn missing(log: &Log, hello: &str, id: &str) -> Fact {
    let seen = log
        .exchange(hello, |_| true)
        .map(|(_, answer)| answer.body["result"]["capabilities"].clone());
    Fact {
        what: "the server advertises the extension with its settings",
        seen: seen.unwrap_or_default(),
        expected: Some(format!("{id} under capabilities.extensions")),
    }
}

/// An exchange out of the captured frames. Capturing runs beside the client, and may be a moment behind it.
async fn captured(log: &Log, method: &str, what: &str) -> Result<(Frame, Frame), Error> {
    for _ in 0..100 {
        if let Some(pair) = log.exchange(method, |_| true) {
            return Ok(pair);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(format!("no frame was captured of {what}").into())
}

/// Reads everything that is shown out of the captured frames.
async fn read(
    era: Era,
    transport: Transport,
    knowing: &Log,
    plain: &Log,
    hello: &str,
    search: &str,
    matches: &usize,
) -> Result<Vec<Fact>, Error> {
    let id = FhirExtension::CONTRACT.id.as_str();
    let (greeting, greeted) = captured(knowing, hello, hello).await?;
    let (asked, answered) = captured(knowing, search, search).await?;
    let (_, refused) = captured(plain, search, "the refusal").await?;
    let (_, listed) = captured(plain, "tools/list", "tools/list").await?;
    let (called, told) = captured(plain, "tools/call", "tools/call").await?;

    let offered = greeted.body["result"]["capabilities"]["extensions"][id].clone();
    let declared = match era {
        Era::Modern => asked.body["params"]["_meta"][CAPABILITIES]["extensions"][id].clone(),
        Era::Legacy => greeting.body["params"]["capabilities"]["extensions"][id].clone(),
    };
    let mut facts = vec![
        fact(
            "the server advertises the extension with its settings",
            &offered,
            offered.is_object(),
            "an object",
        ),
        fact(
            match era {
                Era::Modern => "the client declares it on the request itself",
                Era::Legacy => "the client declares it in initialize",
            },
            &declared,
            declared.is_object(),
            "an object",
        ),
    ];

    let combined = serde_json::from_value::<FhirSettings>(offered)
        .and_then(|offered| Ok((offered, serde_json::from_value::<FhirSettings>(declared)?)))
        .map_err(|e| format!("the captured settings cannot be read: {e}"))
        .and_then(|(offered, declared)| {
            FhirSettings::negotiate(&offered, &declared).map_err(|e| e.to_string())
        });
    let negotiated = match &combined {
        Ok(settings) => without_nulls(serde_json::to_value(settings)?),
        Err(why) => json!(why),
    };
    facts.push(fact(
        "both together give what is in force",
        &negotiated,
        combined.is_ok(),
        "settings that combine",
    ));

    let error = &refused.body["error"];
    let (code, status) = match era {
        Era::Modern => (-32021, 400),
        Era::Legacy => (-32601, 200),
    };
    let status_right = transport == Transport::Stdio || refused.http_status == Some(status);
    let mut seen = json!({ "error": format!("{} {}", error["code"], error["message"].as_str().unwrap_or_default()), "data": error["data"] });
    if let Some(status) = refused.http_status {
        seen["HTTP status"] = status.into();
    }
    facts.push(fact(
        "a client that does not declare it is refused, and told what to declare",
        &seen,
        error["code"] == code && status_right,
        &format!(
            "error {code}{}",
            if transport == Transport::Http {
                format!(", HTTP status {status}")
            } else {
                String::new()
            }
        ),
    ));

    let result = &answered.body["result"];
    let stamped = match era {
        Era::Modern => result["resultType"] == "complete",
        Era::Legacy => result.get("resultType").is_none(),
    };
    let right = result["matches"]
        .as_array()
        .is_some_and(|m| m.len() == *matches && !m.is_empty())
        && result["synthetic"] == true
        && stamped;
    let titles: Vec<_> = result["matches"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|m| m["title"].as_str())
        .collect();
    facts.push(fact(
        "the same call with the declaration is answered, typed",
        &json!({ "method": search, "matches": titles, "total": result["total"]["value"], "synthetic": result["synthetic"] }),
        right,
        match era {
            Era::Modern => "synthetic matches, and resultType complete",
            Era::Legacy => "synthetic matches, and no resultType",
        },
    ));

    let names: Vec<_> = listed.body["result"]["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|t| t["name"].as_str())
        .collect();
    facts.push(fact(
        "a client that never heard of it finds the tools",
        &json!(names),
        ["fhir_capabilities", "fhir_read", "fhir_search"]
            .iter()
            .all(|n| names.contains(n)),
        "fhir_capabilities, fhir_read and fhir_search",
    ));
    let told = &told.body["result"];
    let text = told["content"][0]["text"].as_str().unwrap_or_default();
    facts.push(fact(
        "and calls one",
        &json!({ "tool": called.body["params"]["name"], "text": text }),
        told["isError"] != true
            && told["structuredContent"]["matches"]
                .as_array()
                .is_some_and(|m| !m.is_empty()),
        "matches",
    ));
    Ok(facts)
}

fn fact(what: &'static str, seen: &Value, holds: bool, expected: &str) -> Fact {
    Fact {
        what,
        seen: seen.clone(),
        expected: (!holds).then(|| expected.to_owned()),
    }
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, v| !v.is_null());
    }
    value
}
