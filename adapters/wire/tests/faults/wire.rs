//! HTTP/1.1 as bytes on a socket, so that it is seen how an answer ends, and anything can be sent.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::common::Random;

/// The start of a request or an answer.
#[derive(Debug)]
pub struct Head {
    pub first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// `None` when the connection ends before the head does.
    pub async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line).await.ok()? == 0 || !line.ends_with("\r\n") {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut lines = lines.into_iter();
        let first = lines.next()?;
        let headers = lines
            .filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect();
        Some(Self { first, headers })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn status(&self) -> u16 {
        self.first.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// Reads a body; the flag says whether it came whole. `slow` reads in small pieces, with pauses.
pub async fn body(
    from: &mut (impl AsyncBufRead + Unpin),
    head: &Head,
    slow: &mut Option<Random>,
) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    if head.header("transfer-encoding") == Some("chunked") {
        loop {
            let mut line = String::new();
            let read = from.read_line(&mut line).await;
            let Ok(size) = usize::from_str_radix(line.trim_end(), 16) else {
                return (all, false);
            };
            if !read.is_ok_and(|n| n > 0) || !line.ends_with("\r\n") {
                return (all, false);
            }
            if !take(from, size, &mut all, slow).await {
                return (all, false);
            }
            let mut end = [0; 2];
            if from.read_exact(&mut end).await.is_err() {
                return (all, false);
            }
            assert_eq!(&end, b"\r\n");
            if size == 0 {
                return (all, true);
            }
        }
    }
    let Some(length) = head.header("content-length") else {
        let whole = from.read_to_end(&mut all).await.is_ok();
        return (all, whole);
    };
    let whole = take(from, length.parse().unwrap(), &mut all, slow).await;
    (all, whole)
}

async fn take(
    from: &mut (impl AsyncBufRead + Unpin),
    mut size: usize,
    into: &mut Vec<u8>,
    slow: &mut Option<Random>,
) -> bool {
    let mut chunk = vec![0; 16 * 1024];
    while size > 0 {
        if let Some(random) = slow
            && random.chance(20)
        {
            tokio::time::sleep(std::time::Duration::from_millis(random.below(10))).await;
        }
        let piece = chunk.len().min(size);
        match from.read(&mut chunk[..piece]).await {
            Ok(n @ 1..) => {
                into.extend_from_slice(&chunk[..n]);
                size -= n;
            }
            _ => return false,
        }
    }
    true
}

/// An answer, and whether it came whole.
pub struct Answer {
    pub status: u16,
    events: bool,
    pub body: Vec<u8>,
    pub whole: bool,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (status, whole) = (self.status, if self.whole { "" } else { "cut off " });
        let start = &self.body[..self.body.len().min(500)];
        write!(f, "{status} {whole}{:?}", String::from_utf8_lossy(start))
    }
}

impl Answer {
    /// The frames, whether the body is JSON or a stream of events. An event that was cut off is none.
    pub fn frames(&self) -> Vec<Value> {
        let text = String::from_utf8_lossy(&self.body);
        if !self.events {
            return serde_json::from_str(&text).into_iter().collect();
        }
        let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
        whole
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}")))
            .collect()
    }

    /// Those of them that are answers.
    pub fn answers(&self) -> Vec<Value> {
        let mut all = self.frames();
        all.retain(|frame| frame.get("method").is_none());
        all
    }
}

/// One connection of a client.
pub struct Client {
    pub read: BufReader<OwnedReadHalf>,
    pub write: OwnedWriteHalf,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (read, write) = stream.into_split();
        Self {
            read: BufReader::new(read),
            write,
        }
    }

    /// Whether the other side still took it.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.write.write_all(bytes).await.is_ok()
    }

    /// `None` when the connection was closed instead.
    pub async fn answer(&mut self, slow: &mut Option<Random>) -> Option<Answer> {
        let head = Head::read(&mut self.read).await?;
        let (body, whole) = body(&mut self.read, &head, slow).await;
        Some(Answer {
            status: head.status(),
            events: head
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/event-stream")),
            body,
            whole,
        })
    }
}

/// A POST with what the headers repeat of its frame.
pub fn post(frame: &Value, session: Option<&str>) -> Vec<u8> {
    let body = frame.to_string();
    let mut head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n",
        body.len()
    );
    if let Some(session) = session {
        head.push_str(&format!("mcp-session-id: {session}\r\n"));
    } else {
        let method = frame["method"].as_str().unwrap();
        head.push_str(&format!(
            "mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n"
        ));
        if let Some(name) = frame["params"]["name"].as_str() {
            head.push_str(&format!("mcp-name: {name}\r\n"));
        }
    }
    format!("{head}\r\n{body}").into_bytes()
}
