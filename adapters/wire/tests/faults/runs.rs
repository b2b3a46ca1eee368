//! Many runs at once, each from a seed of its own.

use std::future::Future;
use std::ops::AddAssign;

use tokio::task::JoinSet;

/// Runs the seeds, at most `at_once` at a time, and adds up what they came to.
///
/// # Panics
/// When a run fails; its seed is in the message.
pub async fn all<T, F>(runs: u64, at_once: usize, run: impl Fn(u64) -> F) -> T
where
    T: Default + AddAssign + Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let number = |name: &str| {
        std::env::var(name).ok().map(|value| {
            value
                .parse::<u64>()
                .unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}"))
        })
    };
    let seeds = match number("FAULTS_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let from = number("FAULTS_FROM").unwrap_or(0);
            let runs = number("FAULTS_RUNS").unwrap_or(runs);
            from..from + runs
        }
    };
    let mut total = T::default();
    let mut under_way: JoinSet<(u64, T)> = JoinSet::new();
    let add = |total: &mut T, done: Result<(u64, T), tokio::task::JoinError>| match done {
        Ok((_, one)) => *total += one,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    for seed in seeds {
        let work = run(seed);
        under_way.spawn(async move { (seed, work.await) });
        if under_way.len() >= at_once
            && let Some(done) = under_way.join_next().await
        {
            add(&mut total, done);
        }
    }
    while let Some(done) = under_way.join_next().await {
        add(&mut total, done);
    }
    total
}

/// Whether the seeds are the usual ones, so that what they come to in all can be checked.
pub fn usual() -> bool {
    ["FAULTS_SEED", "FAULTS_FROM", "FAULTS_RUNS"]
        .iter()
        .all(|name| std::env::var_os(name).is_none())
}

/// A runtime for one test; nothing of it is left once it is dropped.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}
