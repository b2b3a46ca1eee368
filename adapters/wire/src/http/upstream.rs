//! The server behind the proxy, and the connections to it that are kept.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::connection::may_last;
use super::layer::bad_gateway;
use super::{WireBody, alone};

/// How many ticks a connection is kept that nobody uses.
const KEPT: u64 = 90;

type Connection = SendRequest<WireBody>;

/// One server. It is asked over kept connections, the one used last first, so that those nobody needs grow old.
///
/// All that the general client of hyper-util does beyond this (many hosts, TLS, HTTP/2) costs more on each request than
/// the rest of the proxy.
#[derive(Clone)]
pub(super) struct Upstream(Arc<Inner>);

struct Inner {
    authority: Authority,
    host: HeaderValue,
    connector: HttpConnector,
    answer_timeout: Duration,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    now: u64,
    /// With the tick at which each was last used, the oldest first.
    connections: Vec<(u64, Connection)>,
}

impl Upstream {
    /// `None` when the authority cannot stand in a `Host` header.
    pub fn new(
        authority: Authority,
        connect_timeout: Duration,
        answer_timeout: Duration,
    ) -> Option<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_nodelay(true);
        let host = match authority.port_u16() {
            None | Some(80) => authority.host(),
            // Without a user.
            Some(_) => authority.as_str().rsplit('@').next()?,
        };
        Some(Self(Arc::new(Inner {
            host: HeaderValue::from_str(host).ok()?,
            authority,
            connector,
            answer_timeout,
            kept: Mutex::default(),
        })))
    }

    /// Closes connections that nobody has used for long. To be called once a second.
    pub fn tick(&self) {
        let mut kept = self.0.kept();
        kept.now += 1;
        let now = kept.now;
        kept.connections
            .retain(|(used, connection)| now - used < KEPT && !connection.is_closed());
    }
}

impl Inner {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that is locked here is left half changed by a panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that can be used at once.
    fn take(&self) -> Option<Connection> {
        let mut kept = self.kept();
        while let Some((_, connection)) = kept.connections.pop() {
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn put(&self, connection: Connection) {
        let mut kept = self.kept();
        let now = kept.now;
        kept.connections.push((now, connection));
    }

    /// Keeps a connection once the answer has come over it, which most often it has by now.
    fn keep(self: &Arc<Self>, mut connection: Connection) {
        if connection.is_ready() {
            self.put(connection);
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            if connection.ready().await.is_ok() {
                this.put(connection);
            }
        });
    }

    /// A new connection; `None` when there is none to be had.
    async fn connect(&self) -> Option<TokioIo<TcpStream>> {
        let mut connector = self.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx)).await.ok()?;
        let to = Uri::builder()
            .scheme("http")
            .authority(self.authority.clone())
            .path_and_query("/")
            .build()
            .ok()?;
        connector.call(to).await.ok()
    }

    /// A new connection that can be used again and again.
    async fn open(&self) -> Option<Connection> {
        let stream = self.connect().await?;
        let (connection, work) = http1::handshake(stream).await.ok()?;
        tokio::spawn(async move {
            // Who waits for an answer over it is told how it ends.
            let _ = work.await;
        });
        Some(connection)
    }

    /// The answer to one request, which may last, on a connection of its own; `None` when the server cannot be reached.
    async fn ask_alone(&self, request: Request<WireBody>) -> Option<Response<WireBody>> {
        let stream = self.connect().await?.into_inner();
        alone::exchange(stream, request).await.ok()
    }

    /// The answer to one request; `None` when the server cannot be reached.
    async fn ask(self: &Arc<Self>, mut request: Request<WireBody>) -> Option<Response<WireBody>> {
        loop {
            let kept = self.take();
            let was_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Box::pin(self.open()).await?,
            };
            match connection.try_send_request(request).await {
                Ok(response) => {
                    self.keep(connection);
                    return Some(response.map(WireBody::new));
                }
                // The server was just closing it, and nothing of the request was sent.
                Err(mut error) if was_kept => request = error.take_message()?,
                Err(_) => return None,
            }
        }
    }
}

/// Whether a request gets a connection of its own.
fn is_alone(request: &Request<WireBody>) -> bool {
    let size = request.size_hint().exact();
    size.is_some_and(|size| size <= alone::MAX_BODY)
        && may_last(request.method(), request.headers())
}

impl Service<Request<WireBody>> for Upstream {
    type Response = Response<WireBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<WireBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<WireBody>) -> Self::Future {
        let this = self.0.clone();
        Box::pin(async move {
            if request.method() == Method::CONNECT {
                *request.uri_mut() = Uri::from(this.authority.clone());
            } else if request.uri().authority().is_some() {
                // Only a proxy is asked with the name of the host.
                let path = request.uri().path_and_query().cloned();
                *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
            }
            *request.version_mut() = http::Version::HTTP_11;
            request
                .headers_mut()
                .insert(header::HOST, this.host.clone());
            let answer = async {
                match is_alone(&request) {
                    true => Box::pin(this.ask_alone(request)).await,
                    false => this.ask(request).await,
                }
            };
            Ok(
                match tokio::time::timeout(this.answer_timeout, answer).await {
                    Ok(Some(response)) => response,
                    Ok(None) => bad_gateway("null", "the upstream server cannot be reached"),
                    Err(_) => {
                        let mut response =
                            bad_gateway("null", "the upstream server does not answer in time");
                        *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                        response
                    }
                },
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn upstream() -> (TcpListener, Upstream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string().parse().unwrap();
        let limit = Duration::from_secs(10);
        (listener, Upstream::new(authority, limit, limit).unwrap())
    }

    async fn ask(upstream: &Upstream, uri: &str) -> (StatusCode, Bytes) {
        let request = Request::post(uri)
            .header("host", "the.client.says")
            .body(WireBody::from(Bytes::from_static(b"question")))
            .unwrap();
        let response = upstream.clone().call(request).await.unwrap();
        let status = response.status();
        (status, response.collect().await.unwrap().to_bytes())
    }

    /// Reads a request up to its body, and answers with it.
    async fn answer(stream: &mut TcpStream) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(b"question") {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
        }
        let head = String::from_utf8(seen).unwrap();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}",
            head.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        head
    }

    #[tokio::test]
    async fn a_connection_is_kept_for_ninety_ticks() {
        let (listener, upstream) = upstream().await;
        let server = tokio::spawn(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            for _ in 0..3 {
                answer(&mut first).await;
            }
            assert_eq!(first.read(&mut [0]).await.unwrap(), 0, "closed");
            let (mut second, _) = listener.accept().await.unwrap();
            answer(&mut second).await;
        });
        for _ in 0..3 {
            assert_eq!(ask(&upstream, "/mcp").await.0, StatusCode::OK);
            for _ in 1..KEPT {
                upstream.tick();
            }
        }
        upstream.tick();
        assert_eq!(ask(&upstream, "/mcp").await.0, StatusCode::OK);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closed_is_not_used_again() {
        let (listener, upstream) = upstream().await;
        let server = tokio::spawn(async move {
            for _ in 0..50 {
                answer(&mut listener.accept().await.unwrap().0).await;
            }
        });
        let mut answered = 0;
        for _ in 0..50 {
            let (status, _) = ask(&upstream, "/mcp").await;
            match status {
                StatusCode::OK => answered += 1,
                // It was closed after it had been looked at, and before it was written to.
                other => assert_eq!(other, StatusCode::BAD_GATEWAY),
            }
            // It has been noticed by then.
            let open = || {
                let kept = upstream.0.kept();
                kept.connections.iter().any(|(_, c)| !c.is_closed())
            };
            while open() {
                tokio::task::yield_now().await;
            }
        }
        assert!(answered > 40, "{answered}");
        upstream.tick();
        assert!(upstream.0.kept().connections.is_empty());
        server.abort();
    }

    #[tokio::test]
    async fn who_is_answered_before_its_body_has_gone_blocks_nobody() {
        let (listener, upstream) = upstream().await;
        let server = tokio::spawn(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            first.read_exact(&mut [0; 100]).await.unwrap();
            let refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n";
            first.write_all(refusal).await.unwrap();
            let (mut second, _) = listener.accept().await.unwrap();
            answer(&mut second).await;
            first
        });
        let large = WireBody::from(Bytes::from(vec![0; 64 << 20]));
        let request = Request::post("/mcp").body(large).unwrap();
        let refused = upstream.clone().call(request).await.unwrap();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(ask(&upstream, "/mcp").await.0, StatusCode::OK);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn the_host_is_the_upstreams_and_the_path_the_clients() {
        let (listener, upstream) = upstream().await;
        let host = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            [answer(&mut stream).await, answer(&mut stream).await]
        });
        ask(&upstream, "/a?b=c").await;
        ask(&upstream, "http://elsewhere:1/a?b=c").await;
        for head in server.await.unwrap() {
            assert!(head.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{head}");
            assert_eq!(head.matches("host:").count(), 1, "{head}");
            assert!(head.contains(&format!("host: {host}\r\n")), "{head}");
        }
    }

    #[test]
    fn a_host_has_no_user_and_no_usual_port() {
        let limit = Duration::from_secs(1);
        for (authority, host) in [
            ("a.example", "a.example"),
            ("a.example:80", "a.example"),
            ("a.example:8080", "a.example:8080"),
            ("me:secret@a.example:8080", "a.example:8080"),
            ("me@a.example", "a.example"),
            ("[::1]:9000", "[::1]:9000"),
        ] {
            let upstream = Upstream::new(authority.parse().unwrap(), limit, limit).unwrap();
            assert_eq!(upstream.0.host, host);
        }
    }
}
