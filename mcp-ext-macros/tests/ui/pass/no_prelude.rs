//! Generated code names everything by its full path.
#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings)]

use ::mcp_ext_core::{Cx, ExtensionError, NoParams, ToolCx, extension, handlers, settings};

// The derive of schemars itself needs the prelude.
#[settings(by_hand(JsonSchema))]
pub struct Settings {
    #[negotiate(intersect, required)]
    pub formats: ::core::option::Option<::std::collections::BTreeSet<::std::string::String>>,
    #[negotiate(with = shorter, preference)]
    pub name: ::std::string::String,
    #[negotiate(and)]
    pub write: bool,
}

impl ::schemars::JsonSchema for Settings {
    fn schema_name() -> ::std::borrow::Cow<'static, str> {
        ::std::borrow::Cow::Borrowed("Settings")
    }
    fn json_schema(generator: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
        <::mcp_ext_core::NoSettings as ::schemars::JsonSchema>::json_schema(generator)
    }
}

fn shorter(
    server: &::std::string::String,
    _: &::std::string::String,
) -> ::core::option::Option<::std::string::String> {
    ::core::option::Option::Some(::core::clone::Clone::clone(server))
}

#[derive(Debug, ExtensionError)]
pub enum Trouble {
    #[error(code = 4100, "no course {course}")]
    UnknownCourse {
        course: ::std::string::String,
        #[error(private)]
        secret: ::core::option::Option<u8>,
    },
}

#[extension(
    id = "com.example/grading",
    revision = "1",
    settings = Settings,
    protocol(min = "2025-11-25"),
    meta(request("purpose": u8)),
)]
pub trait Grading {
    #[method]
    async fn rubrics(
        &self,
        cx: &Cx<GradingExtension>,
        params: NoParams,
    ) -> ::core::result::Result<NoParams, Trouble>;
    #[method]
    #[tool(hints(read_only))]
    async fn grade(&self, cx: &ToolCx<GradingExtension>) -> ::core::result::Result<NoParams, Trouble>;
    #[method(optional = "live")]
    async fn live(&self, cx: &Cx<GradingExtension>) -> ::core::result::Result<NoParams, Trouble>;
    #[notification]
    fn changed(params: NoParams);
    #[notification]
    fn gone();
}

pub struct Lms;

#[handlers]
impl Grading for Lms {
    async fn rubrics(
        &self,
        cx: &Cx<GradingExtension>,
        params: NoParams,
    ) -> ::core::result::Result<NoParams, Trouble> {
        let _ = cx.changed(NoParams {}).await;
        let _ = cx.gone().await;
        ::core::result::Result::Ok(params)
    }
    async fn grade(&self, _: &ToolCx<GradingExtension>) -> ::core::result::Result<NoParams, Trouble> {
        ::core::result::Result::Err(Trouble::UnknownCourse {
            course: ::std::string::String::new(),
            secret: ::core::option::Option::None,
        })
    }
}

fn main() {
    let _ = GradingExtension::provide(::std::sync::Arc::new(Lms));
}
