//! Waiting with an end, without a runtime: one thread for all, alive while anyone waits.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The future's output, or `None` when it took longer.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut alarm = Alarm {
        at: Instant::now() + limit,
        number: None,
    };
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => alarm.poll(cx).map(|()| None),
    })
    .await
}

static ALARMS: Alarms = Alarms {
    state: Mutex::new(State {
        set: BTreeMap::new(),
        next: 0,
        watched: false,
    }),
    changed: Condvar::new(),
};

struct Alarms {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    set: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    /// Whether a thread watches.
    watched: bool,
}

impl Alarms {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever is due, until nobody waits.
    fn watch(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            match state.set.first_key_value() {
                None => {
                    state.watched = false;
                    return;
                }
                Some(((at, _), _)) if *at <= now => {
                    let due = state.set.pop_first();
                    drop(state);
                    if let Some((_, waker)) = due {
                        waker.wake();
                    }
                    state = self.lock();
                }
                Some(((at, _), _)) => {
                    let wait = *at - now;
                    state = self
                        .changed
                        .wait_timeout(state, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
    }
}

struct Alarm {
    at: Instant,
    number: Option<u64>,
}

impl Alarm {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        let mut state = ALARMS.lock();
        let number = *self.number.get_or_insert_with(|| {
            state.next += 1;
            state.next
        });
        state.set.insert((self.at, number), cx.waker().clone());
        if state.watched {
            ALARMS.changed.notify_one();
            return Poll::Pending;
        }
        let thread = std::thread::Builder::new().name("mcp-ext-store-alarm".into());
        state.watched = thread.spawn(|| ALARMS.watch()).is_ok();
        // Without a thread nobody would end the wait: it ends at once.
        if state.watched {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            ALARMS.lock().set.remove(&(self.at, number));
            ALARMS.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::within;
    use futures_lite::future::{block_on, pending, zip};
    use std::time::{Duration, Instant};

    #[test]
    fn a_wait_ends_and_an_output_comes_through() {
        assert_eq!(
            block_on(within(Duration::from_secs(60), async { 7 })),
            Some(7)
        );
        let began = Instant::now();
        let (short, long) = block_on(zip(
            within(Duration::from_millis(20), pending::<()>()),
            within(Duration::from_millis(60), pending::<()>()),
        ));
        assert_eq!((short, long), (None, None));
        assert!(began.elapsed() >= Duration::from_millis(60));
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
