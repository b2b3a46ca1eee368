use mcp_ext_core::Cx;
/// Answers a ping.
pub trait Ping: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// Answers.
    fn ping(
        &self,
        cx: &Cx<PingExtension>,
    ) -> impl ::core::future::Future<
        Output = Result<Pong, std::convert::Infallible>,
    > + ::core::marker::Send;
    /// The names of the items that the provider has. `#[handlers]` above the impl writes this.
    #[doc(hidden)]
    const WRITE_HANDLERS_ABOVE_THIS_IMPL: &'static [&'static str];
}
///The extension `com.example/ping`: its types, and where it is enabled. Made of [`Ping`] by `#[extension]`.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
pub struct PingExtension;
::mcp_ext_core::__private_0_1_0::client! {
    #[doc = "A typed client of `com.example/ping`, negotiated with one server."]
    #[allow(deprecated, missing_debug_implementations)] pub struct PingClient < C >
    (::mcp_ext_core::__private_0_1_0::Active < PingExtension, C >);
}
#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
const _: () = {
    use ::mcp_ext_core::__private_0_1_0 as __rt;
    impl PingExtension {
        ///Enables `com.example/ping` with a provider, or an `Arc` of one; hand it to the builder of an `ExtensionSet`.
        pub fn provide<P: Ping>(
            provider: impl __rt::IntoProvider<Self, P>,
        ) -> __rt::Enable<Self> {
            __rt::Enable::new(provider)
        }
    }
    #[automatically_derived]
    impl __rt::Extension for PingExtension {
        type Server = __rt::NoSettings;
        type Client = __rt::NoSettings;
        type Negotiated = __rt::NoSettings;
        type Notifications = __rt::NoNotifications;
        const CONTRACT: &'static __rt::Contract = &__rt::Contract::new(
                __rt::ExtensionId::from_static("com.example/ping"),
                "Ping",
            )
            .docs("Answers a ping.")
            .fallback(__rt::fallback_json::<PingExtension>)
            .items(
                &[
                    __rt::Item::of::<
                        __rt::NoParams,
                        Result<Pong, std::convert::Infallible>,
                    >("ping")
                        .docs("Answers.")
                        .method(__rt::MethodSpec::new("com.example/ping/ping")),
                ],
            )
            .source(::core::module_path!(), ::core::file!(), ::core::line!());
        fn fallback() -> __rt::NoSettings {
            ::core::default::Default::default()
        }
    }
    #[automatically_derived]
    impl<P: Ping> __rt::Serves<P> for PingExtension {
        const PROVIDED: &'static [&'static str] = P::WRITE_HANDLERS_ABOVE_THIS_IMPL;
        #[allow(unused_variables)]
        fn serve<'__a>(
            provider: &'__a P,
            item: &'static str,
            call: __rt::Call<'__a>,
        ) -> __rt::BoxFuture<'__a, __rt::Outcome> {
            match item {
                "ping" => {
                    call.run::<
                            __rt::Cx<Self>,
                            _,
                            __rt::NoParams,
                            _,
                        >(provider, __rt::WithoutParams(P::ping))
                }
                _ => call.no_such_item(),
            }
        }
    }
    __rt::client! {
        impl < C : __rt::Caller > PingClient < C > { #[doc = " Answers."] pub async fn
        ping(& self) -> ::core::result::Result < Pong, __rt::CallError <
        std::convert::Infallible >> where for < '__a > Pong :
        __rt::serde::de::DeserializeOwned, { self.0. method("ping", & __rt::NoParams {}).
        await } } impl PingExtension { #[doc =
        "A client of `com.example/ping` that sends through `caller`; negotiate before calling."]
        pub fn client < C : __rt::Caller > (caller : C) -> __rt::Client < Self, C > {
        __rt::Client::new(caller) } } #[automatically_derived] impl < C >
        ::core::ops::Deref for PingClient < C > { type Target = __rt::Active <
        PingExtension, C >; fn deref(& self) -> & Self::Target { & self.0 } }
        #[automatically_derived] impl < C > ::core::convert::From < __rt::Active <
        PingExtension, C >> for PingClient < C > { fn from(active : __rt::Active <
        PingExtension, C >) -> Self { Self(active) } } #[automatically_derived] impl
        __rt::HasClient for PingExtension { type Typed < C : __rt::Caller > = PingClient
        < C >; }
    }
    __rt::inventory::submit! {
        __rt::Registered(< PingExtension as __rt::Extension > ::CONTRACT)
    }
};
/// The answer.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Pong {}
/// A provider.
pub struct Server;
impl Ping for Server {
    async fn ping(
        &self,
        _: &Cx<PingExtension>,
    ) -> Result<Pong, std::convert::Infallible> {
        Ok(Pong {})
    }
    const WRITE_HANDLERS_ABOVE_THIS_IMPL: &'static [&'static str] = &["ping"];
}
