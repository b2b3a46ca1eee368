//! Types that a server alone needs compile whether or not the feature `client` is on.
#![deny(missing_docs, warnings)]

use mcp_ext_core::{Cx, Extension as _, extension};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Only read.
#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
pub struct Asked {
    /// What.
    pub what: String,
}

/// Only written.
#[derive(Serialize, JsonSchema)]
pub struct Told {
    /// What.
    pub what: String,
}

/// An echo.
#[extension(id = "com.example/server-only")]
pub trait Echo {
    /// Says it again.
    #[method]
    async fn echo(
        &self,
        cx: &Cx<EchoExtension>,
        params: Asked,
    ) -> Result<Told, std::convert::Infallible>;
}

#[test]
fn a_server_needs_no_more_of_its_types_with_the_client_feature() {
    let contract = EchoExtension::CONTRACT;
    assert_eq!(
        contract.items[0].method.map(|m| m.wire),
        Some("com.example/server-only/echo")
    );
}
