//! The set against every adapter and every wrapped server, and the table of the book.
//!
//! `MCP_EXT_ACCEPTANCE_ONLY` plays the cells whose name has this text in it; `MCP_EXT_ACCEPTANCE_WRITE=1` writes the
//! table into the book.

mod cells;
#[path = "../../../../adapters/wire/tests/common/peers.rs"]
mod peers;
mod report;

use std::sync::Arc;

use mcp_ext_acceptance::{CHECKS, Place, Scene};
use tokio::sync::Semaphore;

use cells::{Cell, Started};
use report::{Column, Report};

#[tokio::test(flavor = "multi_thread")]
async fn every_cell() {
    let only = std::env::var("MCP_EXT_ACCEPTANCE_ONLY").unwrap_or_default();
    // More at once would make the checks wait for processors instead of servers.
    let places = Arc::new(Semaphore::new(3));
    let mut rows = Vec::new();
    for cell in cells::cells() {
        if cell.name.contains(&only) {
            rows.push((cell.name, tokio::spawn(play(cell, places.clone()))));
        }
    }
    let mut report = Report::default();
    for (name, row) in rows {
        match row.await.expect("a cell is played to its end") {
            Ok(columns) => report.rows.push((name, columns)),
            Err(why) => {
                peers::skipped(&format!("every_cell, {name}"), &why);
                report.complete = false;
            }
        }
    }
    report.complete &= only.is_empty();
    println!("{}", report.table());
    report.settle();
}

/// A cell's columns; or why its server cannot be had on this machine.
async fn play(cell: Cell, places: Arc<Semaphore>) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    for http in [false, true] {
        let permit = places.acquire().await.map_err(|e| e.to_string())?;
        let started = match cell.start(http).await? {
            Some(started) => started,
            None => continue,
        };
        for place in Place::ALL.into_iter().filter(|p| p.http() == http) {
            columns.push(play_column(&cell, &started, place).await);
        }
        drop((started, permit));
    }
    Ok(columns)
}

async fn play_column(cell: &Cell, started: &Started, place: Place) -> Column {
    let scene = Scene::new(place, started.servers.clone());
    let mut column = Column::new(place);
    let all = CHECKS.iter().flat_map(|topic| topic.iter());
    let mut all = all.filter(|c| c.applies(place));
    if let Some(why) = cell.impossible(place) {
        // It stays so as long as the first check fails.
        let first = all.next().expect("there are checks");
        column.impossible = Some(why);
        if first.play(&scene).await.is_ok() {
            column.failed.push((
                first,
                "it holds now: take this column off what cannot be".to_owned(),
            ));
        }
        return column;
    }
    for check in all {
        match (check.play(&scene).await, cell.lost(check.name, place)) {
            (Ok(()), None) => column.held += 1,
            (Err(_), Some(why)) => {
                column.lost.push((check, why));
                // It may be the server's end that it cannot.
                scene.forget_ended().await;
            }
            (Err(why), None) => column.failed.push((check, why)),
            (Ok(()), Some(_)) => column
                .failed
                .push((check, "it holds now: take it off what cannot be".to_owned())),
        }
    }
    column
}

/// Checks that hold without the extension as well: they are about what it must not change.
const ALSO_WITHOUT: [&str; 17] = [
    "a call before a session is open reaches no handler",
    "a call in a session that nobody opened reaches no handler",
    "a call without a tool's name is answered as the server does alone",
    "a filtered list has no cache hints",
    "a filtered list hides a tool from those who do not",
    "a request without the client's capabilities is -32602",
    "a tool of the server's own answers as it does alone",
    "a version that is not served is -32022",
    "all else in the list is the server's own, cache hints too",
    "an unknown method of the extension is -32601",
    "an unknown tool is answered as the server does alone",
    "everything else in that answer is the server's own",
    "it is offered to a client that declares nothing",
    "the list is the same for everyone, and each time",
    "the server's own entries are as they are alone",
    "the server's own ping, or the lack of one, is as it is alone",
    "tools are offered",
];

/// Header rules that a server applies to every method.
const ALSO_WITHOUT_OVER_HTTP: [&str; 3] = [
    "a header that is missing is -32020",
    "a method in the header that is not the body's is -32020",
    "a version in the header that is not the body's is -32020",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_extension_fails_what_is_about_it() {
    let mut held = std::collections::BTreeSet::new();
    for http in [false, true] {
        let cell = cells::cells().remove(0);
        let started = cell.start(http).await.expect("it starts");
        let started = started.expect("it has both transports");
        let mut servers = started.servers.clone();
        servers.main = servers
            .bare
            .clone()
            .expect("there is one without the extension");
        servers.filtered = Some(servers.main.clone());
        for place in Place::ALL.into_iter().filter(|p| p.http() == http) {
            let scene = Scene::new(place, servers.clone());
            for check in CHECKS
                .iter()
                .flat_map(|topic| topic.iter())
                .filter(|c| c.applies(place))
            {
                if check.play(&scene).await.is_ok() {
                    held.insert(check.name);
                }
            }
        }
    }
    let expected = ALSO_WITHOUT
        .into_iter()
        .chain(ALSO_WITHOUT_OVER_HTTP)
        .collect();
    assert_eq!(held, expected);
}
