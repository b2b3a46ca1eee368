//! The thread on which a store writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use async_task::{Builder, Runnable};

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
    std::thread::Builder::new()
        .name("mcp-ext-store".into())
        .spawn(move || {
            for job in jobs {
                // The panic of a job is its caller's; here are only those of what it drops.
                let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
            }
        })
        .ok()?;
    Some(sender)
}
