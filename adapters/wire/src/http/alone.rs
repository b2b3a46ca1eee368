//! A request to the upstream on a connection of its own, for an answer that lasts: nothing is kept for it but the
//! connection, where hyper would keep two buffers.

use std::convert::Infallible;
use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

use super::WireBody;
use super::chunks::Chunks;

/// Largest body of a request that is sent so.
pub(super) const MAX_BODY: u64 = 64 * 1024;

/// Largest head of an answer, and most headers in it: as many as hyper takes.
const MAX_HEAD: usize = 8 * 1024 + 400 * 1024;
const MAX_HEADERS: usize = 100;

/// How much is read at once.
const READ: usize = 8 * 1024;

/// Sends a request whose body is of a known length, and waits for the head of its answer. `request` has a path, and the
/// headers of its hop but for the length of its body.
///
/// # Errors
/// The connection fails, or what comes is no HTTP/1 answer.
pub(super) async fn exchange(
    mut stream: TcpStream,
    request: Request<WireBody>,
) -> Result<Response<WireBody>> {
    let (parts, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    let body = body.collect().await.map_err(Error::other)?.to_bytes();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut head = format!("{} {path} HTTP/1.1\r\n", parts.method).into_bytes();
    for (name, value) in &parts.headers {
        if name != header::CONTENT_LENGTH {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
    }
    if has_body || parts.headers.contains_key(header::CONTENT_LENGTH) {
        head.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(&body);
    drop((body, parts));
    // A server may answer without reading everything, and what it says is worth more than that.
    let (mut from, mut to) = stream.split();
    let written = async {
        let _ = to.write_all(&head).await;
        std::future::pending::<Infallible>().await
    };
    let (mut response, rest) = tokio::select! {
        answered = answer(&mut from) => answered?,
        never = written => match never {},
    };
    let left = framing(&response)?;
    if response.headers().contains_key(header::TRANSFER_ENCODING) {
        // It says nothing then, and whoever reads this answer next must not believe it.
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let body = Answer { stream, rest, left };
    Ok(response.map(|()| WireBody::new(body)))
}

/// The head of the answer, and what was read of its body.
async fn answer(stream: &mut ReadHalf<'_>) -> Result<(Response<()>, Bytes)> {
    let mut read = BytesMut::with_capacity(1024);
    loop {
        if let Some((response, length)) = head(&read)? {
            let _ = read.split_to(length);
            // Interim answers are for the hop.
            if response.status().is_informational() {
                continue;
            }
            return Ok((response, Bytes::copy_from_slice(&read)));
        }
        if read.len() > MAX_HEAD {
            return Err(invalid("the head of the answer is too large"));
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

/// The head of an answer and its length; `None` when it is not whole.
fn head(bytes: &[u8]) -> Result<Option<(Response<()>, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let length = match parsed.parse(bytes).map_err(Error::other)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let mut response = Response::new(());
    let code = parsed.code.unwrap_or_default();
    *response.status_mut() = StatusCode::from_u16(code).map_err(Error::other)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(invalid("nobody asked for another protocol"));
    }
    if parsed.version == Some(0) {
        *response.version_mut() = Version::HTTP_10;
    }
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(Error::other)?;
        let value = HeaderValue::from_bytes(field.value).map_err(Error::other)?;
        response.headers_mut().append(name, value);
    }
    Ok(Some((response, length)))
}

/// How much of the body is still to come.
enum Left {
    Bytes(u64),
    Chunks(Chunks),
    /// Whatever comes until the connection ends.
    All,
}

fn framing(response: &Response<()>) -> Result<Left> {
    let headers = response.headers();
    if matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    ) {
        return Ok(Left::Bytes(0));
    }
    if let Some(last) = headers
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .next_back()
    {
        let last = last.to_str().unwrap_or_default().rsplit(',').next();
        return Ok(match last.map(str::trim) {
            Some(last) if last.eq_ignore_ascii_case("chunked") => Left::Chunks(Chunks::default()),
            _ => Left::All,
        });
    }
    Ok(match length(headers)? {
        Some(length) => Left::Bytes(length),
        None => Left::All,
    })
}

fn length(headers: &HeaderMap) -> Result<Option<u64>> {
    let mut all = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    let digits = first.to_str().unwrap_or_default();
    if digits.is_empty()
        || !digits.bytes().all(|b| b.is_ascii_digit())
        || all.any(|other| other != first)
    {
        return Err(invalid("the length of the answer is no number"));
    }
    digits.parse().map(Some).map_err(Error::other)
}

/// The body of an answer, and its connection: dropping it closes it.
struct Answer {
    stream: TcpStream,
    /// Read, and not yet looked at.
    rest: Bytes,
    left: Left,
}

impl Answer {
    /// Reads into a place that is there only for this moment.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        let mut space = [MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = &mut *self;
        loop {
            let data = match &mut this.left {
                Left::Bytes(0) => return Poll::Ready(None),
                Left::Bytes(left) => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let data = this.rest.split_to(this.rest.len().min(most));
                    *left -= data.len() as u64;
                    data
                }
                Left::Chunks(chunks) => match chunks.next(&mut this.rest) {
                    Ok(Some(data)) => data,
                    Ok(None) => return Poll::Ready(None),
                    Err(what) => return Poll::Ready(Some(Err(invalid(what)))),
                },
                Left::All => std::mem::take(&mut this.rest),
            };
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            this.rest = ready!(this.poll_read(cx))?;
            if this.rest.is_empty() {
                return Poll::Ready(match this.left {
                    Left::All => None,
                    _ => Some(Err(ErrorKind::UnexpectedEof.into())),
                });
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.left, Left::Bytes(0))
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Left::Bytes(left) => SizeHint::with_exact(left),
            _ => SizeHint::default(),
        }
    }
}
