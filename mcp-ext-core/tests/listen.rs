//! Listen streams: what is asked for, what is honoured, and what arrives.
#![allow(missing_docs)]

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use mcp_ext_core::listen::{METHOD, Notification};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{Incoming, NotifyError, SessionDeclaration, Target};
use mcp_ext_core::{
    Cx, ExtensionSet, Limits, ListenFilter, Listener, Principal, RpcError, Subscription, extension,
    handlers, settings,
};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const ID: &str = "com.example/slots";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

#[settings]
pub struct SlotSettings {
    /// Whether names may be told.
    #[negotiate(and)]
    pub names: bool,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Slot {
    pub clinic: String,
    pub number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "_meta")]
    pub meta: Option<Value>,
}

/// Clinics to hear of; none: all.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Clinics {
    #[serde(default)]
    pub clinics: Vec<String>,
}

impl ListenFilter<Slot> for Clinics {
    fn admits(&self, slot: &Slot, _: &Listener<'_>) -> bool {
        self.clinics.is_empty() || self.clinics.contains(&slot.clinic)
    }
}

/// Who hears of what is told to some alone.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Trusted {}

impl ListenFilter<Slot> for Trusted {
    fn admits(&self, slot: &Slot, listener: &Listener<'_>) -> bool {
        let names = listener
            .settings::<SlotsExtension>()
            .is_some_and(|s| s.names);
        names && listener.principal().is_some_and(|p| p.id() == slot.clinic)
    }
}

/// Slots of clinics.
#[extension(id = "com.example/slots", revision = "2026-11-01", settings = SlotSettings)]
pub trait Slots {
    /// Books a slot.
    #[method]
    async fn book(
        &self,
        cx: &Cx<SlotsExtension>,
        params: Slot,
    ) -> Result<mcp_ext_core::NoParams, Infallible>;

    /// A slot changed.
    #[notification(listen(filter = Clinics))]
    fn slot_changed(params: Slot);

    /// A slot was booked by someone.
    #[notification(listen(filter = Trusted))]
    fn booked(params: Slot);

    /// No more slots.
    #[notification(listen)]
    fn closed();

    /// The booking goes on.
    #[notification]
    fn booking();
}

struct Book;

#[handlers]
impl Slots for Book {
    async fn book(
        &self,
        cx: &Cx<SlotsExtension>,
        params: Slot,
    ) -> Result<mcp_ext_core::NoParams, Infallible> {
        let _ = cx.progress(1.0, None, None).await;
        let _ = cx.booking().await;
        let _ = cx.slot_changed(params).await;
        Ok(mcp_ext_core::NoParams {})
    }
}

fn set_with(limits: Limits) -> (ExtensionSet, SlotsPublisher) {
    let set = ExtensionSet::builder()
        .enable(SlotsExtension::provide(Book).settings(SlotSettings { names: true }))
        .limits(limits)
        .build()
        .unwrap();
    let publisher = SlotsExtension::publisher(&set);
    (set, publisher)
}

fn set() -> (ExtensionSet, SlotsPublisher) {
    set_with(Limits::default())
}

fn meta(declares: Option<Value>) -> mcp_ext_core::wire::JsonObject {
    let extensions = declares.map_or(json!({}), |settings| json!({ ID: settings }));
    let meta =
        json!({ "io.modelcontextprotocol/clientCapabilities": { "extensions": extensions } });
    meta.as_object().unwrap().clone()
}

fn incoming(declares: Option<Value>) -> Incoming<'static> {
    Incoming::new(Era::Modern, Target::Method(METHOD)).meta(meta(declares))
}

fn open(set: &ExtensionSet, id: &str, filter: Value) -> Result<Subscription, RpcError> {
    set.listen(&incoming(Some(json!({}))), id, filter.as_object().unwrap())
}

fn slot(clinic: &str, number: u64) -> Slot {
    Slot {
        clinic: clinic.to_owned(),
        number,
        meta: None,
    }
}

/// What has arrived, and whether the stream has ended.
fn heard(subscription: &mut Subscription) -> (Vec<(&'static str, Value)>, bool) {
    let mut all = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match subscription.poll_next(&mut cx) {
            Poll::Pending => return (all, false),
            Poll::Ready(None) => return (all, true),
            Poll::Ready(Some(Notification { method, params })) => {
                all.push((method, serde_json::from_str(&params).unwrap()));
            }
        }
    }
}

fn numbers(subscription: &mut Subscription) -> Vec<u64> {
    let (all, _) = heard(subscription);
    all.iter()
        .filter_map(|(_, params)| params["number"].as_u64())
        .collect()
}

#[test]
fn sub_02_the_acknowledgement_holds_what_is_honoured() {
    let (set, _) = set();
    let filter = json!({
        ID: { "slotChanged": { "clinics": ["a"], "more": 1 }, "closed": false, "opened": true },
        "com.example/other": { "x": true }, "toolsListChanged": true,
    });
    let subscription = open(&set, "40", filter).unwrap();
    let acknowledgement = subscription.acknowledgement();
    assert_eq!(
        acknowledgement.method,
        "notifications/subscriptions/acknowledged"
    );
    let params: Value = serde_json::from_str(&acknowledgement.params).unwrap();
    assert_eq!(
        params["notifications"],
        json!({ ID: { "slotChanged": { "clinics": ["a"] } } })
    );
    let accepted: Value = serde_json::from_str(subscription.accepted()).unwrap();
    assert_eq!(accepted, params["notifications"]);
    // Whoever asks for nothing gets nothing.
    for nothing in [
        json!({}),
        json!({ ID: {} }),
        json!({ ID: false }),
        json!({ ID: { "opened": {} } }),
    ] {
        assert_eq!(open(&set, "1", nothing).unwrap().accepted(), "{}");
    }
}

#[test]
fn sub_04_everything_on_a_stream_names_its_request_in_its_own_type() {
    let (set, publisher) = set();
    for id in ["40", "\"40\"", "18446744073709551616", "\"\\u00e9\""] {
        let mut subscription = open(&set, id, json!({ ID: { "closed": true } })).unwrap();
        publisher.closed().unwrap();
        let mut texts = vec![subscription.acknowledgement().params, subscription.result()];
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Some(note)) = subscription.poll_next(&mut cx) {
            texts.push(note.params);
        }
        assert_eq!(texts.len(), 3);
        for text in texts {
            assert!(text.contains(&format!("\"{SUBSCRIPTION}\":{id}")), "{text}");
            assert!(serde_json::from_str::<Value>(&text).unwrap().is_object());
        }
    }
}

#[test]
fn sub_05_what_is_published_lands_where_it_was_asked_for() {
    let (set, publisher) = set();
    let changed = |clinics: Value| json!({ ID: { "slotChanged": { "clinics": clinics } } });
    let mut a = open(&set, "1", changed(json!(["a"]))).unwrap();
    let mut b = open(&set, "2", changed(json!(["b"]))).unwrap();
    let mut all = open(&set, "3", changed(json!([]))).unwrap();
    let mut none = open(&set, "4", json!({ ID: { "booked": {} } })).unwrap();
    assert_eq!(publisher.slot_changed(slot("a", 1)), Ok(2));
    assert_eq!(publisher.slot_changed(slot("b", 2)), Ok(2));
    assert_eq!(publisher.slot_changed(slot("c", 3)), Ok(1));
    assert_eq!(numbers(&mut a), [1]);
    assert_eq!(numbers(&mut b), [2]);
    assert_eq!(numbers(&mut all), [1, 2, 3]);
    assert_eq!(numbers(&mut none), Vec::<u64>::new());
}

#[test]
fn sub_06_what_is_about_a_request_stays_off_listen_streams() {
    let (set, _) = set();
    let mut subscription = open(&set, "1", json!({ ID: { "slotChanged": {} } })).unwrap();
    let request = Incoming::new(Era::Modern, Target::Method("com.example/slots/book"))
        .params(mcp_ext_core::request::Params::Value(json!(slot("a", 1))));
    let mut meta = meta(Some(json!({})));
    meta.insert("progressToken".into(), json!("p"));
    let mcp_ext_core::Route::Call(call) = set.route(request.meta(meta)) else {
        panic!("it is ours");
    };
    let mut call = Box::pin(call.run());
    let done = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(done, Poll::Ready(Ok(_))));
    let (all, ended) = heard(&mut subscription);
    let methods: Vec<_> = all.iter().map(|(method, _)| *method).collect();
    assert_eq!(methods, ["notifications/com.example/slots/slotChanged"]);
    assert!(!ended);
}

#[test]
fn sub_08_who_does_not_declare_it_is_refused_before_anything_is_looked_at() {
    let (set, _) = set();
    for filter in [json!({ ID: { "closed": true } }), json!({ ID: 5 })] {
        let filter = filter.as_object().unwrap();
        let error = set.listen(&incoming(None), "1", filter).unwrap_err();
        assert_eq!((error.code, error.http_status(Era::Modern)), (-32021, 400));
        let data = error.data.unwrap();
        assert!(
            data["requiredCapabilities"]["extensions"][ID].is_object(),
            "{data}"
        );
    }
    assert_eq!(set.subscriptions(), 0);
    let mut legacy = incoming(Some(json!({})));
    legacy.era = Era::Legacy;
    legacy.session = SessionDeclaration::none();
    let error = set.listen(&legacy, "1", &Default::default()).unwrap_err();
    assert_eq!(error.code, -32601, "there are no listen streams there");
}

#[test]
fn sub_09_a_queue_that_is_full_ends_the_stream_after_what_it_holds() {
    let limits = Limits {
        max_listen_queue: 3,
        ..Default::default()
    };
    let (set, publisher) = set_with(limits);
    let mut slow = open(&set, "1", json!({ ID: { "slotChanged": {} } })).unwrap();
    let mut fast = open(&set, "2", json!({ ID: { "slotChanged": {} } })).unwrap();
    let mut queued = Vec::new();
    for number in 0..5 {
        queued.push(publisher.slot_changed(slot("a", number)).unwrap());
        assert_eq!(numbers(&mut fast), [number]);
    }
    assert_eq!(queued, [2, 2, 2, 1, 1]);
    let (all, ended) = heard(&mut slow);
    assert_eq!(
        (all.len(), ended),
        (3, true),
        "nothing that was queued is lost"
    );
    let result: Value = serde_json::from_str(&slow.result()).unwrap();
    assert_eq!(
        result,
        json!({ "resultType": "complete", "_meta": { SUBSCRIPTION: 1 } })
    );
    assert_eq!(heard(&mut fast), (vec![], false));
}

#[test]
fn a_queue_has_a_bound_in_bytes_which_one_alone_may_pass() {
    let limits = Limits {
        max_listen_queue_bytes: 100,
        ..Default::default()
    };
    let (set, publisher) = set_with(limits);
    let mut subscription = open(&set, "1", json!({ ID: { "slotChanged": {} } })).unwrap();
    let large = slot(&"x".repeat(1000), 1);
    assert_eq!(publisher.slot_changed(large.clone()), Ok(1));
    assert_eq!(numbers(&mut subscription), [1]);
    assert_eq!(publisher.slot_changed(slot("a", 2)), Ok(1));
    assert_eq!(publisher.slot_changed(large), Ok(0));
    let (all, ended) = heard(&mut subscription);
    assert_eq!((all.len(), ended), (1, true));
}

#[test]
fn sub_10_a_stream_that_is_dropped_is_forgotten() {
    let (set, publisher) = set();
    let first = open(&set, "1", json!({ ID: { "closed": true } })).unwrap();
    let second = open(&set, "1", json!({ ID: { "closed": true } })).unwrap();
    assert_eq!((set.subscriptions(), publisher.closed()), (2, Ok(2)));
    drop(first);
    assert_eq!((set.subscriptions(), publisher.closed()), (1, Ok(1)));
    drop(second);
    assert_eq!((set.subscriptions(), publisher.closed()), (0, Ok(0)));
}

#[test]
fn a_server_that_stops_ends_all_streams_once() {
    let (set, publisher) = set();
    let mut subscription = open(&set, "1", json!({ ID: { "closed": true } })).unwrap();
    publisher.closed().unwrap();
    set.end_subscriptions();
    assert_eq!(publisher.closed(), Ok(0));
    let (all, ended) = heard(&mut subscription);
    assert_eq!((all.len(), ended), (1, true));
    // Others may be opened afterwards.
    let mut next = open(&set, "1", json!({ ID: { "closed": true } })).unwrap();
    assert_eq!(publisher.closed(), Ok(1));
    assert_eq!(heard(&mut next).0.len(), 1);
}

#[test]
fn who_listens_decides_what_is_heard() {
    let (set, publisher) = set();
    let filter = json!({ ID: { "booked": {}, "closed": true } });
    let filter = filter.as_object().unwrap();
    let listen = |principal: Option<&str>, names: bool| {
        let incoming =
            incoming(Some(json!({ "names": names }))).principal(principal.map(Principal::new));
        set.listen(&incoming, "1", filter).unwrap()
    };
    let mut anna = listen(Some("anna"), true);
    let mut discreet = listen(Some("anna"), false);
    let mut bert = listen(Some("bert"), true);
    let mut nobody = listen(None, true);
    assert_eq!(publisher.booked(slot("anna", 1)), Ok(1));
    assert_eq!(numbers(&mut anna), [1]);
    assert_eq!(publisher.only_to(Principal::new("bert")).closed(), Ok(1));
    assert_eq!(heard(&mut bert).0.len(), 1);
    assert_eq!(
        publisher
            .only_to(Principal::new("bert"))
            .booked(slot("anna", 2)),
        Ok(0)
    );
    for quiet in [&mut anna, &mut discreet, &mut nobody] {
        assert_eq!(heard(quiet).0, []);
    }
}

#[test]
fn what_a_publisher_puts_into_meta_stays_but_for_the_subscription() {
    let (set, publisher) = set();
    let mut subscription = open(&set, "7", json!({ ID: { "slotChanged": {} } })).unwrap();
    for (meta, expected) in [
        (
            json!({ "com.example/a": 1, SUBSCRIPTION: 8 }),
            json!({ "com.example/a": 1, SUBSCRIPTION: 7 }),
        ),
        (json!({}), json!({ SUBSCRIPTION: 7 })),
        (json!("no object"), json!({ SUBSCRIPTION: 7 })),
    ] {
        publisher
            .slot_changed(Slot {
                meta: Some(meta),
                ..slot("a", 1)
            })
            .unwrap();
        let (all, _) = heard(&mut subscription);
        assert_eq!(
            all[0].1,
            json!({ "_meta": expected, "clinic": "a", "number": 1 })
        );
    }
}

#[test]
fn filters_that_do_not_fit_are_explained_where_they_stand() {
    let (set, _) = set();
    let at = "/notifications/com.example~1slots";
    for (asked, pointer) in [
        (json!(null), String::new()),
        (json!(true), String::new()),
        (json!([]), String::new()),
        (json!({ "closed": 1 }), "/closed".into()),
        (json!({ "closed": {} }), "/closed".into()),
        (json!({ "slotChanged": true }), "/slotChanged".into()),
        (
            json!({ "slotChanged": { "clinics": [1] } }),
            "/slotChanged/clinics/0".into(),
        ),
        (
            json!({ "slotChanged": { "clinics": "a" } }),
            "/slotChanged/clinics".into(),
        ),
    ] {
        let error = open(&set, "1", json!({ ID: asked })).unwrap_err();
        assert_eq!(error.code, -32602, "{asked}");
        let data = error.data.unwrap();
        assert_eq!(
            data["faults"][0]["pointer"],
            format!("{at}{pointer}"),
            "{asked}"
        );
        assert_eq!(data["extension"], ID);
    }
    assert_eq!(set.subscriptions(), 0);
}

#[test]
fn filters_and_streams_have_bounds() {
    let limits = Limits {
        max_listen_streams: 1,
        max_filter_bytes: 100,
        ..Default::default()
    };
    let (set, _) = set_with(limits);
    let long = json!({ ID: { "slotChanged": { "clinics": ["x".repeat(100)] } } });
    let error = open(&set, "1", long).unwrap_err();
    assert_eq!(
        (error.code, &error.data.unwrap()["kind"]),
        (-32602, &json!("too_large"))
    );
    let first = open(&set, "1", json!({ ID: { "closed": true } })).unwrap();
    let error = open(&set, "2", json!({ ID: { "closed": true } })).unwrap_err();
    assert_eq!(
        (error.code, &error.data.unwrap()["kind"]),
        (-32603, &json!("busy"))
    );
    drop(first);
    assert!(open(&set, "2", json!({ ID: { "closed": true } })).is_ok());
}

#[test]
fn who_cannot_publish_is_told() {
    let empty = ExtensionSet::builder().build().unwrap();
    let publisher = SlotsExtension::publisher(&empty);
    assert_eq!(publisher.closed(), Err(NotifyError::NotEnabled));
    let (set, _) = set();
    let raw = mcp_ext_core::Publisher::of::<SlotsExtension>(&set);
    assert_eq!(
        raw.publish("booking", &slot("a", 1)),
        Err(NotifyError::Unsupported)
    );
    assert_eq!(
        raw.publish("nothing", &slot("a", 1)),
        Err(NotifyError::Unsupported)
    );
    let mut subscription = open(
        &set,
        "1",
        json!({ ID: { "closed": true, "slotChanged": {} } }),
    )
    .unwrap();
    assert_eq!(raw.publish("closed", &5), Err(NotifyError::NotAnObject));
    // Params of another type than the contract says are for nobody.
    assert_eq!(
        raw.publish("slot_changed", &Clinics { clinics: vec![] }),
        Ok(0)
    );
    assert_eq!(heard(&mut subscription).0, []);
}

#[test]
fn a_filter_that_publishes_itself_does_not_block() {
    thread_local! {
        static AGAIN: std::cell::RefCell<Option<EchoPublisher>> = const { std::cell::RefCell::new(None) };
    }
    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Loud {}
    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Sound {
        pub again: bool,
    }
    impl ListenFilter<Sound> for Loud {
        fn admits(&self, sound: &Sound, _: &Listener<'_>) -> bool {
            if sound.again {
                let again = AGAIN.with_borrow(Clone::clone).unwrap();
                let _ = again.heard(Sound { again: false });
            }
            true
        }
    }
    /// An echo.
    #[extension(id = "com.example/echo")]
    pub trait Echo {
        /// Something was heard.
        #[notification(listen(filter = Loud))]
        fn heard(params: Sound);
    }
    struct Hall;
    #[handlers]
    impl Echo for Hall {}
    let set = ExtensionSet::builder()
        .enable(EchoExtension::provide(Hall))
        .build()
        .unwrap();
    let publisher = EchoExtension::publisher(&set);
    AGAIN.with_borrow_mut(|again| *again = Some(publisher.clone()));
    let mut declares = incoming(None);
    let capabilities = json!({ "io.modelcontextprotocol/clientCapabilities": { "extensions": { "com.example/echo": {} } } });
    declares.meta = Arc::new(capabilities.as_object().unwrap().clone());
    let filter = json!({ "com.example/echo": { "heard": {} } });
    let mut subscription = set
        .listen(&declares, "1", filter.as_object().unwrap())
        .unwrap();
    assert_eq!(publisher.heard(Sound { again: true }), Ok(1));
    assert_eq!(heard(&mut subscription).0.len(), 2);
}

proptest! {
    /// From several threads at once: each stream hears of each thread what it published, in order and each once, unless it
    /// has ended; and then up to there.
    #[test]
    fn each_once_from_any_thread_or_the_stream_has_ended(
        threads in 1..5u64, each in 0..40u64, most in 1..200usize, streams in 1..6usize,
    ) {
        let limits = Limits { max_listen_queue: most, ..Default::default() };
        let (set, publisher) = set_with(limits);
        let mut all: Vec<_> = (0..streams)
            .map(|n| open(&set, &n.to_string(), json!({ ID: { "slotChanged": {} } })).unwrap())
            .collect();
        let queued: usize = std::thread::scope(|scope| {
            let all: Vec<_> = (0..threads)
                .map(|thread| {
                    let publisher = publisher.clone();
                    scope.spawn(move || {
                        (0..each).map(|n| publisher.slot_changed(slot(&thread.to_string(), n)).unwrap()).sum::<usize>()
                    })
                })
                .collect();
            all.into_iter().map(|t| t.join().unwrap()).sum()
        });
        let mut total = 0;
        for (n, subscription) in all.iter_mut().enumerate() {
            let (heard, ended) = heard(subscription);
            total += heard.len();
            let mut next = vec![0; threads as usize];
            for (_, params) in &heard {
                prop_assert_eq!(&params["_meta"][SUBSCRIPTION], &json!(n));
                let thread: usize = params["clinic"].as_str().unwrap().parse().unwrap();
                prop_assert_eq!(&params["number"], &json!(next[thread]));
                next[thread] += 1;
            }
            if ended {
                prop_assert_eq!(heard.len(), most);
            } else {
                prop_assert_eq!(heard.len() as u64, threads * each);
            }
        }
        prop_assert_eq!(total, queued);
    }

    /// Whatever the filter is, it is answered, and nothing stays open that was refused.
    #[test]
    fn any_filter_is_answered(text in "\\PC{0,20}", number in any::<i64>(), shape in 0..7u8) {
        let (set, _) = set();
        let value = match shape {
            0 => json!({ "slotChanged": { "clinics": [text] } }),
            1 => json!({ &text: true }),
            2 => json!({ "closed": number }),
            3 => json!([text, number]),
            4 => json!({ "slotChanged": { &text: number } }),
            5 => json!({ "booked": text }),
            _ => json!(number),
        };
        match open(&set, "1", json!({ ID: value, &text: number })) {
            Ok(subscription) => {
                prop_assert!(serde_json::from_str::<Value>(subscription.accepted()).unwrap().is_object());
                prop_assert!(!subscription.acknowledgement().params.contains('\n'));
            }
            Err(error) => prop_assert_eq!(error.code, -32602),
        }
        prop_assert_eq!(set.subscriptions(), 0);
    }
}
