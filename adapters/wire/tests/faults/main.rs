//! Faults and attacks from outside: real processes that are killed, stopped and cut off, and real sockets.
//!
//! No test harness, since this program is also the processes that the tests start: `faults peer MODE ...`. It also
//! keeps the count of files and children to one test at a time. Arguments are names of tests, or parts of them.
//!
//! Every run is made from its seed. `FAULTS_SEED=17` repeats the run of that seed alone, and `FAULTS_FROM=5000` takes
//! other seeds than those from 0 on, and `FAULTS_RUNS=50` so many of them.
#![allow(missing_docs)]

#[cfg(unix)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(unix)]
mod leaks;
#[cfg(unix)]
mod oversize;
#[cfg(unix)]
mod peer;
#[cfg(unix)]
mod processes;
#[cfg(unix)]
mod runs;
#[cfg(unix)]
mod sockets;
#[cfg(unix)]
mod wire;

#[cfg(not(unix))]
fn main() {
    eprintln!(
        "SKIPPED faults: there are no signals to kill and stop processes with on this system"
    );
}

#[cfg(unix)]
const TESTS: &[(&str, fn())] = &[
    (
        "processes_that_are_killed_stopped_and_cut_off",
        processes::test,
    ),
    ("sockets_that_break_stall_and_are_cut_off", sockets::test),
    ("frames_of_100_mb_over_stdio", oversize::stdio_frames),
    ("floods_over_stdio", oversize::stdio_floods),
    ("bodies_of_100_mb_over_http", oversize::http_bodies),
    ("floods_over_http", oversize::http_floods),
    ("bytes_that_are_no_text_over_http", oversize::http_bytes),
];

#[cfg(unix)]
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("peer", rest)) = args.split_first().map(|(first, rest)| (&**first, rest)) {
        return peer::main(rest);
    }
    if args.iter().any(|arg| arg == "--list") {
        for (name, _) in TESTS {
            println!("{name}: test");
        }
        return;
    }
    let wanted = |name: &str| {
        let mut names = args.iter().filter(|arg| !arg.starts_with('-')).peekable();
        names.peek().is_none() || names.any(|part| name.contains(&**part))
    };
    let mut failed = Vec::new();
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        let start = std::time::Instant::now();
        let passed = std::panic::catch_unwind(test).is_ok();
        let word = if passed { "ok" } else { "FAILED" };
        println!(
            "test {name} ... {word} ({:.1} s)",
            start.elapsed().as_secs_f64()
        );
        if !passed {
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        eprintln!("failed: {failed:?}");
        std::process::exit(101);
    }
}
