use mcp_ext_core::{BlockName, Cx, ToolCx};
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
/// The settings.
pub struct GradingSettings {
    /// Whether grades may be written.
    pub write: bool,
}
#[allow(deprecated, clippy::all, clippy::pedantic)]
const _: () = {
    use ::mcp_ext_core::__private_0_1_0 as __rt;
    #[automatically_derived]
    impl __rt::algebra::Negotiate for GradingSettings {
        type Negotiated = Self;
        #[allow(unused_variables)]
        fn negotiate(
            server: &Self,
            client: &Self,
        ) -> ::core::result::Result<Self, __rt::algebra::Mismatch> {
            #[allow(unused_mut)]
            let mut f = __rt::algebra::Fields::new();
            let negotiated = Self {
                write: f.and("write", &server.write, &client.write),
            };
            f.finish(negotiated)
        }
    }
};
/// A block.
pub struct Audit;
impl BlockName for Audit {
    const NAME: &'static str = "com.example/audit";
}
/// Another extension.
pub trait Labels: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// The names of the items that the provider has. `#[handlers]` above the impl writes this.
    #[doc(hidden)]
    const WRITE_HANDLERS_ABOVE_THIS_IMPL: &'static [&'static str];
}
///The extension `com.example/labels`: its types, and where it is enabled. Made of [`Labels`] by `#[extension]`.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
pub struct LabelsExtension;
::mcp_ext_core::__private_0_1_0::client! {
    #[doc = "A typed client of `com.example/labels`, negotiated with one server."]
    #[allow(deprecated, missing_debug_implementations)] pub struct LabelsClient < C >
    (::mcp_ext_core::__private_0_1_0::Active < LabelsExtension, C >);
}
#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
const _: () = {
    use ::mcp_ext_core::__private_0_1_0 as __rt;
    impl LabelsExtension {
        ///Enables `com.example/labels` with a provider, or an `Arc` of one; hand it to the builder of an `ExtensionSet`.
        pub fn provide<P: Labels>(
            provider: impl __rt::IntoProvider<Self, P>,
        ) -> __rt::Enable<Self> {
            __rt::Enable::new(provider)
        }
    }
    #[automatically_derived]
    impl __rt::Extension for LabelsExtension {
        type Server = __rt::NoSettings;
        type Client = __rt::NoSettings;
        type Negotiated = __rt::NoSettings;
        type Notifications = __rt::NoNotifications;
        const CONTRACT: &'static __rt::Contract = &__rt::Contract::new(
                __rt::ExtensionId::from_static("com.example/labels"),
                "Labels",
            )
            .docs("Another extension.")
            .fallback(__rt::fallback_json::<LabelsExtension>)
            .source(::core::module_path!(), ::core::file!(), ::core::line!());
        fn fallback() -> __rt::NoSettings {
            ::core::default::Default::default()
        }
    }
    #[automatically_derived]
    impl<P: Labels> __rt::Serves<P> for LabelsExtension {
        const PROVIDED: &'static [&'static str] = P::WRITE_HANDLERS_ABOVE_THIS_IMPL;
        #[allow(unused_variables)]
        fn serve<'__a>(
            provider: &'__a P,
            item: &'static str,
            call: __rt::Call<'__a>,
        ) -> __rt::BoxFuture<'__a, __rt::Outcome> {
            match item {
                _ => call.no_such_item(),
            }
        }
    }
    __rt::client! {
        impl < C : __rt::Caller > LabelsClient < C > {} impl LabelsExtension { #[doc =
        "A client of `com.example/labels` that sends through `caller`; negotiate before calling."]
        pub fn client < C : __rt::Caller > (caller : C) -> __rt::Client < Self, C > {
        __rt::Client::new(caller) } } #[automatically_derived] impl < C >
        ::core::ops::Deref for LabelsClient < C > { type Target = __rt::Active <
        LabelsExtension, C >; fn deref(& self) -> & Self::Target { & self.0 } }
        #[automatically_derived] impl < C > ::core::convert::From < __rt::Active <
        LabelsExtension, C >> for LabelsClient < C > { fn from(active : __rt::Active <
        LabelsExtension, C >) -> Self { Self(active) } } #[automatically_derived] impl
        __rt::HasClient for LabelsExtension { type Typed < C : __rt::Caller > =
        LabelsClient < C >; }
    }
    __rt::inventory::submit! {
        __rt::Registered(< LabelsExtension as __rt::Extension > ::CONTRACT)
    }
};
/// A type with serde and a schema.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// The rubric.
    pub rubric_id: String,
}
/// An alias of a result.
pub type Answer = Result<Data, std::convert::Infallible>;
/// Every key there is.
#[doc = concat!("Also ", "computed docs.")]
pub(crate) trait Grading: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// A method with every key.
    #[allow(unused_variables, clippy::manual_async_fn)]
    fn read_rubric(
        &self,
        cx: &Cx<GradingExtension>,
        params: Data,
    ) -> impl ::core::future::Future<Output = Answer> + ::core::marker::Send {
        async { ::core::unreachable!("not provided, so the gate lets no call through") }
    }
    /// A tool with every key.
    fn grade_submission(
        &self,
        cx: &ToolCx<GradingExtension>,
        args: Data,
    ) -> impl ::core::future::Future<Output = Answer> + ::core::marker::Send;
    /// A gated tool.
    fn publish(
        &self,
        cx: &Cx<GradingExtension>,
        _: Data,
    ) -> impl ::core::future::Future<Output = Answer> + ::core::marker::Send;
    /// Both at once.
    #[deprecated(note = "count for yourself")]
    fn count(
        &self,
        cx: &ToolCx<GradingExtension>,
    ) -> impl ::core::future::Future<Output = Answer> + ::core::marker::Send;
    #[cfg(any())]
    fn gone(
        &self,
        cx: &Cx<GradingExtension>,
        params: Missing,
    ) -> impl ::core::future::Future<Output = Answer> + ::core::marker::Send;
    /// A keyword.
    fn r#move(
        &self,
        cx: &Cx<GradingExtension>,
    ) -> impl ::core::future::Future<Output = Answer> + ::core::marker::Send;
    /// The names of the items that the provider has. `#[handlers]` above the impl writes this.
    #[doc(hidden)]
    const WRITE_HANDLERS_ABOVE_THIS_IMPL: &'static [&'static str];
}
///The extension `com.example/grading`: its types, and where it is enabled. Made of [`Grading`] by `#[extension]`.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
pub(crate) struct GradingExtension;
///Sends the notifications of `com.example/grading`; a handler reaches it through its context.
#[allow(missing_debug_implementations)]
pub(crate) struct GradingNotifications(
    ::mcp_ext_core::__private_0_1_0::NotificationHandle,
);
///Publishes the notifications of `com.example/grading` to the `subscriptions/listen` streams that asked for them, at any time.
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
pub(crate) struct GradingPublisher(::mcp_ext_core::__private_0_1_0::Publisher);
::mcp_ext_core::__private_0_1_0::client! {
    #[doc = "A notification of `com.example/grading`, as a client gets it."]
    #[allow(dead_code, deprecated, missing_debug_implementations,
    clippy::large_enum_variant)] #[non_exhaustive] pub (crate) enum GradingNotification {
    #[doc = " A grade changed."] GradeChanged(Data), #[doc = " Something happened."]
    SomethingHappened, #[doc = " A rubric changed."] #[deprecated(note =
    "listen to what happened")] RubricChanged(Data), }
}
::mcp_ext_core::__private_0_1_0::client! {
    #[doc = "A typed client of `com.example/grading`, negotiated with one server."]
    #[allow(deprecated, missing_debug_implementations)] pub (crate) struct GradingClient
    < C > (::mcp_ext_core::__private_0_1_0::Active < GradingExtension, C >);
}
#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
const _: () = {
    use ::mcp_ext_core::__private_0_1_0 as __rt;
    impl GradingExtension {
        ///Enables `com.example/grading` with a provider, or an `Arc` of one; hand it to the builder of an `ExtensionSet`.
        pub(crate) fn provide<P: Grading>(
            provider: impl __rt::IntoProvider<Self, P>,
        ) -> __rt::Enable<Self> {
            __rt::Enable::new(provider)
        }
    }
    #[automatically_derived]
    impl __rt::Extension for GradingExtension {
        type Server = GradingSettings;
        type Client = GradingSettings;
        type Negotiated = GradingSettings;
        type Notifications = GradingNotifications;
        const CONTRACT: &'static __rt::Contract = &__rt::Contract::new(
                __rt::ExtensionId::from_static("com.example/grading"),
                "Grading",
            )
            .title("Grading")
            .docs(
                ::core::concat!(
                    "Every key there is.\n", concat!("Also ", "computed docs."), ""
                ),
            )
            .revision("2026-11-01")
            .known_revisions(&["2026-05-01", "2026-08-01"])
            .protocol(
                __rt::ProtocolRange::between(
                    __rt::ProtocolVersion::V2025_11_25,
                    __rt::ProtocolVersion::V2026_07_28,
                ),
            )
            .stability(__rt::Stability::Beta)
            .settings(__rt::SettingsSpec::same::<GradingSettings>())
            .fallback(__rt::fallback_json::<GradingExtension>)
            .items(
                &[
                    __rt::Item::of::<Data, Answer>("read_rubric")
                        .docs("A method with every key.")
                        .method(
                            __rt::MethodSpec::new("com.example/grading/read")
                                .mcp_name("/rubricId")
                                .shape_clash("no client reads it by shape"),
                        )
                        .optional("reading")
                        .needs(&[<Audit as __rt::BlockName>::NAME])
                        .echo(&["/rubricId"]),
                    __rt::Item::of::<Data, Answer>("grade_submission")
                        .docs("A tool with every key.")
                        .tool(
                            __rt::ToolSpec::new("grade")
                                .title("Grade")
                                .hints(__rt::Hints {
                                    read_only: ::core::option::Option::Some(false),
                                    destructive: ::core::option::Option::Some(true),
                                    idempotent: ::core::option::Option::Some(true),
                                    open_world: ::core::option::Option::Some(false),
                                    ..__rt::Hints::NONE
                                }),
                        )
                        .needs(&[<Audit as __rt::BlockName>::NAME])
                        .sensitive(),
                    __rt::Item::of::<Data, Answer>("publish")
                        .docs("A gated tool.")
                        .tool(__rt::ToolSpec::new("publish").gated()),
                    __rt::Item::of::<__rt::NoParams, Answer>("count")
                        .docs("Both at once.")
                        .method(__rt::MethodSpec::new("com.example/grading/count"))
                        .tool(__rt::ToolSpec::new("count"))
                        .deprecated("count for yourself"),
                    #[cfg(any())]
                    __rt::Item::of::<Missing, Answer>("gone")
                        .method(__rt::MethodSpec::new("com.example/grading/gone")),
                    __rt::Item::of::<__rt::NoParams, Answer>("move")
                        .docs("A keyword.")
                        .method(__rt::MethodSpec::new("com.example/grading/move")),
                ],
            )
            .notifications(
                &[
                    __rt::NotificationSpec {
                        name: "grade_changed",
                        wire: "notifications/com.example/grading/gradeChanged",
                        docs: "A grade changed.",
                        channel: __rt::Channel::Request,
                        params: __rt::TypeSchema::of::<Data>(),
                        filter: ::core::option::Option::None,
                    },
                    __rt::NotificationSpec {
                        name: "something_happened",
                        wire: "notifications/com.example/grading/happened",
                        docs: "Something happened.",
                        channel: __rt::Channel::Listen,
                        params: __rt::TypeSchema::of::<__rt::NoParams>(),
                        filter: ::core::option::Option::None,
                    },
                    __rt::NotificationSpec {
                        name: "rubric_changed",
                        wire: "notifications/com.example/grading/rubricChanged",
                        docs: "A rubric changed.",
                        channel: __rt::Channel::Listen,
                        params: __rt::TypeSchema::of::<Data>(),
                        filter: ::core::option::Option::Some(
                            __rt::FilterSpec::of::<Data, Data>(),
                        ),
                    },
                ],
            )
            .meta_keys(
                &[
                    __rt::MetaKeySpec {
                        key: "com.example/purpose",
                        place: "request",
                        value: __rt::TypeSchema::of::<String>(),
                    },
                    __rt::MetaKeySpec {
                        key: "com.example/label",
                        place: "result",
                        value: __rt::TypeSchema::of::<String>(),
                    },
                    __rt::MetaKeySpec {
                        key: "com.example/cost",
                        place: "result",
                        value: __rt::TypeSchema::of::<u32>(),
                    },
                ],
            )
            .requires(&[<LabelsExtension as __rt::Extension>::CONTRACT])
            .needs(&[<Audit as __rt::BlockName>::NAME])
            .source(::core::module_path!(), ::core::file!(), ::core::line!());
        fn fallback() -> GradingSettings {
            GradingSettings { write: false }
        }
    }
    #[automatically_derived]
    impl<P: Grading> __rt::Serves<P> for GradingExtension {
        const PROVIDED: &'static [&'static str] = P::WRITE_HANDLERS_ABOVE_THIS_IMPL;
        #[allow(unused_variables)]
        fn serve<'__a>(
            provider: &'__a P,
            item: &'static str,
            call: __rt::Call<'__a>,
        ) -> __rt::BoxFuture<'__a, __rt::Outcome> {
            match item {
                "read_rubric" => {
                    call.run::<__rt::Cx<Self>, _, Data, _>(provider, P::read_rubric)
                }
                "grade_submission" => {
                    call.run::<
                            __rt::ToolCx<Self>,
                            _,
                            Data,
                            _,
                        >(provider, P::grade_submission)
                }
                "publish" => call.run::<__rt::Cx<Self>, _, Data, _>(provider, P::publish),
                "count" => {
                    call.run::<
                            __rt::ToolCx<Self>,
                            _,
                            __rt::NoParams,
                            _,
                        >(provider, __rt::WithoutParams(P::count))
                }
                #[cfg(any())]
                "gone" => call.run::<__rt::Cx<Self>, _, Missing, _>(provider, P::gone),
                "move" => {
                    call.run::<
                            __rt::Cx<Self>,
                            _,
                            __rt::NoParams,
                            _,
                        >(provider, __rt::WithoutParams(P::r#move))
                }
                _ => call.no_such_item(),
            }
        }
    }
    impl GradingNotifications {
        /// A grade changed.
        ///
        ///# Errors
        ///When it could not be sent.
        pub(crate) async fn grade_changed(
            &self,
            params: Data,
        ) -> ::core::result::Result<(), __rt::NotifyError> {
            self.0.send("grade_changed", params).await
        }
        /// Something happened.
        ///
        ///# Errors
        ///When it could not be sent.
        pub(crate) async fn something_happened(
            &self,
        ) -> ::core::result::Result<(), __rt::NotifyError> {
            self.0.send("something_happened", __rt::NoParams {}).await
        }
        /// A rubric changed.
        ///
        ///# Errors
        ///When it could not be sent.
        #[deprecated(note = "listen to what happened")]
        pub(crate) async fn rubric_changed(
            &self,
            params: Data,
        ) -> ::core::result::Result<(), __rt::NotifyError> {
            self.0.send("rubric_changed", params).await
        }
    }
    impl GradingExtension {
        ///Publishes the notifications of `com.example/grading` to those who listen.
        pub(crate) fn publisher(set: &__rt::ExtensionSet) -> GradingPublisher {
            GradingPublisher(__rt::Publisher::of::<Self>(set))
        }
    }
    impl GradingPublisher {
        /// Something happened.
        ///
        ///Gives how many streams it was queued for.
        ///
        ///# Errors
        ///When the extension is not enabled in the set.
        pub(crate) fn something_happened(
            &self,
        ) -> ::core::result::Result<usize, __rt::NotifyError> {
            self.0.publish("something_happened", &__rt::NoParams {})
        }
        /// A rubric changed.
        ///
        ///Gives how many streams it was queued for.
        ///
        ///# Errors
        ///When the extension is not enabled in the set.
        #[deprecated(note = "listen to what happened")]
        pub(crate) fn rubric_changed(
            &self,
            params: Data,
        ) -> ::core::result::Result<usize, __rt::NotifyError> {
            self.0.publish("rubric_changed", &params)
        }
        /// The same, for the streams of one principal alone.
        #[must_use]
        pub(crate) fn only_to(&self, principal: __rt::Principal) -> Self {
            Self(::core::clone::Clone::clone(&self.0).only_to(principal))
        }
    }
    __rt::client! {
        impl GradingNotification { #[doc =
        r" Reads what a server has sent; `None` when it is none of this extension's."]
        #[doc = r""] #[doc = r" # Errors"] #[doc = r" When its params do not fit."] pub
        (crate) fn read(method : & str, params : & __rt::serde_json::Value,) ->
        ::core::option::Option < ::core::result::Result < Self, __rt::serde_json::Error
        >> where for < '__a > Data : __rt::serde::de::DeserializeOwned, for < '__a > Data
        : __rt::serde::de::DeserializeOwned, { ::core::option::Option::Some(match method
        { "notifications/com.example/grading/gradeChanged" =>
        __rt::read_notification(params).map(Self::GradeChanged),
        "notifications/com.example/grading/happened" =>
        ::core::result::Result::Ok(Self::SomethingHappened),
        "notifications/com.example/grading/rubricChanged" =>
        __rt::read_notification(params).map(Self::RubricChanged), _ => return
        ::core::option::Option::None, }) } }
    }
    #[automatically_derived]
    impl ::core::convert::From<__rt::NotificationHandle> for GradingNotifications {
        fn from(handle: __rt::NotificationHandle) -> Self {
            Self(handle)
        }
    }
    __rt::client! {
        impl < C : __rt::Caller > GradingClient < C > { #[doc =
        " A method with every key."] pub (crate) async fn read_rubric(& self, params :
        Data) -> ::core::result::Result < < Answer as __rt::HandlerResult > ::Ok,
        __rt::CallError < < Answer as __rt::HandlerResult > ::Err >> where for < '__a >
        Data : __rt::serde::Serialize, for < '__a > < Answer as __rt::HandlerResult >
        ::Ok : __rt::serde::de::DeserializeOwned, { self.0. method("read_rubric", &
        params). await } #[doc = " A tool with every key."] pub (crate) async fn
        grade_submission(& self, params : Data) -> ::core::result::Result < < Answer as
        __rt::HandlerResult > ::Ok, __rt::CallError < < Answer as __rt::HandlerResult >
        ::Err >> where for < '__a > Data : __rt::serde::Serialize, for < '__a > < Answer
        as __rt::HandlerResult > ::Ok : __rt::serde::de::DeserializeOwned, { self.0.
        tool("grade_submission", & params). await } #[doc = " A gated tool."] pub (crate)
        async fn publish(& self, params : Data) -> ::core::result::Result < < Answer as
        __rt::HandlerResult > ::Ok, __rt::CallError < < Answer as __rt::HandlerResult >
        ::Err >> where for < '__a > Data : __rt::serde::Serialize, for < '__a > < Answer
        as __rt::HandlerResult > ::Ok : __rt::serde::de::DeserializeOwned, { self.0.
        tool("publish", & params). await } #[doc = " Both at once."] #[deprecated(note =
        "count for yourself")] pub (crate) async fn count(& self) ->
        ::core::result::Result < < Answer as __rt::HandlerResult > ::Ok, __rt::CallError
        < < Answer as __rt::HandlerResult > ::Err >> where for < '__a > < Answer as
        __rt::HandlerResult > ::Ok : __rt::serde::de::DeserializeOwned, { self.0.
        method("count", & __rt::NoParams {}). await } #[doc = " Both at once."]
        #[deprecated(note = "count for yourself")] pub (crate) async fn count_tool(&
        self) -> ::core::result::Result < < Answer as __rt::HandlerResult > ::Ok,
        __rt::CallError < < Answer as __rt::HandlerResult > ::Err >> where for < '__a > <
        Answer as __rt::HandlerResult > ::Ok : __rt::serde::de::DeserializeOwned, { self
        .0. tool("count", & __rt::NoParams {}). await } #[cfg(any())] #[doc =
        "Calls the method `com.example/grading/gone`."] pub (crate) async fn gone(& self,
        params : Missing) -> ::core::result::Result < < Answer as __rt::HandlerResult >
        ::Ok, __rt::CallError < < Answer as __rt::HandlerResult > ::Err >> where for <
        '__a > Missing : __rt::serde::Serialize, for < '__a > < Answer as
        __rt::HandlerResult > ::Ok : __rt::serde::de::DeserializeOwned, { self.0.
        method("gone", & params). await } #[doc = " A keyword."] pub (crate) async fn
        r#move(& self) -> ::core::result::Result < < Answer as __rt::HandlerResult >
        ::Ok, __rt::CallError < < Answer as __rt::HandlerResult > ::Err >> where for <
        '__a > < Answer as __rt::HandlerResult > ::Ok :
        __rt::serde::de::DeserializeOwned, { self.0. method("move", & __rt::NoParams {}).
        await } } impl GradingExtension { #[doc =
        "A client of `com.example/grading` that sends through `caller`; negotiate before calling."]
        pub (crate) fn client < C : __rt::Caller > (caller : C) -> __rt::Client < Self, C
        > { __rt::Client::new(caller) } } #[automatically_derived] impl < C >
        ::core::ops::Deref for GradingClient < C > { type Target = __rt::Active <
        GradingExtension, C >; fn deref(& self) -> & Self::Target { & self.0 } }
        #[automatically_derived] impl < C > ::core::convert::From < __rt::Active <
        GradingExtension, C >> for GradingClient < C > { fn from(active : __rt::Active <
        GradingExtension, C >) -> Self { Self(active) } } #[automatically_derived] impl
        __rt::HasClient for GradingExtension { type Typed < C : __rt::Caller > =
        GradingClient < C >; }
    }
    __rt::inventory::submit! {
        __rt::Registered(< GradingExtension as __rt::Extension > ::CONTRACT)
    }
};
impl mcp_ext_core::ListenFilter<Data> for Data {
    fn admits(&self, params: &Data, _: &mcp_ext_core::Listener<'_>) -> bool {
        self.rubric_id == params.rubric_id
    }
}
struct Lms;
impl Grading for Lms {
    async fn read_rubric(&self, cx: &Cx<GradingExtension>, params: Data) -> Answer {
        let _ = cx.grade_changed(Data { rubric_id: String::new() }).await;
        Ok(params)
    }
    async fn grade_submission(
        &self,
        cx: &ToolCx<GradingExtension>,
        args: Data,
    ) -> Answer {
        if let Some(cx) = cx.active() {
            let _ = cx.something_happened().await;
        }
        Ok(args)
    }
    async fn publish(&self, _: &Cx<GradingExtension>, args: Data) -> Answer {
        Ok(args)
    }
    async fn count(&self, _: &ToolCx<GradingExtension>) -> Answer {
        Ok(Data { rubric_id: String::new() })
    }
    #[cfg(any())]
    async fn gone(&self, _: &Cx<GradingExtension>, _: Missing) -> Answer {}
    async fn r#move(&self, _: &Cx<GradingExtension>) -> Answer {
        Ok(Data { rubric_id: String::new() })
    }
    const WRITE_HANDLERS_ABOVE_THIS_IMPL: &'static [&'static str] = &[
        "read_rubric",
        "grade_submission",
        "publish",
        "count",
        #[cfg(any())]
        "gone",
        "move",
    ];
}
