//! Against a server made with rmcp, with extensions in front of it.

use std::sync::{Arc, Mutex};

use mcp_ext_core::client::{CallError, Caller, Negotiation};
use mcp_ext_core::protocol::Era;
use mcp_ext_rmcp::{ServerExtensions, WithExtensions};
use mcp_ext_wire::{ClientOptions, HttpCaller};
use rmcp::{ServerHandler, ServiceExt};

use crate::common::{
    Count, DeskError, DeskExtension, DeskSettings, NOTED, Text, Wait, builder, set,
};
use crate::{connect, eventually, rmcp_http};

#[derive(Clone)]
struct Plain;

impl ServerHandler for Plain {}

fn server() -> WithExtensions<Plain> {
    Plain.with_extensions(set()).unwrap()
}

const WISHES: [(Option<Era>, Era); 3] = [
    (None, Era::Modern),
    (Some(Era::Modern), Era::Modern),
    (Some(Era::Legacy), Era::Legacy),
];

fn options(wish: Option<Era>) -> ClientOptions {
    match wish {
        None => ClientOptions::default(),
        Some(era) => ClientOptions::default().era(era),
    }
}

fn text(text: &str) -> Text {
    Text {
        text: text.to_owned(),
    }
}

/// Everything a typed client does.
async fn all_of_it(caller: impl Caller + Clone, era: Era) {
    assert_eq!(caller.era(), era);
    let settings = DeskSettings { max_text: Some(9) };
    let negotiation = DeskExtension::client(caller).declare(settings).negotiate();
    let Negotiation::Active(desk) = negotiation.await.unwrap() else {
        panic!("not active")
    };
    assert_eq!(desk.settings().max_text, Some(9));
    assert_eq!(desk.echo(text("Grüße")).await.unwrap().text, "Grüße");
    let error = desk.echo(text("far too long")).await.err();
    assert!(matches!(
        error,
        Some(CallError::Own(DeskError::TooLong { max: 9 }))
    ));
    assert_eq!(desk.desk_shout(text("a")).await.unwrap().text, "A true");
    assert_eq!(desk.desk_stamp(text("b")).await.unwrap().text, "b");
    let (one, two) = tokio::join!(
        desk.wait(Wait { millis: 30 }),
        desk.wait(Wait { millis: 1 })
    );
    assert_eq!((one.unwrap().millis, two.unwrap().millis), (30, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_pipe_in_both_eras() {
    for (wish, era) in WISHES {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let served =
            tokio::spawn(async move { server().serve(theirs).await.unwrap().waiting().await });
        let caller = connect(ours, options(wish)).await.unwrap();
        all_of_it(caller, era).await;
        // The caller is gone: the server's input ends, and with it the server.
        served.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_in_both_eras_with_sessions_and_without() {
    for sessions in [true, false] {
        let address = rmcp_http::serve(server(), sessions).await;
        for (wish, era) in WISHES {
            let url = format!("http://{address}/mcp");
            let caller = HttpCaller::connect(&url, options(wish)).await.unwrap();
            all_of_it(caller, era).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_and_progress_of_a_call_arrive() {
    let address = rmcp_http::serve(server(), true).await;
    for carrier in ["pipe", "http"] {
        for era in [Era::Modern, Era::Legacy] {
            let heard: Arc<Mutex<Vec<String>>> = Arc::default();
            let hears = heard.clone();
            let options = ClientOptions::default()
                .era(era)
                .on_notification(move |method, _| hears.lock().unwrap().push(method.to_owned()));
            let count = Count { count: 3 };
            let of = |method: &str| {
                let heard = heard.lock().unwrap();
                heard.iter().filter(|m| *m == method).count()
            };
            let answered = if carrier == "pipe" {
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                tokio::spawn(async move { server().serve(theirs).await.unwrap().waiting().await });
                let caller = connect(ours, options).await.unwrap();
                let desk = DeskExtension::client(caller).negotiate().await.unwrap();
                desk.active().unwrap().announce(count).await
            } else {
                let url = format!("http://{address}/mcp");
                let caller = HttpCaller::connect(&url, options).await.unwrap();
                // What comes beside the answer ends with the caller.
                let kept = caller.clone();
                let desk = DeskExtension::client(caller).negotiate().await.unwrap();
                let answered = desk.active().unwrap().announce(count).await;
                if era == Era::Legacy {
                    // rmcp sends them on the stream of the session, beside the answer.
                    eventually("they arrive", || of(NOTED) == 3).await;
                }
                drop(kept);
                answered
            };
            assert_eq!(answered.unwrap().count, 3);
            let heard = (of(NOTED), of("notifications/progress"));
            assert_eq!(heard, (3, 3), "{carrier} {era:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_stops_the_handler() {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    for carrier in ["pipe", "http"] {
        for era in [Era::Modern, Era::Legacy] {
            let (seen, builder) = builder();
            let server = Plain.with_extensions(builder.build().unwrap()).unwrap();
            let options = options(Some(era));
            let wait = Wait { millis: 60_000 };
            let hurry = Duration::from_millis(200);
            if carrier == "pipe" {
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                tokio::spawn(async move { server.serve(theirs).await.unwrap().waiting().await });
                let caller = connect(ours, options).await.unwrap();
                let desk = DeskExtension::client(caller).negotiate().await.unwrap();
                let desk = desk.active().unwrap();
                assert!(tokio::time::timeout(hurry, desk.wait(wait)).await.is_err());
                eventually("the handler is dropped", || {
                    seen.dropped.load(Ordering::SeqCst) == 1
                })
                .await;
            } else {
                let address = rmcp_http::serve(server, true).await;
                let url = format!("http://{address}/mcp");
                let caller = HttpCaller::connect(&url, options).await.unwrap();
                let desk = DeskExtension::client(caller).negotiate().await.unwrap();
                let desk = desk.active().unwrap();
                assert!(tokio::time::timeout(hurry, desk.wait(wait)).await.is_err());
                eventually("the handler is dropped", || {
                    seen.dropped.load(Ordering::SeqCst) == 1
                })
                .await;
            }
        }
    }
}
