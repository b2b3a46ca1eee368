//! A reverse proxy with extensions, in front of any URL.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use hyper::body::Incoming;
use mcp_ext_core::ExtensionSet;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_layer::Layer;
use tower_service::Service;

use super::connection::{Limits, serve};
use super::upstream::Upstream;
use super::{Auth, HttpOptions, WireBody, WireLayer, WireService, json};

/// Where the proxy says that it is alive.
const HEALTH: &str = "/healthz";

/// The bounds of [`proxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyOptions {
    /// The bounds of the layer.
    pub http: HttpOptions,
    /// How long connecting to the upstream may take.
    pub connect_timeout: Duration,
    /// How long the upstream may take until its answer begins. What streams afterwards is not bounded.
    pub answer_timeout: Duration,
    /// How long a client may take to send the head of a request.
    pub head_timeout: Duration,
    /// Most connections of clients at once; more wait to be accepted.
    pub max_connections: usize,
    /// How long requests under way may go on when the proxy is stopped.
    pub grace: Duration,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            http: HttpOptions::default(),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(300),
            head_timeout: Duration::from_secs(30),
            max_connections: 4096,
            grace: Duration::from_secs(10),
        }
    }
}

/// Why a proxy does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The upstream is no `http` URL.
    #[error(
        "the upstream {0} must be an http:// URL with a host, as http://127.0.0.1:9000/mcp; put a TLS terminator in front of an https one"
    )]
    Upstream(Uri),
    /// Nobody would authenticate callers from other machines.
    #[error(
        "without authentication only a loopback address may be listened on, not {0}; use --auth upstream, or 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    /// The listener does not work.
    #[error("cannot accept connections: {0}")]
    Listener(std::io::Error),
}

/// Puts `set` in front of the server at `upstream`, until `stop` is done.
///
/// Requests to the path of `upstream` go through a [`WireLayer`]; `GET /healthz` is answered here; every other path is
/// passed to the same host.
///
/// # Errors
/// [`ProxyError`] when it cannot start.
pub async fn proxy(
    set: ExtensionSet,
    listener: TcpListener,
    upstream: Uri,
    options: ProxyOptions,
    stop: impl Future<Output = ()>,
) -> Result<(), ProxyError> {
    let address = listener.local_addr().map_err(ProxyError::Listener)?;
    if options.http.auth == Auth::None && !address.ip().is_loopback() {
        return Err(ProxyError::NotLoopback(address));
    }
    let target = upstream
        .authority()
        .filter(|_| upstream.scheme() == Some(&Scheme::HTTP))
        .and_then(|authority| {
            Upstream::new(
                authority.clone(),
                options.connect_timeout,
                options.answer_timeout,
            )
        });
    let Some(target) = target else {
        return Err(ProxyError::Upstream(upstream));
    };
    let site = Arc::new(Site {
        path: upstream.path().to_owned(),
        extended: WireLayer::new(set.clone())
            .options(options.http)
            .layer(target.clone()),
        plain: target,
    });

    let places = Arc::new(Semaphore::new(options.max_connections));
    let limits = Limits {
        head: options.head_timeout,
        lasting: options.http.max_listen,
        stalled: options.http.timeout,
    };
    let (stopping, stopped) = watch::channel(false);
    // Owned here, so that they end when this future does.
    let mut connections = JoinSet::new();
    // Once a second those that have ended are forgotten. And since a timer is always due soon, those that each request
    // starts, which are due later, need not wake whoever waits for the next one.
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = places.clone().acquire_owned().await;
            listener
                .accept()
                .await
                .map(|(stream, peer)| (stream, peer, place))
        };
        let (stream, peer, place) = tokio::select! {
            () = &mut stop => break,
            _ = tick.tick() => {
                while connections.try_join_next().is_some() {}
                site.plain.tick();
                continue;
            }
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                // A connection that is gone again, or no more files: neither ends the proxy.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // Small frames are answers that somebody waits for.
        let _ = stream.set_nodelay(true);
        let site = site.clone();
        let Ok(peer) = HeaderValue::from_str(&peer.ip().to_string()) else {
            continue;
        };
        let service = move |request| site.clone().serve(request, peer.clone());
        let connection = serve(stream, limits, service, stopped.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    set.end_subscriptions();
    // Streams that never end are cut off.
    let _ = stopping.send(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(options.grace, ended).await;
    connections.shutdown().await;
    Ok(())
}

struct Site {
    path: String,
    extended: WireService<Upstream>,
    plain: Upstream,
}

impl Site {
    async fn serve(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: HeaderValue,
    ) -> Result<Response<WireBody>, Infallible> {
        if request.uri().path() == HEALTH && request.method() == Method::GET {
            return Ok(json(200, r#"{"status":"ok"}"#.to_owned()));
        }
        strip(request.headers_mut());
        forwarded(request.headers_mut(), &peer);
        let response = if request.uri().path() == self.path {
            self.extended.clone().call(request).await
        } else {
            self.plain.clone().call(request.map(WireBody::new)).await
        };
        response.map(|mut response| {
            strip(response.headers_mut());
            response
        })
    }
}

/// Removes what concerns one hop alone.
fn strip(headers: &mut HeaderMap) {
    const HOP: [HeaderName; 9] = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    // Most messages have none of them.
    if !headers.keys().any(|name| HOP.contains(name)) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP {
        headers.remove(name);
    }
}

/// Says who was asked, and by whom.
fn forwarded(headers: &mut HeaderMap, peer: &HeaderValue) {
    const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let chain = match headers.get(FOR).map(|before| before.to_str()) {
        Some(Ok(before)) => {
            HeaderValue::from_str(&format!("{before}, {}", peer.to_str().unwrap_or_default()))
        }
        None | Some(Err(_)) => Ok(peer.clone()),
    };
    if let Ok(chain) = chain {
        headers.insert(FOR, chain);
    }
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert(HeaderName::from_static("x-forwarded-host"), host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_one_hop_is_removed() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "secret"),
            ("authorization", "kept"),
        ] {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        strip(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("authorization"));
    }
}
