//! Every conflict a set can have is found when it is built, and names both sides.

use mcp_ext_core::__private_0_1_0 as rt;
use mcp_ext_core::algebra::{Fields, Mismatch, Negotiate};
use mcp_ext_core::protocol::{Era, ProtocolRange, ProtocolVersion};
use mcp_ext_core::{BuildError, ExtensionId, ExtensionSet};
use rt::{Contract, ErrorSpec, Item, MethodSpec, NoSettings, SettingsSpec, ToolSpec, TypeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Params {
    name: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Reply {
    text: String,
}

const PARAMS: TypeSchema = TypeSchema::of::<Params>();
const REPLY: TypeSchema = TypeSchema::of::<Reply>();

/// An extension with any contract, and a provider that is never called.
macro_rules! extension {
    ($name:ident, static $contract:ident) => {
        extension!(@impl $name, &$contract, &[], NoSettings);
    };
    ($name:ident, $contract:expr $(, provided: $provided:expr)? $(, settings: $settings:ty)?) => {
        extension!(@impl $name, &$contract, extension!(@provided $($provided)?), extension!(@settings $($settings)?));
    };
    (@impl $name:ident, $contract:expr, $provided:expr, $settings:ty) => {
        struct $name;
        impl rt::Extension for $name {
            type Server = $settings;
            type Client = $settings;
            type Negotiated = $settings;
            type Notifications = rt::NoNotifications;
            const CONTRACT: &'static Contract = $contract;
            fn fallback() -> Self::Negotiated {
                Default::default()
            }
        }
        impl rt::Serves<()> for $name {
            const PROVIDED: &'static [&'static str] = $provided;
            fn serve<'a>(
                _: &'a (),
                _: &'static str,
                call: rt::Call<'a>,
            ) -> rt::BoxFuture<'a, rt::Outcome> {
                call.no_such_item()
            }
        }
    };
    (@settings $settings:ty) => { $settings };
    (@settings) => { NoSettings };
    (@provided $provided:expr) => { $provided };
    (@provided) => { &[] };
}

fn new(id: &'static str) -> Contract {
    Contract::new(ExtensionId::from_static(id), "Test")
}

/// `contract!("id")` in const position.
macro_rules! contract {
    ($id:literal) => {
        Contract::new(ExtensionId::from_static($id), "Test").source(
            module_path!(),
            file!(),
            line!(),
        )
    };
}

macro_rules! build {
    ($($ext:ident),*) => {
        ExtensionSet::builder()$(.enable(rt::Enable::<$ext>::new(())))*.build()
    };
}

fn error<T>(result: Result<T, BuildError>) -> (BuildError, String) {
    match result {
        Ok(_) => panic!("the set was built"),
        Err(error) => {
            let text = error.to_string();
            (error, text)
        }
    }
}

extension!(Plain, contract!("com.example/plain"));
extension!(PlainAgain, contract!("com.example/plain"));
extension!(PlainUpper, contract!("com.example/Plain"));

#[test]
fn id_08_one_identifier_is_enabled_once() {
    let (_, text) = error(build!(Plain, PlainAgain));
    assert!(
        text.contains("com.example/plain") && text.matches("conflicts.rs:").count() == 2,
        "{text}"
    );
    let (_, text) = error(build!(Plain, PlainUpper));
    assert!(
        text.contains("com.example/plain") && text.contains("com.example/Plain"),
        "{text}"
    );
}

extension!(
    Reserved,
    Contract::new(
        ExtensionId::from_static_official("io.modelcontextprotocol/tasks"),
        "Tasks"
    )
);

#[test]
fn id_05_a_reserved_identifier_needs_the_official_mark() {
    let (error, text) = error(build!(Reserved));
    assert!(matches!(error, BuildError::Id { .. }), "{text}");
}

extension!(
    MethodA,
    contract!("com.example/a")
        .items(&[Item::new("go", PARAMS, REPLY).method(MethodSpec::new("com.example/a/go"))])
);
extension!(
    MethodB,
    contract!("com.example/b")
        .items(&[Item::new("go", PARAMS, REPLY).method(MethodSpec::new("com.example/a/go"))])
);
extension!(
    CoreMethod,
    contract!("com.example/c")
        .items(&[Item::new("go", PARAMS, REPLY).method(MethodSpec::new("tools/call"))])
);
extension!(
    SkillsMethod,
    contract!("com.example/d")
        .items(&[Item::new("go", PARAMS, REPLY).method(MethodSpec::new("skills/mine"))])
);
extension!(
    SpacedMethod,
    contract!("com.example/e")
        .items(&[Item::new("go", PARAMS, REPLY).method(MethodSpec::new("com.example/e/go there"))])
);

#[test]
fn req_04_and_req_05_method_names() {
    let (_, text) = error(build!(MethodA, MethodB));
    assert!(
        text.contains("com.example/a/go") && text.contains("com.example/b"),
        "{text}"
    );
    for result in [
        build!(CoreMethod),
        build!(SkillsMethod),
        build!(SpacedMethod),
    ] {
        let (error, text) = error(result);
        assert!(matches!(error, BuildError::MethodName { .. }), "{text}");
    }
}

extension!(
    ToolA,
    contract!("com.example/a").items(&[Item::new("go", PARAMS, REPLY).tool(ToolSpec::new("go"))])
);
extension!(
    ToolB,
    contract!("com.example/b").items(&[Item::new("go", PARAMS, REPLY).tool(ToolSpec::new("go"))])
);
extension!(
    DottedTool,
    contract!("com.example/c")
        .items(&[Item::new("go", PARAMS, REPLY).tool(ToolSpec::new("go.there"))])
);

#[test]
fn req_15_a_tool_is_one_extensions_alone() {
    let (_, text) = error(build!(ToolA, ToolB));
    assert!(
        text.contains("tool go")
            && text.contains("com.example/a")
            && text.contains("com.example/b")
    );
    let (error, text) = error(build!(DottedTool));
    assert!(matches!(error, BuildError::ToolName { .. }), "{text}");
}

const fn err(code: i32, kind: &'static str) -> ErrorSpec {
    ErrorSpec {
        kind,
        code,
        docs: "",
        retryable: false,
    }
}
extension!(
    CodeA,
    contract!("com.example/a").items(&[Item::new("go", PARAMS, REPLY)
        .method(MethodSpec::new("com.example/a/go"))
        .errors(&[err(4100, "lost")])])
);
extension!(
    CodeB,
    contract!("com.example/b").items(&[Item::new("go", PARAMS, REPLY)
        .method(MethodSpec::new("com.example/b/go"))
        .errors(&[err(4100, "found")])])
);
extension!(
    CodeCore,
    contract!("com.example/c").items(&[Item::new("go", PARAMS, REPLY)
        .method(MethodSpec::new("com.example/c/go"))
        .errors(&[err(-32023, "borrowed")])])
);

#[test]
fn err_05_two_errors_do_not_share_a_code() {
    let (_, text) = error(build!(CodeA, CodeB));
    assert!(
        text.contains("4100") && text.contains("lost") && text.contains("found"),
        "{text}"
    );
}

#[test]
fn err_01_to_err_04_a_reserved_code_cannot_be_enabled() {
    let (error, text) = error(build!(CodeCore));
    assert!(
        matches!(error, BuildError::ReservedCode { code: -32023, .. }),
        "{text}"
    );
}

const NEEDS_PLAIN: &[&Contract] = &[&PLAIN];
static NEEDS_A: [&Contract; 1] = [&CYCLE_A];
static NEEDS_B: [&Contract; 1] = [&CYCLE_B];
static PLAIN: Contract = contract!("com.example/plain");
extension!(Needy, contract!("com.example/needy").requires(NEEDS_PLAIN));
static CYCLE_A: Contract = contract!("com.example/cycle-a").requires(&NEEDS_B);
static CYCLE_B: Contract = contract!("com.example/cycle-b").requires(&NEEDS_A);
extension!(CycleA, static CYCLE_A);
extension!(CycleB, static CYCLE_B);

#[test]
fn requirements_must_be_met_and_free_of_circles() {
    let (_, text) = error(build!(Needy));
    assert!(
        text.contains("com.example/needy") && text.contains("com.example/plain"),
        "{text}"
    );
    assert!(build!(Needy, Plain).is_ok());
    let (error, text) = error(build!(CycleA, CycleB));
    assert!(
        matches!(&error, BuildError::Cycle { path } if path.len() == 3),
        "{text}"
    );
}

extension!(
    Modern,
    contract!("com.example/modern").protocol(ProtocolRange::from(ProtocolVersion::V2026_07_28))
);

#[test]
fn era_02_an_extension_must_cover_what_the_server_offers() {
    let legacy = ProtocolRange::between(ProtocolVersion::V2024_11_05, ProtocolVersion::V2025_11_25);
    let (error, text) = error(
        ExtensionSet::builder()
            .protocol(legacy)
            .enable(rt::Enable::<Modern>::new(()))
            .build(),
    );
    assert!(matches!(error, BuildError::Protocol { .. }), "{text}");
    let set = build!(Modern).unwrap();
    assert!(set.advertisement(Era::Legacy, None).is_empty());
    assert_eq!(set.advertisement(Era::Modern, None).len(), 1);
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Clashing {
    content: Vec<String>,
}
#[derive(Serialize, Deserialize, JsonSchema)]
struct Reserving {
    #[serde(rename = "resultType")]
    result_type: String,
}
extension!(
    Clash,
    contract!("com.example/a").items(&[Item::new("go", PARAMS, TypeSchema::of::<Clashing>())
        .method(MethodSpec::new("com.example/a/go"))])
);
extension!(
    Accepted,
    contract!("com.example/a").items(&[Item::new("go", PARAMS, TypeSchema::of::<Clashing>())
        .method(MethodSpec::new("com.example/a/go").shape_clash("only our own client reads it"))])
);
extension!(
    Stamped,
    contract!("com.example/a").items(&[Item::new("go", PARAMS, TypeSchema::of::<Reserving>())
        .method(MethodSpec::new("com.example/a/go").shape_clash("no reason is good enough"))])
);
extension!(
    Listy,
    contract!("com.example/a").items(&[Item::new("go", PARAMS, TypeSchema::of::<Vec<String>>())
        .method(MethodSpec::new("com.example/a/go"))])
);

#[test]
fn rt_01_rt_06_a_result_cannot_say_what_it_is() {
    // `task`, `input_required` or a type of its own: the member is the protocol's.
    let (error, text) = error(build!(Stamped));
    assert!(
        matches!(&error, BuildError::ReservedMember { member, .. } if member == "resultType"),
        "{text}"
    );
}

#[test]
fn results_keep_their_shape_through_any_client() {
    let (error_, text) = error(build!(Clash));
    assert!(
        matches!(&error_, BuildError::ShapeClash { member, .. } if member == "content"),
        "{text}"
    );
    assert!(build!(Accepted).is_ok());
    let (error_, text) = error(build!(Stamped));
    assert!(
        matches!(&error_, BuildError::ReservedMember { member, .. } if member == "resultType"),
        "{text}"
    );
    let (error_, text) = error(build!(Listy));
    assert!(matches!(error_, BuildError::NotAnObject { .. }), "{text}");
}

extension!(
    Named,
    contract!("com.example/a").items(&[Item::new("go", PARAMS, REPLY)
        .method(MethodSpec::new("com.example/a/go").mcp_name("/name"))])
);
extension!(
    Misnamed,
    contract!("com.example/a").items(&[Item::new("go", PARAMS, REPLY)
        .method(MethodSpec::new("com.example/a/go").mcp_name("/title"))])
);

#[test]
fn hdr_04_mcp_name_points_at_a_required_string() {
    assert!(build!(Named).is_ok());
    let (error, text) = error(build!(Misnamed));
    assert!(matches!(error, BuildError::McpName { .. }), "{text}");
}

extension!(
    Blocked,
    contract!("com.example/a").items(&[Item::new("go", PARAMS, REPLY)
        .method(MethodSpec::new("com.example/a/go"))
        .needs(&["com.example/audit"])])
);

#[test]
fn a_block_that_is_not_enabled_is_named_with_the_item_that_needs_it() {
    let (_, text) = error(build!(Blocked));
    assert!(
        text.contains("go") && text.contains("com.example/audit"),
        "{text}"
    );
}

#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Flagged {
    live: bool,
}
impl Negotiate for Flagged {
    type Negotiated = Self;
    fn negotiate(server: &Self, client: &Self) -> Result<Self, Mismatch> {
        let mut f = Fields::new();
        let negotiated = Self {
            live: f.and("live", &server.live, &client.live),
        };
        f.finish(negotiated)
    }
}
extension!(
    FlagTaken,
    contract!("com.example/a").settings(SettingsSpec::same::<Flagged>()).items(&[Item::new("go", PARAMS, REPLY)
        .method(MethodSpec::new("com.example/a/go"))
        .optional("live")]),
    settings: Flagged
);
extension!(
    FlagFree,
    contract!("com.example/a").items(&[Item::new("go", PARAMS, REPLY)
        .method(MethodSpec::new("com.example/a/go"))
        .optional("live")]),
    provided: &["go"]
);

#[test]
fn sub_12_a_flag_follows_from_what_the_provider_has() {
    let (error, text) = error(build!(FlagTaken));
    assert!(
        matches!(&error, BuildError::SettingsMember { member, .. } if member == "live"),
        "{text}"
    );
    let set = build!(FlagFree).unwrap();
    assert_eq!(
        set.advertisement(Era::Modern, None)["com.example/a"]["live"],
        true
    );
}

#[test]
fn neg_02_nothing_is_enabled_by_itself() {
    assert!(
        ExtensionSet::builder()
            .build()
            .unwrap()
            .advertisement(Era::Modern, None)
            .is_empty()
    );
    assert!(new("com.example/x").items.is_empty());
}

#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Strict {
    mode: Option<String>,
}
impl Negotiate for Strict {
    type Negotiated = Self;
    fn negotiate(server: &Self, client: &Self) -> Result<Self, Mismatch> {
        let mut f = Fields::new();
        let negotiated = Self {
            mode: f.equal("mode", &server.mode, &client.mode),
        };
        f.finish(negotiated)
    }
}

/// An extension whose fallback is fixed, with one tool that is gated or not.
macro_rules! with_fallback {
    ($name:ident, $tool:expr) => {
        struct $name;
        impl rt::Extension for $name {
            type Server = Strict;
            type Client = Strict;
            type Negotiated = Strict;
            type Notifications = rt::NoNotifications;
            const CONTRACT: &'static Contract = &contract!("com.example/fallback")
                .settings(SettingsSpec::same::<Strict>())
                .items(&[Item::new("go", PARAMS, REPLY).tool($tool)]);
            fn fallback() -> Strict {
                Strict {
                    mode: Some("plain".to_owned()),
                }
            }
        }
        impl rt::Serves<()> for $name {
            const PROVIDED: &'static [&'static str] = &["go"];
            fn serve<'a>(
                _: &'a (),
                _: &'static str,
                call: rt::Call<'a>,
            ) -> rt::BoxFuture<'a, rt::Outcome> {
                call.no_such_item()
            }
        }
    };
}
with_fallback!(OpenTool, ToolSpec::new("go"));
with_fallback!(GatedTool, ToolSpec::new("go").gated());

#[test]
fn a_fallback_that_the_server_does_not_grant_is_refused() {
    let settings = |mode: &str| Strict {
        mode: Some(mode.to_owned()),
    };
    let open = |mode| {
        ExtensionSet::builder()
            .enable(rt::Enable::<OpenTool>::new(()).settings(settings(mode)))
            .build()
    };
    assert!(open("plain").is_ok());
    let (error, text) = error(open("strict"));
    assert!(matches!(error, BuildError::Fallback { .. }), "{text}");
    assert!(text.contains("strict") && text.contains("plain"), "{text}");
    // Nobody sees the fallback of tools that are gated.
    let gated = rt::Enable::<GatedTool>::new(()).settings(settings("strict"));
    assert!(ExtensionSet::builder().enable(gated).build().is_ok());
}

const fn meta_key(key: &'static str) -> rt::MetaKeySpec {
    rt::MetaKeySpec {
        key,
        place: "result",
        value: PARAMS,
    }
}
extension!(
    OwnKey,
    contract!("com.example/a").meta_keys(&[meta_key("com.example/label")])
);
extension!(
    ForeignKey,
    contract!("com.example/a").meta_keys(&[meta_key("org.other/label")])
);
extension!(
    LongerKey,
    contract!("com.example/a").meta_keys(&[meta_key("com.examples/label")])
);

#[test]
fn meta_01_a_key_lies_under_the_extensions_own_prefix() {
    assert!(build!(OwnKey).is_ok());
    for result in [build!(ForeignKey), build!(LongerKey)] {
        let (error, text) = error(result);
        assert!(matches!(error, BuildError::MetaKey { .. }), "{text}");
    }
}

macro_rules! with_settings {
    ($name:ident, $settings:ident) => {
        impl Negotiate for $settings {
            type Negotiated = Self;
            fn negotiate(_: &Self, client: &Self) -> Result<Self, Mismatch> {
                Ok(client.clone())
            }
        }
        extension!(
            $name,
            contract!("com.example/a").settings(SettingsSpec::same::<$settings>()),
            settings: $settings
        );
    };
}

#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct Keyed {
    api_key: Option<String>,
}
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Nested {
    upstreams: Vec<Upstream>,
}
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Upstream {
    #[schemars(extend("format" = "password"))]
    phrase: String,
}
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct Harmless {
    token_limit: Option<u32>,
    secret_santa: bool,
}
with_settings!(KeyedSettings, Keyed);
with_settings!(NestedSettings, Nested);
with_settings!(HarmlessSettings, Harmless);

#[test]
fn neg_21_settings_carry_no_secrets() {
    for (result, name) in [
        (build!(KeyedSettings), "apiKey"),
        (build!(NestedSettings), "phrase"),
    ] {
        let (error, text) = error(result);
        assert!(
            matches!(&error, BuildError::SecretSetting { member, .. } if member == name),
            "{text}"
        );
    }
    assert!(build!(HarmlessSettings).is_ok());
}
