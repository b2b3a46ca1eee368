//! Numbered checks of the protocol that a set must meet whatever adapter carries it, each with a test of its own.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex};

use mcp_ext_core::__private_0_1_0 as rt;
use mcp_ext_core::algebra::{Fields, Mismatch, Negotiate};
use mcp_ext_core::envelope::Frame;
use mcp_ext_core::id::check_own_code;
use mcp_ext_core::protocol::{Era, ProtocolRange, ProtocolVersion};
use mcp_ext_core::request::{
    BoxFuture, Declared, Incoming, Notifier, NotifyError, Params, SessionDeclaration, Target,
};
use mcp_ext_core::wire::{JsonObject, VENDOR_PREFIX, code, meta};
use mcp_ext_core::{AmendCx, Cx, ExtensionId, ExtensionSet, Limits, Route, RpcError, ToolCx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

// ---- two extensions, written as the macro expands them -----------------------------------------------------------

#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct ShelfSettings {
    most: Option<u32>,
}

impl Negotiate for ShelfSettings {
    type Negotiated = Self;
    fn negotiate(server: &Self, client: &Self) -> Result<Self, Mismatch> {
        let mut f = Fields::new();
        let negotiated = Self {
            most: f.min("most", &server.most, &client.most),
        };
        f.finish(negotiated)
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Title {
    title: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Book {
    said: String,
}

#[derive(Clone)]
struct Sender(rt::NotificationHandle);

impl From<rt::NotificationHandle> for Sender {
    fn from(handle: rt::NotificationHandle) -> Self {
        Self(handle)
    }
}

impl Sender {
    async fn send(&self, name: &'static str) -> Result<(), NotifyError> {
        let title = "Emma".to_owned();
        self.0.send(name, Title { title }).await
    }
}

const SHELF: &str = "com.example/shelf";
const FIND: &str = "com.example/shelf/find";
const NAMED: &str = "com.example/shelf/named";
const READ_ALOUD: &str = "com.example/shelf/readAloud";
const UPPER: &str = "com.example/upper";
const CLIMB: &str = "com.example/upper/climb";

const fn notification(
    name: &'static str,
    wire: &'static str,
    channel: rt::Channel,
) -> rt::NotificationSpec {
    rt::NotificationSpec {
        name,
        wire,
        docs: "",
        channel,
        params: rt::TypeSchema::of::<Title>(),
        filter: None,
    }
}

static SHELF_CONTRACT: rt::Contract =
    rt::Contract::new(ExtensionId::from_static("com.example/shelf"), "Shelf")
        .revision("2026-11-01")
        .settings(rt::SettingsSpec::same::<ShelfSettings>())
        .items(&[
            rt::Item::of::<Title, Result<Book, Infallible>>("find")
                .method(rt::MethodSpec::new("com.example/shelf/find")),
            rt::Item::of::<Title, Result<Book, Infallible>>("named")
                .method(rt::MethodSpec::new("com.example/shelf/named").mcp_name("/title")),
            rt::Item::of::<Title, Result<Book, Infallible>>("lend").tool(rt::ToolSpec::new("lend")),
            rt::Item::of::<Title, Result<Book, Infallible>>("read_aloud")
                .method(rt::MethodSpec::new("com.example/shelf/readAloud"))
                .optional("readsAloud"),
        ])
        .notifications(&[
            notification(
                "found",
                "notifications/com.example/shelf/found",
                rt::Channel::Request,
            ),
            notification(
                "moved",
                "notifications/com.example/shelf/moved",
                rt::Channel::Listen,
            ),
        ])
        .meta_keys(&[rt::MetaKeySpec {
            key: "com.example/place-on-shelf",
            place: "result",
            value: rt::TypeSchema::of::<Title>(),
        }]);

struct ShelfExtension;

impl rt::Extension for ShelfExtension {
    type Server = ShelfSettings;
    type Client = ShelfSettings;
    type Negotiated = ShelfSettings;
    type Notifications = Sender;
    const CONTRACT: &'static rt::Contract = &SHELF_CONTRACT;
    fn fallback() -> ShelfSettings {
        ShelfSettings::default()
    }
}

/// The provider: what it was asked, and what it may keep beyond a call.
#[derive(Default)]
struct Shelf {
    asked: Mutex<Vec<String>>,
    listen: Mutex<Option<Result<(), NotifyError>>>,
    kept: Mutex<Option<Sender>>,
    meta: Mutex<JsonObject>,
}

impl Shelf {
    async fn lend(
        &self,
        cx: &ToolCx<ShelfExtension>,
        Title { title }: Title,
    ) -> Result<Book, Infallible> {
        self.asked.lock().unwrap().push(title);
        let said = match cx.active() {
            // What only a client that declared it may get.
            Some(cx) => format!("with the extension, {:?}", cx.send("found").await),
            None => "without".to_owned(),
        };
        Ok(Book { said })
    }

    async fn find(
        &self,
        cx: &Cx<ShelfExtension>,
        Title { title }: Title,
    ) -> Result<Book, Infallible> {
        self.asked.lock().unwrap().push(title.clone());
        *self.meta.lock().unwrap() = cx.meta().clone();
        let listened = cx.send("moved").await;
        *self.listen.lock().unwrap() = Some(listened);
        *self.kept.lock().unwrap() = Some((**cx).clone());
        let _ = cx.progress(1.0, None, None).await;
        let said = format!("{title}, at most {:?}", cx.settings().most);
        Ok(Book { said })
    }
}

impl rt::Serves<Shelf> for ShelfExtension {
    const PROVIDED: &'static [&'static str] = &["find", "named", "lend"];
    fn serve<'a>(
        shelf: &'a Shelf,
        item: &'static str,
        call: rt::Call<'a>,
    ) -> rt::BoxFuture<'a, rt::Outcome> {
        match item {
            "lend" => call.run::<ToolCx<Self>, _, Title, _>(shelf, Shelf::lend),
            _ => call.run::<Cx<Self>, _, Title, _>(shelf, Shelf::find),
        }
    }
}

struct UpperExtension;

impl rt::Extension for UpperExtension {
    type Server = mcp_ext_core::NoSettings;
    type Client = mcp_ext_core::NoSettings;
    type Negotiated = mcp_ext_core::NoSettings;
    type Notifications = rt::NoNotifications;
    const CONTRACT: &'static rt::Contract = {
        const ITEMS: &[rt::Item] = &[rt::Item::of::<Title, Result<Book, Infallible>>("climb")
            .method(rt::MethodSpec::new("com.example/upper/climb"))];
        static REQUIRES: [&rt::Contract; 1] = [&SHELF_CONTRACT];
        static UPPER: rt::Contract =
            rt::Contract::new(ExtensionId::from_static("com.example/upper"), "Upper")
                .protocol(ProtocolRange::from(ProtocolVersion::V2026_07_28))
                .requires(&REQUIRES)
                .items(ITEMS);
        &UPPER
    };
    fn fallback() -> Self::Negotiated {
        Default::default()
    }
}

struct Ladder;

impl Ladder {
    async fn climb(&self, _: &Cx<UpperExtension>, _: Title) -> Result<Book, Infallible> {
        let said = "up".to_owned();
        Ok(Book { said })
    }
}

impl rt::Serves<Ladder> for UpperExtension {
    const PROVIDED: &'static [&'static str] = &["climb"];
    fn serve<'a>(
        ladder: &'a Ladder,
        _: &'static str,
        call: rt::Call<'a>,
    ) -> rt::BoxFuture<'a, rt::Outcome> {
        call.run::<Cx<Self>, _, Title, _>(ladder, Ladder::climb)
    }
}

// ---- asking ------------------------------------------------------------------------------------------------------

fn set() -> (Arc<Shelf>, ExtensionSet) {
    let shelf = Arc::new(Shelf::default());
    let set = ExtensionSet::builder()
        .enable(
            rt::Enable::<ShelfExtension>::new(shelf.clone())
                .settings(ShelfSettings { most: Some(9) }),
        )
        .enable(rt::Enable::<UpperExtension>::new(Ladder))
        .limits(Limits {
            max_params_bytes: 1000,
            ..Default::default()
        })
        .build()
        .unwrap();
    (shelf, set)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
    }
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn emma() -> Value {
    json!({"title": "Emma"})
}

/// A request of a client that declares `extensions`.
fn asking<'a>(target: Target<'a>, params: Value, extensions: Value) -> Incoming<'a> {
    Incoming::new(Era::Modern, target)
        .params(Params::Value(params))
        .meta(object(
            json!({meta::CLIENT_CAPABILITIES: {"extensions": extensions}}),
        ))
}

fn answer(set: &ExtensionSet, incoming: Incoming<'_>) -> Result<JsonObject, RpcError> {
    match set.route(incoming) {
        Route::Refused(error) => Err(error),
        Route::Answered(result) => Ok(result),
        Route::Call(pending) => Ok(block_on(pending.run())?.into_object().unwrap()),
        Route::Forward(incoming) => panic!("{:?} is nobody's", incoming.target),
    }
}

fn refusal(set: &ExtensionSet, incoming: Incoming<'_>) -> RpcError {
    answer(set, incoming).expect_err("a refusal")
}

fn declared() -> Value {
    json!({SHELF: {}})
}

#[derive(Default)]
struct Sent(Mutex<Vec<(String, JsonObject)>>);

impl Notifier for Sent {
    fn notify<'a>(
        &'a self,
        method: &'a str,
        params: JsonObject,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        self.0.lock().unwrap().push((method.to_owned(), params));
        Box::pin(async { Ok(()) })
    }
}

impl Sent {
    fn methods(&self) -> Vec<String> {
        let sent = self.0.lock().unwrap();
        sent.iter().map(|(method, _)| method.clone()).collect()
    }
}

// ---- identifier and declaration ----------------------------------------------------------------------------------

#[test]
fn id_11_what_is_advertised_names_the_revision() {
    let (_, set) = set();
    let advertised = set.advertisement(Era::Modern, None);
    assert_eq!(advertised[SHELF]["revision"], "2026-11-01");
    assert_eq!(
        advertised[UPPER],
        json!({}),
        "the first revision has no name"
    );
}

#[test]
fn id_15_each_role_has_a_settings_schema_that_takes_nothing() {
    for contract in [&SHELF_CONTRACT, <UpperExtension as rt::Extension>::CONTRACT] {
        for role in ["ServerSettings", "ClientSettings"] {
            let mut schema = contract.schema().unwrap();
            schema["$ref"] = json!(format!("#/$defs/{role}"));
            let validator = jsonschema::draft202012::new(&schema).unwrap();
            assert!(validator.is_valid(&json!({})), "{}: {role}", contract.id);
            for other in [json!(null), json!([]), json!("on"), json!(true)] {
                assert!(!validator.is_valid(&other), "{}: {role}", contract.id);
            }
        }
    }
}

// ---- negotiation -------------------------------------------------------------------------------------------------

#[test]
fn neg_04_what_one_request_declared_the_next_did_not() {
    let (_, set) = set();
    let find = |extensions| answer(&set, asking(Target::Method(FIND), emma(), extensions));
    for _ in 0..2 {
        assert!(find(declared()).is_ok());
        assert_eq!(find(json!({})).unwrap_err().code, -32021);
    }
}

#[test]
fn neg_06_a_refusal_says_what_to_declare_and_nothing_runs() {
    let (shelf, set) = set();
    let error = refusal(&set, asking(Target::Method(FIND), emma(), json!({})));
    assert_eq!(error.code, -32021);
    let data = error.data.unwrap();
    assert!(
        data["requiredCapabilities"]["extensions"][SHELF].is_object(),
        "{data}"
    );
    assert!(shelf.asked.lock().unwrap().is_empty());
}

#[test]
fn neg_07_a_refusal_has_status_400() {
    let (_, set) = set();
    let error = refusal(&set, asking(Target::Method(FIND), emma(), json!({})));
    assert_eq!(error.http_status(Era::Modern), 400);
    assert_eq!(error.http_status(Era::Legacy), 200);
}

#[test]
fn neg_09_a_tool_has_what_is_the_extensions_only_where_it_is_declared() {
    let (_, set) = set();
    let lend = |extensions| {
        let result = answer(&set, asking(Target::Tool("lend"), emma(), extensions)).unwrap();
        result["structuredContent"]["said"].clone()
    };
    assert_eq!(lend(json!({})), "without");
    assert_eq!(lend(json!({UPPER: {}})), "without");
    assert!(
        lend(declared())
            .as_str()
            .unwrap()
            .starts_with("with the extension")
    );
}

#[test]
fn neg_10_extensions_nobody_here_knows_change_nothing() {
    let (_, set) = set();
    let plain = answer(&set, asking(Target::Method(FIND), emma(), declared())).unwrap();
    let extensions = json!({SHELF: {}, "org.other/thing": {"deep": {"er": [1]}}, "odd": {}});
    let with = answer(&set, asking(Target::Method(FIND), emma(), extensions)).unwrap();
    assert_eq!(plain, with);
}

#[test]
fn neg_16_a_modern_request_without_its_meta_is_incomplete() {
    let version = "2026-07-28";
    let whole = json!({meta::PROTOCOL_VERSION: version, meta::CLIENT_CAPABILITIES: {}});
    let open = |meta: Value| {
        let params = serde_json::value::to_raw_value(&json!({"_meta": meta})).unwrap();
        let frame = Frame::read(FIND, Some(&params)).unwrap();
        let headers = mcp_ext_core::envelope::Headers {
            protocol_version: Some(version),
            method: Some(FIND),
            ..Default::default()
        };
        frame
            .open(
                ProtocolRange::ALL,
                SessionDeclaration::none(),
                Some(&headers),
            )
            .map(|_| ())
    };
    assert!(open(whole.clone()).is_ok());
    for key in [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES] {
        let mut less = whole.clone();
        less.as_object_mut().unwrap().remove(key);
        let error = open(less).unwrap_err();
        assert_eq!(
            (error.code, error.http_status(Era::Modern)),
            (code::INVALID_PARAMS, 400),
            "{key}"
        );
    }
}

#[test]
fn neg_19_params_are_read_before_they_are_used() {
    let (shelf, set) = set();
    for params in [
        json!({"title": 7}),
        json!({}),
        json!(["Emma"]),
        json!("Emma"),
        json!(7),
    ] {
        let error = refusal(
            &set,
            asking(Target::Method(FIND), params.clone(), declared()),
        );
        assert_eq!(error.code, code::INVALID_PARAMS, "{params}");
        assert_eq!(error.data.unwrap()["kind"], "invalid_params", "{params}");
    }
    assert!(shelf.asked.lock().unwrap().is_empty());
}

#[test]
fn neg_20_who_a_client_says_it_is_changes_nothing() {
    let (_, set) = set();
    let ask = |info: Value, extensions: Value| {
        let mut incoming = asking(Target::Method(FIND), emma(), extensions);
        let meta = Arc::make_mut(&mut incoming.meta);
        if !info.is_null() {
            meta.insert(meta::CLIENT_INFO.to_owned(), info);
        }
        answer(&set, incoming)
    };
    for extensions in [declared(), json!({})] {
        let nobody = ask(json!(null), extensions.clone());
        for name in ["claude", "Visual Studio Code", "inspector", "admin"] {
            let info = json!({"name": name, "version": "1.0", "title": name});
            assert_eq!(ask(info, extensions.clone()), nobody, "{name}");
        }
    }
}

// ---- eras --------------------------------------------------------------------------------------------------------

#[test]
fn era_04_a_legacy_peer_gets_nothing_of_the_modern_era() {
    let shelf = rt::Enable::<ShelfExtension>::new(Arc::new(Shelf::default()));
    let set = ExtensionSet::builder()
        .enable(shelf)
        .filter_lists(true)
        .build()
        .unwrap()
        .with_server_info(json!({"name": "shelf", "version": "1"}));
    let legacy = |session: Value| {
        let session = SessionDeclaration::Known(Some(Arc::new(object(session))));
        Incoming::new(Era::Legacy, Target::Method(FIND))
            .params(Params::Value(emma()))
            .session(session)
    };
    assert_eq!(
        Value::Object(answer(&set, legacy(declared())).unwrap()),
        json!({"said": "Emma, at most None"})
    );
    let error = refusal(&set, legacy(json!({})));
    assert_eq!(error.code, code::METHOD_NOT_FOUND);
    let mut list = object(json!({"tools": []}));
    let cx = AmendCx {
        era: Era::Legacy,
        version: None,
        declared: Declared::Known(None),
        first_page: true,
    };
    set.amend("tools/list", &mut list, &cx);
    assert_eq!(Value::Object(list), json!({"tools": []}), "no cache hints");
}

#[test]
fn era_05_a_contract_names_the_core_revisions_it_covers() {
    let upper = <UpperExtension as rt::Extension>::CONTRACT;
    assert_eq!(upper.protocol.min, ProtocolVersion::V2026_07_28);
    assert_eq!(upper.protocol.to_string(), "2026-07-28 and newer");
    assert_eq!(SHELF_CONTRACT.protocol, ProtocolRange::ALL);
}

// ---- requests and results ----------------------------------------------------------------------------------------

#[test]
fn req_03_a_result_written_as_text_has_its_type() {
    let (_, plain) = set();
    let named = plain
        .clone()
        .with_server_info(json!({"name": "shelf", "version": "1"}));
    let result = text(&named, FIND, &emma());
    assert!(result["resultType"].is_string(), "{result}");
    assert_eq!(result["said"], "Emma, at most Some(9)");
}

/// The answer to a request whose params are text, as under an adapter that reads frames itself.
fn text(set: &ExtensionSet, method: &str, params: &Value) -> Value {
    let params: Box<RawValue> = serde_json::value::to_raw_value(params).unwrap();
    let incoming = asking(Target::Method(method), Value::Null, declared());
    let mut incoming = incoming.params(Params::Raw(&params));
    incoming.version = Some(ProtocolVersion::V2026_07_28);
    Value::Object(answer(set, incoming).unwrap())
}

#[test]
fn req_06_a_method_that_is_not_offered_is_404() {
    let (_, set) = set();
    let error = refusal(&set, asking(Target::Method(READ_ALOUD), emma(), declared()));
    assert_eq!(
        (error.code, error.http_status(Era::Modern)),
        (code::METHOD_NOT_FOUND, 404)
    );
}

#[test]
fn req_08_the_gate_comes_before_the_params() {
    let (shelf, set) = set();
    let large = json!({"title": "E".repeat(2000)});
    for params in [large.clone(), json!({"title": 7}), json!([])] {
        let error = refusal(&set, asking(Target::Method(FIND), params, json!({})));
        assert_eq!(error.code, -32021);
    }
    let error = refusal(&set, asking(Target::Method(FIND), large, declared()));
    assert_eq!(error.data.unwrap()["kind"], "too_large");
    assert!(shelf.asked.lock().unwrap().is_empty());
}

#[test]
fn req_12_a_result_says_who_answers() {
    let info = json!({"name": "shelf", "version": "1"});
    let set = set().1.with_server_info(info.clone());
    for target in [Target::Method(FIND), Target::Tool("lend")] {
        let result = answer(&set, asking(target, emma(), declared())).unwrap();
        assert_eq!(result["_meta"][meta::SERVER_INFO], info);
    }
}

// ---- errors ------------------------------------------------------------------------------------------------------

#[test]
fn err_01_no_code_of_the_closed_range_is_an_extensions_own() {
    for code in -32019..=-32000 {
        assert!(check_own_code(code).is_err(), "{code}");
    }
}

#[test]
fn err_02_no_code_of_mcp_is_an_extensions_own() {
    for code in -32099..=-32020 {
        assert!(check_own_code(code).is_err(), "{code}");
    }
    assert_eq!(
        [
            code::HEADER_MISMATCH,
            code::MISSING_REQUIRED_CLIENT_CAPABILITY,
            code::UNSUPPORTED_PROTOCOL_VERSION
        ],
        [-32020, -32021, -32022]
    );
}

#[test]
fn err_03_codes_that_mcp_retired_are_nobodys() {
    for code in [-32002, -32042] {
        assert!(check_own_code(code).is_err(), "{code}");
    }
}

#[test]
fn err_06_what_is_required_is_an_object_of_objects() {
    let (_, set) = set();
    let error = refusal(&set, asking(Target::Method(CLIMB), emma(), json!({})));
    let data = error.data.unwrap();
    let required = data["requiredCapabilities"]["extensions"]
        .as_object()
        .unwrap();
    assert_eq!(required.len(), 2, "with what it requires: {data}");
    assert!(required.values().all(Value::is_object), "{data}");
}

// ---- result types ------------------------------------------------------------------------------------------------

#[test]
fn rt_04_methods_and_tools_answer_complete() {
    let (_, set) = set();
    assert_eq!(text(&set, FIND, &emma())["resultType"], "complete");
    for target in [Target::Method(FIND), Target::Tool("lend")] {
        let result = answer(&set, asking(target, emma(), declared())).unwrap();
        assert_eq!(result["resultType"], "complete");
    }
}

// ---- notifications -----------------------------------------------------------------------------------------------

#[test]
fn sub_03_what_belongs_to_a_subscription_is_not_sent_about_a_request() {
    let (shelf, set) = set();
    let sent = Arc::new(Sent::default());
    let mut incoming = asking(Target::Method(FIND), emma(), declared());
    incoming.notify = Some(sent.clone());
    answer(&set, incoming).unwrap();
    // It went to those who listen, of whom there are none.
    assert_eq!(*shelf.listen.lock().unwrap(), Some(Ok(())));
    assert!(sent.methods().is_empty());
}

#[test]
fn sub_07_nothing_is_sent_about_a_request_that_was_answered() {
    let (shelf, set) = set();
    let sent = Arc::new(Sent::default());
    let mut incoming = asking(Target::Tool("lend"), emma(), declared());
    incoming.notify = Some(sent.clone());
    answer(&set, incoming).unwrap();
    assert_eq!(sent.methods(), ["notifications/com.example/shelf/found"]);
    let mut incoming = asking(Target::Method(FIND), emma(), declared());
    incoming.notify = Some(sent.clone());
    answer(&set, incoming).unwrap();
    let kept = shelf.kept.lock().unwrap().take().unwrap();
    let before = sent.methods();
    assert_eq!(block_on(kept.send("found")), Err(NotifyError::Ended));
    assert_eq!(sent.methods(), before);
}

#[test]
fn sub_14_a_clients_notification_in_an_extensions_name_goes_nowhere() {
    let (_, set) = set();
    for ours in [
        "notifications/com.example/shelf/anything",
        "notifications/com.example/shelf",
    ] {
        assert!(set.notification(ours), "{ours}");
    }
    for theirs in [
        "notifications/com.example/shelves/anything",
        "notifications/cancelled",
        "com.example/shelf/found",
    ] {
        assert!(!set.notification(theirs), "{theirs}");
    }
}

// ---- headers -----------------------------------------------------------------------------------------------------

fn with_name(method: &str, header: Option<&str>) -> Result<JsonObject, RpcError> {
    let mut incoming = asking(
        Target::Method(method),
        json!({"title": "Übung"}),
        declared(),
    );
    incoming.mcp_name = Some(header.map(str::to_owned));
    answer(&set().1, incoming)
}

#[test]
fn hdr_04_the_name_header_repeats_the_member_it_is_taken_from() {
    assert!(with_name(NAMED, Some("=?base64?w5xidW5n?=")).is_ok());
    for wrong in [None, Some("another"), Some("")] {
        let error = with_name(NAMED, wrong).unwrap_err();
        assert_eq!(
            (error.code, error.http_status(Era::Modern)),
            (code::HEADER_MISMATCH, 400),
            "{wrong:?}"
        );
    }
}

#[test]
fn hdr_05_a_method_without_a_name_source_ignores_the_header() {
    for header in [None, Some("another"), Some("=?base64?%%%?=")] {
        assert!(with_name(FIND, header).is_ok(), "{header:?}");
    }
}

#[test]
fn hdr_06_the_name_header_is_decoded_before_it_is_compared() {
    assert!(with_name(NAMED, Some("=?base64?w5xidW5n?=")).is_ok());
    for broken in ["=?base64?%%%%?=", "=?base64?w5xidW5?="] {
        let error = with_name(NAMED, Some(broken)).unwrap_err();
        assert_eq!(error.code, code::HEADER_MISMATCH, "{broken}");
        assert!(error.message.contains("base64"), "{error}");
    }
}

// ---- _meta -------------------------------------------------------------------------------------------------------

#[test]
fn meta_03_a_key_is_declared_with_its_place_and_in_the_schema() {
    let key = SHELF_CONTRACT.meta_keys[0];
    assert_eq!(
        (key.key, key.place),
        ("com.example/place-on-shelf", "result")
    );
    let schema = SHELF_CONTRACT.schema().unwrap();
    assert!(schema["$defs"]["PlaceOnShelfMeta"].is_object(), "{schema}");
}

#[test]
fn meta_04_a_progress_token_is_a_string_or_an_integer() {
    let reported = |token: Value| {
        let (_, set) = set();
        let sent = Arc::new(Sent::default());
        let mut incoming = asking(Target::Method(FIND), emma(), declared());
        Arc::make_mut(&mut incoming.meta).insert("progressToken".to_owned(), token);
        incoming.notify = Some(sent.clone());
        answer(&set, incoming).unwrap();
        let progress = |method: &&String| *method == "notifications/progress";
        sent.methods().iter().filter(progress).count()
    };
    for token in [json!("p"), json!(7), json!(-7), json!(u64::MAX)] {
        assert_eq!(reported(token.clone()), 1, "{token}");
    }
    for token in [
        json!(null),
        json!(1.5),
        json!(true),
        json!({}),
        json!(["p"]),
    ] {
        assert_eq!(reported(token.clone()), 0, "{token}");
    }
}

#[test]
fn meta_05_unknown_keys_reach_the_handler_and_change_nothing() {
    let (shelf, set) = set();
    let plain = answer(&set, asking(Target::Method(FIND), emma(), declared())).unwrap();
    let mut incoming = asking(Target::Method(FIND), emma(), declared());
    let meta = Arc::make_mut(&mut incoming.meta);
    meta.insert("org.other/key".to_owned(), json!({"deep": [1]}));
    meta.insert("bare".to_owned(), json!(null));
    let sent = meta.clone();
    assert_eq!(answer(&set, incoming).unwrap(), plain);
    assert_eq!(*shelf.meta.lock().unwrap(), sent);
}

#[test]
fn meta_06_what_undeclared_clients_see_is_under_our_own_prefix() {
    let (_, set) = set();
    let set = set.with_server_info(json!({"name": "shelf", "version": "1"}));
    for tool in set.tools() {
        let meta = tool.listing()["_meta"].as_object().unwrap();
        assert!(
            meta.keys().all(|key| key.starts_with(VENDOR_PREFIX)),
            "{meta:?}"
        );
    }
    let result = answer(&set, asking(Target::Tool("lend"), emma(), json!({}))).unwrap();
    let keys: Vec<_> = result["_meta"].as_object().unwrap().keys().collect();
    assert_eq!(keys, [meta::SERVER_INFO]);
}
