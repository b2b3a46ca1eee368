use std::collections::{BTreeMap, BTreeSet};
#[derive(
    ::core::clone::Clone,
    ::core::fmt::Debug,
    ::core::cmp::PartialEq,
    ::core::default::Default,
    ::mcp_ext_core::__private_0_1_0::serde::Serialize,
    ::mcp_ext_core::__private_0_1_0::serde::Deserialize,
    ::mcp_ext_core::__private_0_1_0::schemars::JsonSchema
)]
#[serde(
    rename_all = "camelCase",
    crate = "::mcp_ext_core::__private_0_1_0::serde",
    default
)]
#[schemars(crate = "::mcp_ext_core::__private_0_1_0::schemars")]
/// Every strategy.
#[derive(Eq)]
pub struct Everything {
    /// What both have.
    #[serde(deserialize_with = "::mcp_ext_core::__private_0_1_0::algebra::lenient")]
    pub formats: Option<BTreeSet<String>>,
    /// What both have, and something must be left.
    #[serde(rename = "byCourse")]
    #[serde(deserialize_with = "::mcp_ext_core::__private_0_1_0::algebra::lenient")]
    pub courses: BTreeMap<String, BTreeSet<String>>,
    /// The lower limit.
    pub max_batch: Option<u32>,
    /// Granted by both.
    pub write: bool,
    /// The stricter tier.
    pub tier: Option<u8>,
    /// Must agree.
    pub region: Option<String>,
    /// The server's order.
    #[serde(deserialize_with = "::mcp_ext_core::__private_0_1_0::algebra::lenient")]
    pub languages: Option<Vec<String>>,
    /// The server's order, and one must be left.
    #[serde(deserialize_with = "::mcp_ext_core::__private_0_1_0::algebra::lenient")]
    pub encodings: Option<Vec<String>>,
    /// The server says.
    pub version: Option<String>,
    /// The longer wish.
    pub verbosity: Option<u8>,
    /// Wanted by either.
    pub hints: bool,
    /// The client says.
    pub theme: Option<String>,
}
#[allow(deprecated, clippy::all, clippy::pedantic)]
const _: () = {
    use ::mcp_ext_core::__private_0_1_0 as __rt;
    #[automatically_derived]
    impl __rt::algebra::Negotiate for Everything {
        type Negotiated = Self;
        #[allow(unused_variables)]
        fn negotiate(
            server: &Self,
            client: &Self,
        ) -> ::core::result::Result<Self, __rt::algebra::Mismatch> {
            #[allow(unused_mut)]
            let mut f = __rt::algebra::Fields::new();
            let negotiated = Self {
                formats: f.intersect("formats", &server.formats, &client.formats),
                courses: f
                    .intersect_required("byCourse", &server.courses, &client.courses),
                max_batch: f.min("maxBatch", &server.max_batch, &client.max_batch),
                write: f.and("write", &server.write, &client.write),
                tier: f.strictest("tier", &server.tier, &client.tier),
                region: f.equal("region", &server.region, &client.region),
                languages: f.prefer("languages", &server.languages, &client.languages),
                encodings: f
                    .prefer_required("encodings", &server.encodings, &client.encodings),
                version: f.server("version", &server.version),
                verbosity: f.max("verbosity", &server.verbosity, &client.verbosity),
                hints: f.or("hints", &server.hints, &client.hints),
                theme: f.client("theme", &client.theme),
            };
            f.finish(negotiated)
        }
    }
};
#[derive(
    ::core::clone::Clone,
    ::core::fmt::Debug,
    ::core::cmp::PartialEq,
    ::core::default::Default,
    ::mcp_ext_core::__private_0_1_0::serde::Serialize,
    ::mcp_ext_core::__private_0_1_0::serde::Deserialize,
    ::mcp_ext_core::__private_0_1_0::schemars::JsonSchema
)]
#[serde(
    rename_all = "camelCase",
    crate = "::mcp_ext_core::__private_0_1_0::serde",
    default
)]
#[schemars(crate = "::mcp_ext_core::__private_0_1_0::schemars")]
/// Fields that give an option.
pub struct Composed {
    /// Settings inside settings.
    pub inner: Inner,
    /// By a function.
    pub name: String,
    /// Granted by both.
    pub r#type: bool,
}
#[allow(deprecated, clippy::all, clippy::pedantic)]
const _: () = {
    use ::mcp_ext_core::__private_0_1_0 as __rt;
    #[automatically_derived]
    impl __rt::algebra::Negotiate for Composed {
        type Negotiated = Self;
        #[allow(unused_variables)]
        fn negotiate(
            server: &Self,
            client: &Self,
        ) -> ::core::result::Result<Self, __rt::algebra::Mismatch> {
            let mut f = __rt::algebra::Fields::new();
            let field_inner = f.nested("inner", &server.inner, &client.inner);
            let field_name = f.custom("name", &server.name, &client.name, shorter);
            let field_type = f.and("type", &server.r#type, &client.r#type);
            f.finish_with(|| ::core::option::Option::Some(Self {
                inner: field_inner?,
                name: field_name?,
                r#type: field_type,
            }))
        }
    }
};
#[derive(
    ::core::clone::Clone,
    ::core::fmt::Debug,
    ::core::cmp::PartialEq,
    ::core::default::Default,
    ::mcp_ext_core::__private_0_1_0::serde::Serialize,
    ::mcp_ext_core::__private_0_1_0::serde::Deserialize,
    ::mcp_ext_core::__private_0_1_0::schemars::JsonSchema
)]
#[serde(
    rename_all = "camelCase",
    crate = "::mcp_ext_core::__private_0_1_0::serde",
    default
)]
#[schemars(crate = "::mcp_ext_core::__private_0_1_0::schemars")]
/// The inner settings.
pub struct Inner {
    /// Must agree.
    pub region: Option<String>,
}
#[allow(deprecated, clippy::all, clippy::pedantic)]
const _: () = {
    use ::mcp_ext_core::__private_0_1_0 as __rt;
    #[automatically_derived]
    impl __rt::algebra::Negotiate for Inner {
        type Negotiated = Self;
        #[allow(unused_variables)]
        fn negotiate(
            server: &Self,
            client: &Self,
        ) -> ::core::result::Result<Self, __rt::algebra::Mismatch> {
            #[allow(unused_mut)]
            let mut f = __rt::algebra::Fields::new();
            let negotiated = Self {
                region: f.equal("region", &server.region, &client.region),
            };
            f.finish(negotiated)
        }
    }
};
#[derive(
    ::core::clone::Clone,
    ::core::fmt::Debug,
    ::core::cmp::PartialEq,
    ::core::default::Default,
    ::mcp_ext_core::__private_0_1_0::serde::Serialize,
    ::mcp_ext_core::__private_0_1_0::serde::Deserialize,
    ::mcp_ext_core::__private_0_1_0::schemars::JsonSchema
)]
#[serde(
    rename_all = "camelCase",
    crate = "::mcp_ext_core::__private_0_1_0::serde",
    default
)]
#[schemars(crate = "::mcp_ext_core::__private_0_1_0::schemars")]
/// None at all.
pub struct Empty {}
#[allow(deprecated, clippy::all, clippy::pedantic)]
const _: () = {
    use ::mcp_ext_core::__private_0_1_0 as __rt;
    #[automatically_derived]
    impl __rt::algebra::Negotiate for Empty {
        type Negotiated = Self;
        #[allow(unused_variables)]
        fn negotiate(
            server: &Self,
            client: &Self,
        ) -> ::core::result::Result<Self, __rt::algebra::Mismatch> {
            #[allow(unused_mut)]
            let mut f = __rt::algebra::Fields::new();
            let negotiated = Self {};
            f.finish(negotiated)
        }
    }
};
#[derive(
    ::core::clone::Clone,
    ::core::fmt::Debug,
    ::core::cmp::PartialEq,
    ::mcp_ext_core::__private_0_1_0::serde::Serialize,
    ::mcp_ext_core::__private_0_1_0::serde::Deserialize,
    ::mcp_ext_core::__private_0_1_0::schemars::JsonSchema
)]
#[serde(
    rename_all = "camelCase",
    crate = "::mcp_ext_core::__private_0_1_0::serde",
    default
)]
#[schemars(crate = "::mcp_ext_core::__private_0_1_0::schemars")]
/// The server's side of settings that differ.
pub struct Offer {
    /// What is offered.
    pub seats: u32,
}
impl Default for Offer {
    fn default() -> Self {
        Self { seats: 1 }
    }
}
fn shorter(server: &String, client: &String) -> Option<String> {
    Some(if client.len() < server.len() { client } else { server }.clone())
}
