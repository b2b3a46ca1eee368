//! Typed clients with no SDK, against the command itself as it is run.
#![allow(missing_docs)]

use std::process::Stdio;

use mcp_ext::client::{CallError, Caller, ClientOptions, HttpCaller, StdioCaller};
use mcp_ext::healthcare::types::{ReadParams, SearchParams};
use mcp_ext::healthcare::{FhirError, FhirExtension};
use mcp_ext::protocol::Era;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const ERAS: [Era; 2] = [Era::Modern, Era::Legacy];

fn serve() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-ext"));
    command.args(["serve", "--enable", "healthcare", "--data", "bundled"]);
    command.kill_on_drop(true);
    command
}

/// Searches, reads what was found, and looks for what is not there: as methods and as tools.
async fn searches(caller: impl Caller, era: Era) {
    assert_eq!(caller.era(), era);
    let negotiation = FhirExtension::client(caller).negotiate().await.unwrap();
    let fhir = negotiation.active().expect("it is offered");
    let patients = || SearchParams {
        resource_type: "Patient".to_owned(),
        ..SearchParams::default()
    };
    let found = fhir.search(patients()).await.unwrap();
    assert!(found.synthetic && !found.matches.is_empty());
    assert_eq!(fhir.search_tool(patients()).await.unwrap(), found);
    let read = |reference: &str| ReadParams {
        reference: reference.to_owned(),
        ..ReadParams::default()
    };
    let reference = &found.matches[0].reference;
    let patient = fhir.read(read(reference)).await.unwrap();
    assert!(patient.text.contains("\"Patient\""), "{}", patient.text);
    for error in [
        fhir.read(read("Patient/nobody")).await.unwrap_err(),
        fhir.read_tool(read("Patient/nobody")).await.unwrap_err(),
    ] {
        assert!(
            matches!(&error, CallError::Own(FhirError::NotFound { .. })),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_typed_client_starts_the_server_and_searches() {
    for era in ERAS {
        let options = ClientOptions::default().era(era);
        let caller = StdioCaller::spawn(serve(), options).await.unwrap();
        searches(caller, era).await;
    }
    // Left alone it finds the newer one.
    let caller = StdioCaller::spawn(serve(), ClientOptions::default());
    searches(caller.await.unwrap(), Era::Modern).await;
}

#[tokio::test]
async fn a_typed_client_searches_over_http() {
    let mut server = serve();
    server.args(["--http", "127.0.0.1:0"]);
    let mut server = server.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let url = loop {
        let line = lines.next_line().await.unwrap().expect("it says where");
        if let Some(at) = line.find("http://") {
            break line[at..].split(' ').next().unwrap().to_owned();
        }
    };
    for era in ERAS {
        let options = ClientOptions::default().era(era);
        let caller = HttpCaller::connect(&url, options).await.unwrap();
        searches(caller, era).await;
    }
}
