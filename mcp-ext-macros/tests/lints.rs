//! Generated code is clean under the strictest lints; `cargo clippy` looks at this file.
#![deny(
    warnings,
    missing_docs,
    rust_2018_idioms,
    missing_debug_implementations,
    unused_qualifications
)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery)]
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use mcp_ext_core::{
    Cx, Extension as _, ExtensionError, NoParams, ToolCx, extension, handlers, settings,
};

/// Settings.
#[settings]
#[derive(Eq)]
pub struct Settings {
    /// What both have.
    #[negotiate(intersect, required)]
    pub formats: Option<BTreeSet<String>>,
    /// The shorter one.
    #[negotiate(with = shorter, preference)]
    pub name: String,
    /// Granted by both.
    #[negotiate(and)]
    pub write: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "the type that `with` asks for")]
fn shorter(server: &String, client: &String) -> Option<String> {
    Some(
        if client.len() < server.len() {
            client
        } else {
            server
        }
        .clone(),
    )
}

/// Errors.
#[derive(Debug, ExtensionError)]
pub enum Trouble {
    /// No such course.
    #[error(code = 4100, "no course {course}")]
    UnknownCourse {
        /// The course.
        course: String,
        /// Not told.
        #[error(private)]
        secret: u8,
    },
}

/// An extension.
#[extension(id = "com.example/linted", settings = Settings)]
pub trait Linted {
    /// A method.
    #[method]
    async fn read(&self, cx: &Cx<LintedExtension>, params: NoParams) -> Result<NoParams, Trouble>;
    /// An optional one.
    #[method(optional = "live")]
    async fn live(&self, cx: &Cx<LintedExtension>) -> Result<NoParams, Trouble>;
    /// A tool that is a method as well.
    #[method]
    #[tool(hints(read_only))]
    #[deprecated(note = "read")]
    async fn old(&self, cx: &ToolCx<LintedExtension>) -> Result<NoParams, Trouble>;
    /// A notification.
    #[notification]
    fn changed(params: NoParams);
}

/// A provider.
#[derive(Debug)]
pub struct Provider;

#[handlers]
impl Linted for Provider {
    async fn read(&self, cx: &Cx<LintedExtension>, params: NoParams) -> Result<NoParams, Trouble> {
        cx.changed(params)
            .await
            .map_err(|_| Trouble::UnknownCourse {
                course: String::new(),
                secret: 0,
            })?;
        Ok(params)
    }

    async fn old(&self, _: &ToolCx<LintedExtension>) -> Result<NoParams, Trouble> {
        Ok(NoParams {})
    }
}

#[test]
fn clean() {
    assert_eq!(LintedExtension::CONTRACT.items.len(), 3);
    let built = mcp_ext_core::ExtensionSet::builder()
        .enable(LintedExtension::provide(Provider))
        .build();
    assert!(built.is_ok());
}
