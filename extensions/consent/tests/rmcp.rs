//! Consent in an rmcp server, with a client that declares it and one that does not.

use std::convert::Infallible;
use std::error::Error;

use mcp_ext_consent::{
    About, Answer, CheckParams, Consent, ConsentExtension, ConsentSettings, Covers, PurposeCode,
    Record, Register,
};
use mcp_ext_core::client::{Negotiation, declaration};
use mcp_ext_core::{BlockName, ExtensionSet, ToolCx, extension, handlers};
use mcp_ext_rmcp::{RmcpCaller, ServerExtensions, declare};
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientConfig, ProtocolVersion, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::{RoleClient, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::DuplexStream;

/// Whose results to read.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct ReadParams {
    patient: String,
}

/// The results.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Results {
    text: String,
}

/// Results of laboratories.
#[extension(id = "com.example/lab")]
pub trait Lab {
    /// Reads results.
    #[tool(needs(Consent))]
    async fn read_results(
        &self,
        cx: &ToolCx<LabExtension>,
        params: ReadParams,
    ) -> Result<Results, Infallible>;
}

struct Laboratory;

#[handlers]
impl Lab for Laboratory {
    async fn read_results(
        &self,
        _: &ToolCx<LabExtension>,
        _: ReadParams,
    ) -> Result<Results, Infallible> {
        Ok(Results {
            text: "normal".into(),
        })
    }
}

/// A server as people write them.
#[derive(Clone)]
struct Clinic;

#[tool_router]
impl Clinic {
    #[tool(description = "Opening hours")]
    fn hours(&self) -> String {
        "9 to 5".into()
    }
}

#[tool_handler]
impl ServerHandler for Clinic {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

fn treatment() -> PurposeCode {
    PurposeCode::health("TREAT").unwrap()
}

async fn server() -> Result<DuplexStream, Box<dyn Error>> {
    let register = Register::in_memory()?;
    let mut record = Record::consent("c-1", "p-1");
    record.purposes = Covers::only([treatment()]);
    record.obligations = vec!["do not pass on".into()];
    register.record(None, record).await?;

    // What an author adds to a server that exists.
    let consent = Consent::new(register, |call| {
        Some(About::person(call.params["patient"].as_str()?))
    })
    .purpose_required();
    let extensions = ExtensionSet::builder()
        .enable(LabExtension::provide(Laboratory))
        .enable(consent.enable())
        .build()?;
    let server = Clinic.with_extensions(extensions)?;

    let (ours, theirs) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move {
        if let Ok(running) = server.serve(theirs).await {
            let _ = running.waiting().await;
        }
    });
    Ok(ours)
}

/// A client in each era that declares consent, or does not.
async fn client(modern: bool, declares: bool) -> RunningService<RoleClient, ClientConfig> {
    let mut config = ClientConfig::default();
    if declares {
        let settings = ConsentSettings::default();
        let declaration = declaration::<ConsentExtension>(&settings).unwrap();
        declare(&mut config.capabilities, declaration);
    }
    let lifecycle = match modern {
        false => ClientLifecycleMode::Initialize,
        true => ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
    };
    config
        .serve_with_lifecycle(server().await.unwrap(), lifecycle)
        .await
        .unwrap()
}

async fn read(
    client: &RunningService<RoleClient, ClientConfig>,
    arguments: Value,
) -> CallToolResult {
    let arguments = arguments.as_object().unwrap().clone();
    let params = CallToolRequestParams::new("read_results").with_arguments(arguments);
    client.call_tool(params).await.unwrap()
}

fn purpose() -> Value {
    json!({ "system": PurposeCode::HEALTH, "code": "TREAT" })
}

#[tokio::test]
async fn it_holds_for_clients_that_declare_it_and_for_those_that_do_not() {
    for (modern, declares) in [(true, true), (true, false), (false, true), (false, false)] {
        let client = client(modern, declares).await;
        let case = format!("modern {modern}, declares {declares}");

        let given = read(&client, json!({ "patient": "p-1", "purpose": purpose() })).await;
        assert_ne!(given.is_error, Some(true), "{case}: {given:?}");
        let structured = given.structured_content.unwrap();
        assert_eq!(structured["text"], "normal", "{case}");
        assert_eq!(structured["consent"]["basis"], "consent c-1", "{case}");
        let text = serde_json::to_string(&given.content).unwrap();
        assert!(text.contains("do not pass on"), "{case}: {text}");
        let meta = given.meta.map(|meta| serde_json::to_value(meta).unwrap());
        let told = meta.is_some_and(|meta| meta.get(Consent::NAME).is_some());
        assert_eq!(told, declares, "{case}");

        for (arguments, kind) in [
            (json!({ "patient": "p-1" }), "purpose_required"),
            (
                json!({ "patient": "p-2", "purpose": purpose() }),
                "no_consent",
            ),
            (json!({ "purpose": purpose() }), "subject_unknown"),
        ] {
            let refused = read(&client, arguments).await;
            assert_eq!(refused.is_error, Some(true), "{case}");
            assert_eq!(
                refused.structured_content.unwrap()["error"]["kind"],
                kind,
                "{case}"
            );
        }
    }
}

#[tokio::test]
async fn a_typed_client_asks_before_it_calls() {
    for modern in [true, false] {
        let client = client(modern, true).await;
        let consent =
            ConsentExtension::client(RmcpCaller::of(&client)).declare(ConsentSettings::default());
        let Negotiation::Active(consent) = consent.negotiate().await.unwrap() else {
            panic!("not active")
        };
        assert!(consent.settings().required);
        let question = |subject: &str, purpose: Option<PurposeCode>| CheckParams {
            subject: subject.parse().unwrap(),
            action: "read_results".parse().unwrap(),
            data_classes: Default::default(),
            purpose: purpose.map(Into::into),
        };
        let answer = consent
            .check(question("p-1", Some(treatment())))
            .await
            .unwrap();
        assert_eq!(
            (answer.decision, answer.basis.as_str()),
            (Answer::Permit, "consent c-1")
        );
        assert_eq!(answer.obligations, ["do not pass on"]);
        let answer = consent
            .check_tool(question("p-2", Some(treatment())))
            .await
            .unwrap();
        assert_eq!(answer.decision, Answer::Deny);
        assert!(
            consent.check(question("p-1", None)).await.is_err(),
            "no purpose"
        );
    }
}
