//! A connection of a client. hyper serves it until an answer begins that lasts, such as a listen stream: its head is
//! written, and the rest is written here, without hyper's buffers, which would be most of what an open stream takes.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mcp_ext_core::listen::METHOD;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::headers::{self, value};
use super::inline::Inline;
use super::{BodyError, WireBody, is_events};

/// The bounds of a connection.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// How long the head of a request may take.
    pub head: Duration,
    /// How long an answer may last whose client takes nothing of it.
    pub lasting: Duration,
    /// How long it may take nothing after that.
    pub stalled: Duration,
}

/// Whether the answer to this request may be a stream that lasts. A client that says so of another request gets the same
/// answer, and its connection is closed after it.
pub(super) fn may_last(method: &Method, headers: &HeaderMap) -> bool {
    match *method {
        Method::POST => value(headers, &headers::METHOD) == Some(METHOD),
        Method::GET => headers.get_all(header::ACCEPT).iter().any(|accept| {
            accept
                .to_str()
                .is_ok_and(|accept| accept.contains("text/event-stream"))
        }),
        _ => false,
    }
}

/// Serves a connection until it ends. Once `stop` changes, no more requests are taken on it.
pub(super) async fn serve<S, F>(
    stream: TcpStream,
    limits: Limits,
    service: S,
    stop: watch::Receiver<bool>,
) where
    S: Fn(Request<Incoming>) -> F + Send,
    F: Future<Output = Result<Response<WireBody>, Infallible>> + Send,
{
    // In boxes of their own, so that what lasts holds nothing of what came before.
    let lasting = Inline::new(Box::pin(until_lasting(stream, limits, service, stop))).await;
    if let Some(lasting) = lasting {
        lasting.await;
    }
}

/// The answer that lasts, if the connection does not end before there is one.
async fn until_lasting<S, F>(
    stream: TcpStream,
    limits: Limits,
    service: S,
    mut stop: watch::Receiver<bool>,
) -> Option<Pin<Box<Lasting>>>
where
    S: Fn(Request<Incoming>) -> F + Send,
    F: Future<Output = Result<Response<WireBody>, Infallible>> + Send,
{
    let handover = Arc::new(Handover::default());
    let io = Io {
        inner: TokioIo::new(stream),
        handover: handover.clone(),
    };
    let taken = handover.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let handover = taken.clone();
        let chunked = request.version() != Version::HTTP_10;
        let may_last = may_last(request.method(), request.headers());
        let answer = service(request);
        async move {
            let response = answer.await?;
            Ok::<_, Infallible>(match may_last && lasts(&response) {
                true => handover.take(response, chunked),
                false => response,
            })
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(io, service);
    let mut stopped = false;
    let mut stop = pin!(stop.changed());
    let handed_over = poll_fn(|cx| {
        if !stopped && stop.as_mut().poll(cx).is_ready() {
            stopped = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        // How a connection of a client ends is the client's business.
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending if handover.is_done() => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    let (body, chunked) = handover.given().filter(|_| handed_over)?;
    let stream = connection.into_parts().io.inner.into_inner();
    Some(Box::pin(Lasting {
        stream,
        body: Some(body),
        chunked,
        piece: Piece::default(),
        until: Instant::now().checked_add(limits.lasting),
        limits,
        stalled: None,
    }))
}

/// Whether an answer is a stream whose end is not known.
fn lasts(response: &Response<WireBody>) -> bool {
    response.status() == StatusCode::OK
        && is_events(response.headers())
        && !response.headers().contains_key(header::CONTENT_LENGTH)
}

/// There is an answer that lasts; hyper has its head. Until then the state is 0.
const TAKEN: u8 = 1;
/// hyper has written the head, and whatever was before it.
const DONE: u8 = 2;

/// An answer on its way out of hyper.
#[derive(Default)]
struct Handover {
    state: AtomicU8,
    /// The body, and whether it is written in chunks.
    given: Mutex<Option<(WireBody, bool)>>,
}

impl Handover {
    /// Keeps the body, and leaves one that hyper never gets anything of.
    fn take(&self, mut response: Response<WireBody>, chunked: bool) -> Response<WireBody> {
        // No more requests are taken on this connection.
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        // Of another version hyper would not write in chunks.
        *response.version_mut() = Version::HTTP_11;
        let body = std::mem::replace(response.body_mut(), WireBody::new(Silence));
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some((body, chunked));
        self.state.store(TAKEN, Ordering::Release);
        response
    }

    /// hyper has written all it had. It buffers the head of an answer before it writes anything else.
    fn flushed(&self) {
        let _ = self
            .state
            .compare_exchange(TAKEN, DONE, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == DONE
    }

    fn given(&self) -> Option<(WireBody, bool)> {
        self.given
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handover").finish_non_exhaustive()
    }
}

/// A body of which nothing ever comes.
struct Silence;

impl Body for Silence {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A connection that notices when hyper has written everything.
struct Io {
    inner: TokioIo<TcpStream>,
    handover: Arc<Handover>,
}

impl hyper::rt::Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        hyper::rt::Read::poll_read(Pin::new(&mut self.inner), cx, buffer)
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        hyper::rt::Write::poll_write(Pin::new(&mut self.inner), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = hyper::rt::Write::poll_flush(Pin::new(&mut self.inner), cx);
        if flushed.is_ready() {
            self.handover.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        hyper::rt::Write::poll_shutdown(Pin::new(&mut self.inner), cx)
    }

    fn is_write_vectored(&self) -> bool {
        hyper::rt::Write::is_write_vectored(&self.inner)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        hyper::rt::Write::poll_write_vectored(Pin::new(&mut self.inner), cx, slices)
    }
}

/// Writes the body of an answer that lasts. Done when the body ends, the client is gone, or has taken nothing for too
/// long; dropping the body then ends whatever is behind it.
struct Lasting {
    stream: TcpStream,
    /// Gone once it has ended.
    body: Option<WireBody>,
    chunked: bool,
    piece: Piece,
    /// Up to when the client may take as long as it likes.
    until: Option<Instant>,
    limits: Limits,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// What is being written: the head of a chunk, what is in it, and its end.
#[derive(Default)]
struct Piece {
    head: Bytes,
    data: Bytes,
    end: &'static [u8],
}

impl Piece {
    fn of(data: Bytes, chunked: bool) -> Self {
        match chunked {
            true => Self {
                head: format!("{:x}\r\n", data.len()).into(),
                data,
                end: b"\r\n",
            },
            false => Self {
                data,
                ..Self::default()
            },
        }
    }

    fn last(chunked: bool) -> Self {
        Self {
            end: if chunked { b"0\r\n\r\n" } else { b"" },
            ..Self::default()
        }
    }

    fn is_written(&self) -> bool {
        self.head.is_empty() && self.data.is_empty() && self.end.is_empty()
    }

    fn written(&mut self, mut bytes: usize) {
        for part in [&mut self.head, &mut self.data] {
            let here = bytes.min(part.len());
            part.advance(here);
            bytes -= here;
        }
        self.end = self.end.get(bytes..).unwrap_or_default();
    }
}

impl Lasting {
    /// Whether the client is gone. What it still sends is no request that anybody waits for.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut space = [MaybeUninit::uninit(); 256];
            let mut buffer = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
    }

    /// Writes the piece; an error when the client is gone, or as good as gone.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        while !self.piece.is_written() {
            let slices = [
                IoSlice::new(&self.piece.head),
                IoSlice::new(&self.piece.data),
                IoSlice::new(self.piece.end),
            ];
            match Pin::new(&mut self.stream).poll_write_vectored(cx, &slices) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(())),
                Poll::Ready(Ok(bytes)) => self.piece.written(bytes),
                Poll::Pending => return self.poll_stalled(cx).map(Err),
            }
        }
        // Not before: after its time a stream is not held open by a byte now and then.
        self.stalled = None;
        self.piece = Piece::default();
        Poll::Ready(Ok(()))
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.until else {
            return Poll::Pending;
        };
        let stalled = self.stalled.get_or_insert_with(|| {
            let now = Instant::now();
            let patience = now.checked_add(self.limits.stalled).unwrap_or(until);
            Box::pin(tokio::time::sleep_until(until.max(patience)))
        });
        stalled.as_mut().poll(cx)
    }
}

impl Future for Lasting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.poll_gone(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            match this.poll_write(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(())) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
            let Some(body) = &mut this.body else {
                return Pin::new(&mut this.stream).poll_shutdown(cx).map(|_| ());
            };
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    // An empty chunk would be the end.
                    Ok(data) if !data.is_empty() => this.piece = Piece::of(data, this.chunked),
                    Ok(_) | Err(_) => {}
                },
                Poll::Ready(None) => {
                    this.body = None;
                    this.piece = Piece::last(this.chunked);
                }
                // Cut off, so that the client does not take it for the end.
                Poll::Ready(Some(Err::<_, BodyError>(_))) => return Poll::Ready(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_written_in_any_steps() {
        let whole = b"b\r\nhello there\r\n";
        for step in 1..=whole.len() {
            let mut piece = Piece::of(Bytes::from_static(b"hello there"), true);
            let mut written = Vec::new();
            while !piece.is_written() {
                let rest = [&piece.head[..], &piece.data[..], piece.end].concat();
                let here = step.min(rest.len());
                written.extend_from_slice(&rest[..here]);
                piece.written(here);
            }
            assert_eq!(written, whole, "in steps of {step}");
        }
    }
}
