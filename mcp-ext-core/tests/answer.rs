//! How a routed request comes to its answer, and what ends its call early.

mod common;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::*;
use mcp_ext_core::__private_0_1_0 as rt;
use mcp_ext_core::block::{Before, Block, BlockCall, BlockOutcome, Place};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{BoxFuture, Params, Target};
use mcp_ext_core::{ExtensionSet, Incoming, Limits, Reply, Route, RpcError};
use serde_json::json;

const LIMIT: Duration = Duration::from_millis(250);

/// Has a call wait in front of the handler until it is let go.
#[derive(Clone, Default)]
struct Gate {
    open: Arc<AtomicBool>,
    polled: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<&'static str>>>,
}

impl Block for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }
    fn place(&self) -> Place {
        Place::LABELS
    }
    fn covers(&self, _: &mcp_ext_core::Contract, _: &rt::Item) -> bool {
        true
    }
    fn before<'a>(&'a self, _: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async { Before::Proceed })
    }
    fn after<'a>(&'a self, _: &'a BlockCall<'a>, _: &'a mut BlockOutcome) -> BoxFuture<'a, ()> {
        Box::pin(poll_fn(|_| {
            self.polled.fetch_add(1, Ordering::Relaxed);
            if self.open.load(Ordering::Relaxed) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }))
    }
    fn abandoned(&self, _: &BlockCall<'_>) {
        self.seen.lock().unwrap().push("abandoned");
    }
}

/// Something that ends a call: nothing yet, until it is said.
#[derive(Default)]
struct End {
    now: Cell<bool>,
    polled: Cell<usize>,
}

impl End {
    async fn wait(&self) {
        poll_fn(|_| {
            self.polled.set(self.polled.get() + 1);
            if self.now.get() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

fn guarded(gate: &Gate) -> ExtensionSet {
    ExtensionSet::builder()
        .enable(GradingExtension::provide(Lms::default()))
        .block(gate.clone())
        .limits(Limits {
            max_concurrent: 1,
            max_duration: LIMIT,
            ..Default::default()
        })
        .build()
        .unwrap()
}

fn asked(target: Target<'_>) -> Incoming<'_> {
    let meta = json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {"com.example/grading": {}}}});
    Incoming::new(Era::Modern, target)
        .params(Params::Value(json!({"course": "c"})))
        .meta(meta.as_object().unwrap().clone())
}

fn routed(set: &ExtensionSet) -> Route<'static> {
    set.route(asked(Target::Method(RUBRICS)))
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn kind(answer: Poll<Result<Reply, RpcError>>) -> String {
    match answer {
        Poll::Pending => "waits".into(),
        Poll::Ready(Ok(_)) => "a result".into(),
        Poll::Ready(Err(error)) => error.data.unwrap()["kind"].as_str().unwrap().into(),
    }
}

// ---- tests -------------------------------------------------------------------------------------------------------

#[test]
fn a_call_that_is_done_at_once_needs_neither_timer_nor_waiter() {
    let set = set().1;
    let cancelled = End::default();
    cancelled.now.set(true);
    let answer = routed(&set).answer(cancelled.wait(), |_| -> std::future::Ready<()> {
        panic!("nothing waits")
    });
    let result = block_on(answer).unwrap().into_object().unwrap();
    assert_eq!(result["titles"], json!(["c for nobody, Some(50)"]));
    assert_eq!(cancelled.polled.get(), 0);
}

#[test]
fn req_13_a_call_is_ended_when_its_time_is_up() {
    let gate = Gate::default();
    let set = guarded(&gate);
    let (elapsed, limit) = (End::default(), Cell::new(None));
    let answer = routed(&set).answer(pending(), |time| {
        limit.set(Some(time));
        elapsed.wait()
    });
    let mut answer = Box::pin(answer);
    assert_eq!(kind(poll(answer.as_mut())), "waits");
    assert_eq!(limit.get(), Some(LIMIT));
    // Its place is not given up meanwhile, and it is polled once for each time it is woken.
    assert!(
        matches!(routed(&set), Route::Refused(error) if error.data.as_ref().unwrap()["kind"] == "busy")
    );
    assert_eq!(kind(poll(answer.as_mut())), "waits");
    assert_eq!(
        (gate.polled.load(Ordering::Relaxed), elapsed.polled.get()),
        (2, 2)
    );

    elapsed.now.set(true);
    let Poll::Ready(Err(error)) = poll(answer.as_mut()) else {
        panic!("it goes on")
    };
    assert_eq!((error.code, error.http_status(Era::Modern)), (-32603, 200));
    assert_eq!(
        error.data,
        Some(json!({"kind": "timeout", "limit": 250, "retryable": true}))
    );
    // Already now, while whoever waited still holds the future.
    assert_eq!(*gate.seen.lock().unwrap(), ["abandoned"]);
    assert!(matches!(routed(&set), Route::Call(_)));
}

#[test]
fn req_25_a_call_is_ended_when_its_caller_gives_up() {
    let gate = Gate::default();
    let set = guarded(&gate);
    let cancelled = End::default();
    let mut answer = Box::pin(routed(&set).answer(cancelled.wait(), |_| pending()));
    assert_eq!(kind(poll(answer.as_mut())), "waits");
    cancelled.now.set(true);
    assert_eq!(kind(poll(answer.as_mut())), "cancelled");
    assert_eq!(*gate.seen.lock().unwrap(), ["abandoned"]);

    // One that has to wait, and was given up before it did.
    let mut answer = Box::pin(routed(&set).answer(cancelled.wait(), |_| pending()));
    assert_eq!(kind(poll(answer.as_mut())), "cancelled");
}

#[test]
fn a_result_that_is_there_when_the_call_is_ended_is_still_the_answer() {
    let gate = Gate::default();
    let set = guarded(&gate);
    let (cancelled, elapsed) = (End::default(), End::default());
    let mut answer = Box::pin(routed(&set).answer(cancelled.wait(), |_| elapsed.wait()));
    assert_eq!(kind(poll(answer.as_mut())), "waits");
    cancelled.now.set(true);
    elapsed.now.set(true);
    gate.open.store(true, Ordering::Relaxed);
    assert_eq!(kind(poll(answer.as_mut())), "a result");
    assert!(gate.seen.lock().unwrap().is_empty());
}

/// A runtime may give each task a budget, and let nothing be ready any more once it is used up.
#[test]
fn a_call_that_always_finds_something_to_do_is_ended_all_the_same() {
    #[derive(Clone, Default)]
    struct Busy(Arc<AtomicBool>);

    impl Block for Busy {
        fn name(&self) -> &'static str {
            "busy"
        }
        fn place(&self) -> Place {
            Place::LABELS
        }
        fn covers(&self, _: &mcp_ext_core::Contract, _: &rt::Item) -> bool {
            true
        }
        fn before<'a>(&'a self, _: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
            Box::pin(poll_fn(|_| {
                self.0.store(true, Ordering::Relaxed);
                Poll::Pending
            }))
        }
        fn after<'a>(&'a self, _: &'a BlockCall<'a>, _: &'a mut BlockOutcome) -> BoxFuture<'a, ()> {
            Box::pin(async {})
        }
    }

    let used_up = Busy::default();
    let set = ExtensionSet::builder()
        .enable(GradingExtension::provide(Lms::default()))
        .block(used_up.clone())
        .build()
        .unwrap();
    let elapsed = poll_fn(|_| {
        if used_up.0.load(Ordering::Relaxed) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    });
    let mut answer = Box::pin(routed(&set).answer(pending(), |_| elapsed));
    assert_eq!(kind(poll(answer.as_mut())), "waits");
    used_up.0.store(false, Ordering::Relaxed);
    assert_eq!(kind(poll(answer.as_mut())), "timeout");
}

#[test]
fn what_was_never_run_is_answered_too() {
    let set = set().1;
    let answer = |incoming| block_on(set.route(incoming).answer(pending(), |_| pending()));

    let theirs = answer(asked(Target::Method("tools/list"))).unwrap_err();
    assert_eq!(theirs, RpcError::method_not_found("tools/list"));

    let undeclared = Incoming::new(Era::Modern, Target::Method(RUBRICS));
    assert_eq!(answer(undeclared).unwrap_err().code, -32021);
}

#[test]
fn a_result_that_is_text_becomes_an_object_or_says_that_it_is_none() {
    let object = Reply::Text(r#"{"a": 1}"#.into()).into_object().unwrap();
    assert_eq!(object["a"], 1);
    let error = Reply::Text("[]".into()).into_object().unwrap_err();
    assert_eq!(error.code, -32603);
}
