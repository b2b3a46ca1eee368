//! Server-sent events: their bytes, and the one whose message is amended.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

use super::{BodyError, WireBody};

/// U+FEFF in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Cuts a stream into events. Every byte comes out again, line ends and comments included.
#[derive(Default)]
pub(crate) struct Events {
    buffer: BytesMut,
    /// Up to where no end of an event was found.
    searched: usize,
    /// Nothing more comes.
    ended: bool,
}

impl Events {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How much is held of an event that is not whole.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole event with the blank line that ends it.
    pub fn next_event(&mut self) -> Option<Bytes> {
        let end = self.end()?;
        self.searched = 0;
        Some(self.buffer.split_to(end).freeze())
    }

    /// Nothing more comes: a carriage return that stands last is a line end of its own.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// What is left.
    pub fn rest(&mut self) -> Bytes {
        self.searched = 0;
        self.buffer.split().freeze()
    }

    fn end(&mut self) -> Option<usize> {
        let all = &self.buffer;
        let mut at = self.searched;
        while let Some(found) = memchr::memchr2(b'\n', b'\r', &all[at..]) {
            let first = line_end(&all[at + found..], self.ended)?;
            let next = at + found + first;
            match all.get(next) {
                None => return None,
                Some(b'\n' | b'\r') => {
                    return line_end(&all[next..], self.ended).map(|second| next + second);
                }
                Some(_) => at = next,
            }
            // The line before this one cannot end the event any more.
            self.searched = at;
        }
        // A long line that comes in many pieces is not looked through again with each.
        self.searched = all.len();
        None
    }
}

/// The length of the line end that stands first; `None` when the next byte decides.
fn line_end(bytes: &[u8], ended: bool) -> Option<usize> {
    match bytes {
        [b'\r', b'\n', ..] => Some(2),
        [b'\r'] if !ended => None,
        _ => Some(1),
    }
}

/// The lines of an event.
fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    event.split(|b| *b == b'\n').flat_map(|line| {
        line.strip_suffix(b"\r")
            .unwrap_or(line)
            .split(|b| *b == b'\r')
    })
}

/// The value of a line if it is a `data` line.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data")?;
    match value {
        [] => Some(value),
        [b':', b' ', rest @ ..] | [b':', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// The data of an event, its lines joined.
pub(crate) fn data(event: &[u8]) -> Option<Vec<u8>> {
    let all: Vec<&[u8]> = lines(event).filter_map(data_of).collect();
    (!all.is_empty()).then(|| all.join(&b'\n'))
}

/// The same event with other data, on one line.
pub(super) fn with_data(event: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(event.len() + data.len());
    for line in lines(event).filter(|line| !line.is_empty() && data_of(line).is_none()) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    out.extend(
        data.iter()
            .map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }),
    );
    out.extend_from_slice(b"\n\n");
    out
}

/// An event of ours.
pub(super) fn event(frame: &str) -> Bytes {
    Bytes::from(format!("event: message\ndata: {frame}\n\n"))
}

/// Decides about one message: `None` when it is not the one; else what it becomes.
type AmendMessage = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>> + Send>;

/// A stream of events that passes through as it comes, but for one message.
pub(super) struct AmendedEvents {
    inner: WireBody,
    events: Events,
    /// Gone once the message has passed.
    amend: Option<AmendMessage>,
    /// Whether no event has passed yet.
    first: bool,
    limit: usize,
    out: VecDeque<Bytes>,
    ended: bool,
}

impl AmendedEvents {
    pub fn new(inner: WireBody, limit: usize, amend: AmendMessage) -> Self {
        Self {
            inner,
            events: Events::default(),
            amend: Some(amend),
            first: true,
            limit,
            out: VecDeque::new(),
            ended: false,
        }
    }

    fn take(&mut self, bytes: Bytes) {
        let Some(amend) = &mut self.amend else {
            self.out.push_back(bytes);
            return;
        };
        self.events.push(&bytes);
        while let Some(event) = self.events.next_event() {
            // A byte order mark may stand at the start of a stream, and is no part of its first line.
            let first = std::mem::take(&mut self.first);
            let mark = if first && event.starts_with(MARK) {
                MARK.len()
            } else {
                0
            };
            let bare = &event[mark..];
            let amended = data(bare).and_then(|data| amend(&data));
            match amended {
                None => self.out.push_back(event),
                Some(data) => {
                    self.out.push_back(event.slice(..mark));
                    self.out.push_back(with_data(bare, &data).into());
                    self.amend = None;
                    self.out.push_back(self.events.rest());
                    return;
                }
            }
        }
        // An event without end passes as it is.
        if self.events.held() > self.limit {
            self.amend = None;
            self.out.push_back(self.events.rest());
        }
    }
}

impl Body for AmendedEvents {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.out.pop_front() {
                if !bytes.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                continue;
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match Pin::new(&mut this.inner).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => this.take(bytes),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => {
                    this.ended = true;
                    this.events.finish();
                    this.take(Bytes::new());
                    let rest = this.events.rest();
                    this.out.push_back(rest);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(stream: &[u8], step: usize) -> (Vec<Bytes>, Bytes) {
        let mut events = Events::default();
        let mut all = Vec::new();
        for piece in stream.chunks(step) {
            events.push(piece);
            while let Some(event) = events.next_event() {
                all.push(event);
            }
        }
        (all, events.rest())
    }

    #[test]
    fn events_end_at_blank_lines_of_any_kind_and_keep_every_byte() {
        let stream =
            b": hello\n\nevent: a\r\ndata: 1\r\n\r\ndata:2\rdata: 3\r\rid: 4\ndata\n\n\ndata: 5";
        for step in 1..=stream.len() {
            let (events, rest) = split(stream, step);
            let joined = [events.concat(), rest.to_vec()].concat();
            assert_eq!(joined, stream, "in steps of {step}");
            let data: Vec<_> = events.iter().filter_map(|e| data(e)).collect();
            assert_eq!(data, [&b"1"[..], b"2\n3", b""], "in steps of {step}");
            assert_eq!(&rest[rest.len() - 7..], b"data: 5");
        }
    }

    #[test]
    fn other_lines_of_an_amended_event_stay() {
        let event = b"id: 7\r\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n";
        assert_eq!(data(event).unwrap(), b"{\"a\":\n1}");
        assert_eq!(
            with_data(event, b"{\n}"),
            b"id: 7\nevent: message\ndata: { }\n\n"
        );
    }
    #[tokio::test]
    async fn a_byte_order_mark_hides_nothing_and_stays() {
        use http_body_util::BodyExt;

        let amended = |stream: &'static str| {
            let inner = WireBody::from(Bytes::from_static(stream.as_bytes()));
            let amend = Box::new(|data: &[u8]| (data == b"x").then(|| b"y".to_vec()));
            AmendedEvents::new(inner, 100, amend).collect()
        };
        let all = amended("\u{feff}data: x\n\n\u{feff}data: x\n\n")
            .await
            .unwrap();
        assert_eq!(all.to_bytes(), "\u{feff}data: y\n\n\u{feff}data: x\n\n");
        // With an empty line in front of the event, which may go.
        let all = amended("\u{feff}\ndata: x\n\n").await.unwrap();
        assert_eq!(all.to_bytes(), "\u{feff}data: y\n\n");
        // Only there.
        let stream = "data: z\n\n\u{feff}data: x\n\n";
        assert_eq!(amended(stream).await.unwrap().to_bytes(), stream);
    }
    #[tokio::test]
    async fn an_event_may_end_with_the_stream() {
        use http_body_util::BodyExt;

        for (stream, expected) in [
            ("data: x\r\r", "data: y\n\n"),
            ("data: x\r\n\r", "data: y\n\n"),
            // Not ended by a blank line: no event, which a client would not be told of either.
            ("data: x\r", "data: x\r"),
            ("data: x\n", "data: x\n"),
        ] {
            let inner = WireBody::from(Bytes::from_static(stream.as_bytes()));
            let amend = Box::new(|data: &[u8]| (data == b"x").then(|| b"y".to_vec()));
            let all = AmendedEvents::new(inner, 100, amend).collect().await;
            assert_eq!(all.unwrap().to_bytes(), expected, "{stream:?}");
        }
    }
}
