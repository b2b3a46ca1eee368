//! Lines of bounded length, their bytes untouched.

use std::io;
use std::ops::Range;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::scan::Scan;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// Splits a stream into lines. Their ends stay part of them.
pub(crate) struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    /// Where the next line starts.
    start: usize,
    /// Up to where no line end was found.
    searched: usize,
    limit: usize,
    ended: bool,
}

/// What came with one more read.
pub(crate) enum Filled {
    /// Bytes; there may be whole lines now.
    More,
    /// A line longer than the limit. It is gone; this is what was seen in passing.
    TooLong(Box<Scan>),
    /// The end. What is left without a line end is the last line.
    End,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(from: R, limit: usize) -> Self {
        Self {
            from,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            limit,
            ended: false,
        }
    }

    /// The next whole line, or the rest when the stream has ended.
    pub fn next_line(&mut self) -> Option<Range<usize>> {
        let from = self.searched.max(self.start);
        let end = match memchr::memchr(b'\n', &self.buffer[from..]) {
            Some(at) => from + at + 1,
            None if self.ended && self.start < self.buffer.len() => self.buffer.len(),
            None => {
                self.searched = self.buffer.len();
                return None;
            }
        };
        let line = self.start..end;
        self.start = end;
        self.searched = end;
        Some(line)
    }

    /// What can be told of a line that came whole in one read, but is longer than the limit.
    pub fn too_long(&self, line: Range<usize>) -> Option<Box<Scan>> {
        let line = self.bytes(line);
        let frame = line.strip_suffix(b"\n").unwrap_or(line);
        (frame.len() > self.limit).then(|| {
            let mut scan = Box::<Scan>::default();
            scan.feed(frame);
            scan
        })
    }

    /// The bytes of lines that were given out since the last [`Self::fill`].
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Reads once more. The lines given out so far are forgotten.
    pub async fn fill(&mut self) -> io::Result<Filled> {
        self.forget();
        if self.buffer.len() > self.limit {
            return self.skip().await;
        }
        self.buffer.reserve(CHUNK);
        // Reads what fits the spare room, so the buffer overshoots the limit by at most that.
        if self.from.read_buf(&mut self.buffer).await? == 0 {
            self.ended = true;
            return Ok(Filled::End);
        }
        Ok(Filled::More)
    }

    fn forget(&mut self) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        // One large line does not keep its memory for good.
        if self.buffer.capacity() > 16 * CHUNK && self.buffer.len() < CHUNK {
            self.buffer.shrink_to(2 * CHUNK);
        }
    }

    /// Passes over the rest of a line, looking at it as it goes.
    async fn skip(&mut self) -> io::Result<Filled> {
        let mut scan = Box::<Scan>::default();
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer) {
                scan.feed(&self.buffer[..at]);
                self.buffer.drain(..=at);
                self.searched = 0;
                return Ok(Filled::TooLong(scan));
            }
            scan.feed(&self.buffer);
            self.buffer.clear();
            self.buffer.shrink_to(2 * CHUNK);
            self.buffer.reserve(CHUNK);
            self.searched = 0;
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                // The end comes with the next read.
                return Ok(Filled::TooLong(scan));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all<R: AsyncRead + Unpin>(
        input: R,
        limit: usize,
    ) -> Vec<Result<Vec<u8>, Option<String>>> {
        let mut lines = Lines::new(input, limit);
        let mut out = Vec::new();
        let mut ended = false;
        loop {
            while let Some(range) = lines.next_line() {
                out.push(match lines.too_long(range.clone()) {
                    Some(scan) => Err(scan.id().map(str::to_owned)),
                    None => Ok(lines.bytes(range).to_vec()),
                });
            }
            if ended {
                return out;
            }
            match lines.fill().await.unwrap() {
                Filled::More => {}
                Filled::TooLong(scan) => out.push(Err(scan.id().map(str::to_owned))),
                Filled::End => ended = true,
            }
        }
    }

    #[tokio::test]
    async fn lines_keep_every_byte() {
        let input = b"\xef\xbb\xbf{}\r\n\n\xff\0\nlast";
        let lines = all(&input[..], 100).await;
        let joined: Vec<u8> = lines.iter().flat_map(|l| l.clone().unwrap()).collect();
        assert_eq!(joined, input);
        assert_eq!(lines.len(), 4);
    }

    #[tokio::test]
    async fn a_long_line_is_passed_over_and_the_next_is_whole() {
        let mut input = br#"{"id":5,"x":""#.to_vec();
        input.extend(std::iter::repeat_n(b'a', 300_000));
        input.extend(b"\"}\nnext\n");
        let lines = all(&input[..], 1000).await;
        assert_eq!(lines, [Err(Some("5".to_owned())), Ok(b"next\n".to_vec())]);
        // Without an end of its own, and as the very last.
        input.truncate(200_000);
        assert_eq!(all(&input[..], 1000).await, [Err(Some("5".to_owned()))]);
    }
    /// How the stream was cut into reads decides nothing: the same line in one read, and byte by byte.
    #[tokio::test]
    async fn the_limit_is_the_same_for_every_cut() {
        struct Slow<'a>(&'a [u8]);
        impl AsyncRead for Slow<'_> {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                if let Some((first, rest)) = self.0.split_first() {
                    buf.put_slice(&[*first]);
                    self.0 = rest;
                }
                std::task::Poll::Ready(Ok(()))
            }
        }
        let fits = br#"{"id":1,"x":"aaaaaaa"}"#;
        let over = br#"{"id":2,"x":"aaaaaaaa"}"#;
        let input = [&fits[..], b"\n", over, b"\n", fits].concat();
        let expected = [
            Ok([&fits[..], b"\n"].concat()),
            Err(Some("2".to_owned())),
            Ok(fits.to_vec()),
        ];
        assert_eq!(all(&input[..], fits.len()).await, expected);
        assert_eq!(all(Slow(&input), fits.len()).await, expected);
    }
}
