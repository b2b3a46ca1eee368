//! The thread on which a store writes.

use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{available_parallelism, yield_now};
use std::time::{Duration, Instant};

use async_task::{Builder, Runnable};

/// How long the thread looks for its next job before it sleeps. A call that has had its first transaction committed comes
/// back with its second in less, and to wake a thread on a processor that sleeps too takes as long as a quick disk does.
const LINGER: Duration = Duration::from_micros(100);

/// Looks at the channel, one after the other, before the processor is offered to another thread.
const LOOKS: u32 = 32;

/// One thread, begun with the first write and ended with the store.
///
/// Who writes has the turn, so there is never more than one job. A thread that is always the same one takes it up in a
/// quarter of the time that a pool needs, and that time is spent while nobody else may write.
#[derive(Default)]
pub(crate) struct Thread(OnceLock<Option<Sender<Runnable>>>);

impl Thread {
    /// Runs a job there. A job whose future is dropped before it has begun is not run; one that has begun is run to its end.
    pub(crate) async fn run<T, F>(&self, job: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let Some(jobs) = self.0.get_or_init(begin) else {
            // No thread could be begun.
            return blocking::unblock(job).await;
        };
        let jobs = jobs.clone();
        let (runnable, task) = Builder::new().propagate_panic(true).spawn(
            |()| async move { job() },
            move |runnable| {
                // The thread ends after the last sender is gone.
                let _ = jobs.send(runnable);
            },
        );
        runnable.schedule();
        task.await
    }
}

fn begin() -> Option<Sender<Runnable>> {
    let (sender, jobs) = channel::<Runnable>();
    // With one processor the next job comes from nobody while this one looks for it.
    let linger = match available_parallelism() {
        Ok(processors) if processors.get() > 1 => LINGER,
        _ => Duration::ZERO,
    };
    std::thread::Builder::new()
        .name("mcp-ext-store".into())
        .spawn(move || {
            while let Some(job) = next(&jobs, linger) {
                // The panic of a job is its caller's; here are only those of what it drops.
                let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
            }
        })
        .ok()?;
    Some(sender)
}

/// The next job; `None` after the last sender is gone.
fn next(jobs: &Receiver<Runnable>, linger: Duration) -> Option<Runnable> {
    let end = Instant::now() + linger;
    loop {
        for _ in 0..LOOKS {
            match jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => spin_loop(),
            }
        }
        if Instant::now() >= end {
            return jobs.recv().ok();
        }
        yield_now();
    }
}
