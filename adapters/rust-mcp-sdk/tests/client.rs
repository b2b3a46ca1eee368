//! Typed clients over a rust-mcp-sdk client, against a server in a process of its own: this program, told to `serve`.
#![allow(missing_docs)]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use common::*;
use mcp_ext_core::client::{CallError, Negotiation, declaration};
use mcp_ext_rust_mcp_sdk::{RustMcpSdkCaller, declare, with_extensions};
use rust_mcp_sdk::mcp_client::{
    ClientHandler, McpClientOptions, ToMcpClientHandler, client_runtime,
};
use rust_mcp_sdk::mcp_server::{McpServerOptions, ToMcpServerHandler, server_runtime};
use rust_mcp_sdk::schema::schema_utils::{CustomRequest, RequestFromClient};
use rust_mcp_sdk::schema::{ClientCapabilities, RequestMetaObject};
use rust_mcp_sdk::{ClientDetails, McpClient, McpServer, StdioTransport, TransportOptions};
use serde_json::json;

struct Nothing;

#[async_trait]
impl ClientHandler for Nothing {}

#[tokio::main]
async fn main() {
    if std::env::args().any(|argument| argument == "serve") {
        serve().await;
        return;
    }
    a_typed_client_negotiates_and_calls().await;
    what_is_declared_on_the_clients_own_requests();
    rust_mcp_sdk_leaves_meta_off();
}

/// When this fails, rust-mcp-sdk has come to put `_meta` on requests of extensions by itself.
fn rust_mcp_sdk_leaves_meta_off() {
    let request = RequestFromClient::CustomRequest(CustomRequest {
        method: FIND.to_owned(),
        params: None,
    });
    let meta = RequestMetaObject::new("2026-07-28".to_owned(), ClientCapabilities::default());
    let request = serde_json::to_value(request.with_meta(meta)).unwrap();
    assert_eq!(request, json!({"method": FIND}));
}

async fn serve() {
    let handler = with_extensions(
        Plain::default().to_mcp_server_handler(),
        set(&Desk::default()),
    );
    let server = server_runtime::create_server(McpServerOptions {
        server_details: details(),
        transport: StdioTransport::new(TransportOptions::default()).unwrap(),
        handler: Arc::new(handler),
        message_observer: None,
    });
    server.start().await.unwrap();
}

/// Trap 9: rust-mcp-sdk leaves `_meta` off requests of extensions.
async fn a_typed_client_negotiates_and_calls() {
    let own = std::env::current_exe().unwrap();
    let transport = StdioTransport::create_with_server_launch(
        own.to_str().unwrap(),
        vec!["serve".to_owned()],
        None,
        TransportOptions::default(),
    )
    .unwrap();
    let client = client_runtime::create_client(McpClientOptions::new(
        ClientDetails {
            client_info: implementation("test"),
            capabilities: ClientCapabilities::default(),
        },
        transport,
        Nothing.to_mcp_client_handler(),
    ));
    client.clone().start().await.unwrap();

    let caller = RustMcpSdkCaller::of(client.clone());
    let negotiated = ShelfExtension::client(caller.clone())
        .declare(ShelfSettings {
            most: Some(4),
            room: Some("main".into()),
        })
        .negotiate()
        .await
        .unwrap();
    let Negotiation::Active(shelf) = negotiated else {
        panic!("it is offered, and the settings combine")
    };
    let wanted = |title: &str| Wanted {
        title: title.to_owned(),
    };
    let found = shelf.find(wanted("Emma")).await.unwrap();
    assert_eq!((found.title.as_str(), found.most), ("Emma", Some(4)));
    let found = shelf.return_book(wanted("Emma")).await.unwrap();
    assert_eq!(found.title, "Emma");
    match shelf.find(wanted("missing")).await {
        Err(CallError::Own(ShelfError::NoBook { title })) => assert_eq!(title, "missing"),
        other => panic!("{other:?}"),
    }
    let negotiated = ShelfExtension::client(caller)
        .declare(ShelfSettings {
            most: None,
            room: Some("attic".into()),
        })
        .negotiate()
        .await
        .unwrap();
    assert!(matches!(negotiated, Negotiation::Incompatible(_)));
    client.shut_down().await.unwrap();
}

fn what_is_declared_on_the_clients_own_requests() {
    let mut capabilities = ClientCapabilities::default();
    let settings = ShelfSettings {
        most: Some(4),
        room: None,
    };
    declare(
        &mut capabilities,
        declaration::<ShelfExtension>(&settings).unwrap(),
    )
    .unwrap();
    let declared = serde_json::to_value(&capabilities).unwrap();
    assert_eq!(declared["extensions"]["com.example/shelf"]["most"], 4);
    for settings in [json!({"ratio": 0.5}), json!({"none": null}), json!(1)] {
        let declaration = json!({"com.example/other": settings});
        let error = declare(&mut capabilities, declaration.as_object().unwrap().clone());
        assert!(error.unwrap_err().to_string().contains("com.example/other"));
    }
    assert_eq!(capabilities.extensions.unwrap().len(), 1);
}
