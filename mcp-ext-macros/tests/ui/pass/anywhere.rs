//! The macros work in any place, at any visibility, under any name of the crate.
#![deny(warnings)]
#![forbid(unsafe_code)]

extern crate mcp_ext_core as renamed;

use std::convert::Infallible;
use std::sync::Arc;

use renamed::{Cx, Extension, ExtensionError, ExtensionSet, NoParams, ToolCx};

/// As a facade crate would hand the macros on.
mod facade {
    pub use renamed::__private_0_1_0;
    pub use renamed::{extension, settings};
}

mod inner {
    use super::*;

    #[facade::settings(crate = crate::facade)]
    pub(crate) struct Settings {
        #[negotiate(and)]
        pub(crate) write: bool,
    }

    #[derive(Debug, ExtensionError)]
    #[error(crate = ::renamed)]
    pub(crate) enum Trouble {
        #[error(code = 4100, "none")]
        None,
    }

    pub(super) type Answer<T = NoParams> = Result<T, Trouble>;

    #[facade::extension(id = "com.example/inner", settings = Settings, crate = crate::facade)]
    pub(super) trait Inner {
        #[method]
        async fn read(&self, cx: &Cx<InnerExtension>) -> Answer;
        #[cfg(any())]
        #[tool]
        async fn absent(&self, cx: &ToolCx<InnerExtension>, args: Nothing) -> Answer;
        #[cfg(all())]
        #[tool]
        async fn present(&self, cx: &ToolCx<InnerExtension>, args: NoParams) -> Answer;
        #[method]
        #[deprecated(note = "use read")]
        async fn old(&self, cx: &Cx<InnerExtension>) -> Answer;
        #[cfg(any())]
        #[notification]
        fn never(params: Nothing);
        #[notification]
        #[deprecated]
        fn changed();
    }
}

use inner::{Answer, Inner, InnerExtension};

trait Store: Send + Sync + 'static {}

impl Store for u8 {}

/// A type called as a generated parameter might be.
struct P<S>(S);

#[renamed::handlers]
impl<S> Inner for P<S>
where
    S: Store,
{
    async fn read(&self, cx: &Cx<InnerExtension>) -> Answer {
        #[expect(deprecated)]
        let _ = cx.changed().await;
        Ok(NoParams {})
    }
    #[cfg(any())]
    async fn absent(&self, cx: &ToolCx<InnerExtension>, args: Nothing) -> Answer {}
    fn present(
        &self,
        _: &ToolCx<InnerExtension>,
        args: NoParams,
    ) -> impl Future<Output = Answer> + Send {
        std::future::ready(Ok(args))
    }
    async fn old(&self, _: &Cx<InnerExtension>) -> Answer {
        Err(inner::Trouble::None)
    }
}

/// The same provider for another extension, without settings or items that are named.
#[renamed::extension(id = "com.example/second", crate = ::renamed)]
trait Second {
    #[tool]
    async fn second(&self, cx: &ToolCx<SecondExtension>, params: C) -> Result<C, Infallible>;
}

/// A type called as a generated parameter might be.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct C {
    a: u8,
}

#[renamed::handlers]
impl Second for P<u8> {
    async fn second(&self, _: &ToolCx<SecondExtension>, params: C) -> Result<C, Infallible> {
        Ok(C { a: params.a })
    }
}

macro_rules! declare {
    ($name:ident, $id:literal) => {
        #[renamed::extension(id = $id, crate = $crate::facade)]
        trait $name {}
    };
}

declare!(Declared, "com.example/declared");

fn main() {
    #[renamed::extension(id = "com.example/local", crate = ::renamed)]
    trait Local {
        #[method]
        async fn read(&self, cx: &Cx<LocalExtension>) -> Result<NoParams, Infallible>;
    }

    #[renamed::handlers]
    impl Local for P<u8> {
        async fn read(&self, _: &Cx<LocalExtension>) -> Result<NoParams, Infallible> {
            Ok(NoParams {})
        }
    }

    let provider = Arc::new(P(1));
    let set = ExtensionSet::builder()
        .enable(InnerExtension::provide(provider.clone()).settings(inner::Settings { write: true }))
        .enable(SecondExtension::provide(provider.clone()))
        .enable(LocalExtension::provide(provider))
        .build();
    assert!(set.is_ok());
    let items: Vec<_> = InnerExtension::CONTRACT.items.iter().map(|i| (i.name, i.deprecated)).collect();
    assert_eq!(items, [("read", None), ("present", None), ("old", Some("use read"))]);
    assert_eq!(DeclaredExtension::CONTRACT.id.as_str(), "com.example/declared");
    let _: fn(InnerClientOf<Nobody>) = |client| {
        #[expect(deprecated)]
        drop(client.old());
    };
    let linked = renamed::registry::linked().unwrap();
    assert_eq!(linked.len(), 4);
}

type InnerClientOf<C> = inner::InnerClient<C>;

struct Nobody;

impl renamed::client::Caller for Nobody {
    fn era(&self) -> renamed::protocol::Era {
        renamed::protocol::Era::Modern
    }
    async fn server_extensions(
        &self,
    ) -> Result<renamed::wire::JsonObject, renamed::client::CallerError> {
        Err(renamed::client::CallerError::Transport(String::new()))
    }
    async fn call(
        &self,
        _: renamed::client::Outgoing,
    ) -> Result<serde_json::Value, renamed::client::CallerError> {
        Err(renamed::client::CallerError::Transport(String::new()))
    }
}
