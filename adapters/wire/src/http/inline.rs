//! A task that wakes itself is polled again at once.
//!
//! Whoever reads the body of a request in the task of its connection wakes that same task, under hyper. tokio would put it
//! at the end of its queue and start another thread for it, which costs more than to forward the request.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// How often in a row; then others have their turn.
const TURNS: usize = 4;

const IDLE: u8 = 0;
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

/// Polls a future again when it was woken while it was polled.
pub(super) struct Inline<F> {
    inner: F,
    state: Arc<State>,
    waker: Waker,
}

struct State {
    now: AtomicU8,
    task: Mutex<Waker>,
}

impl State {
    fn task(&self) -> std::sync::MutexGuard<'_, Waker> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // While it is polled, whoever polls sees to it.
        let polled = self
            .now
            .compare_exchange(POLLED, WOKEN, Ordering::AcqRel, Ordering::Acquire);
        if polled == Err(IDLE) {
            self.task().wake_by_ref();
        }
    }
}

impl<F: Future + Unpin> Inline<F> {
    pub fn new(inner: F) -> Self {
        let state = Arc::new(State {
            now: AtomicU8::new(IDLE),
            task: Mutex::new(Waker::noop().clone()),
        });
        Self {
            inner,
            waker: state.clone().into(),
            state,
        }
    }
}

impl<F: Future + Unpin> Future for Inline<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        this.state.task().clone_from(cx.waker());
        for _ in 0..TURNS {
            this.state.now.store(POLLED, Ordering::Release);
            if let Poll::Ready(done) =
                Pin::new(&mut this.inner).poll(&mut Context::from_waker(&this.waker))
            {
                return Poll::Ready(done);
            }
            let quiet =
                this.state
                    .now
                    .compare_exchange(POLLED, IDLE, Ordering::AcqRel, Ordering::Acquire);
            if quiet.is_ok() {
                return Poll::Pending;
            }
        }
        this.state.now.store(IDLE, Ordering::Release);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Count(std::sync::atomic::AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Wakes itself so many times.
    fn restless(mut times: usize) -> impl Future<Output = usize> + Unpin {
        let mut polls = 0;
        std::future::poll_fn(move |cx| {
            polls += 1;
            if times == 0 {
                return Poll::Ready(polls);
            }
            times -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[test]
    fn who_wakes_itself_is_polled_again_a_few_times() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let mut few = Inline::new(restless(TURNS - 1));
        assert_eq!(Pin::new(&mut few).poll(&mut cx), Poll::Ready(TURNS));
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        let mut many = Inline::new(restless(TURNS + 1));
        assert!(Pin::new(&mut many).poll(&mut cx).is_pending());
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "others have their turn");
        assert_eq!(Pin::new(&mut many).poll(&mut cx), Poll::Ready(TURNS + 2));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn wakes_of_others_are_never_lost() {
        for _ in 0..2000 {
            let (send, mut receive) = tokio::sync::mpsc::channel::<usize>(1);
            let sender = tokio::spawn(async move {
                for n in 0..20 {
                    send.send(n).await.unwrap();
                }
            });
            let all = Box::pin(async move {
                let mut sum = 0;
                while let Some(n) = receive.recv().await {
                    sum += n;
                }
                sum
            });
            let sum = tokio::time::timeout(std::time::Duration::from_secs(20), Inline::new(all));
            assert_eq!(sum.await.unwrap(), 190);
            sender.await.unwrap();
        }
    }
}
