//! The bodies of requests and responses here.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

/// An error of any kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(#[source] BoxError);

/// The bodies that [`WireService`](super::WireService) gives to the service it wraps, and answers with.
#[derive(Debug)]
pub struct WireBody(Kind);

/// Those that every forwarded request has are in no box.
#[derive(Debug)]
enum Kind {
    Whole(Full<Bytes>),
    #[cfg(any(feature = "proxy", feature = "client"))]
    Incoming(hyper::body::Incoming),
    Any(UnsyncBoxBody<Bytes, BodyError>),
}

impl WireBody {
    /// Any body.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        // A body is asked for its type, so that one of these is not put into another.
        let any: &mut dyn Any = &mut body;
        if let Some(same) = any.downcast_mut::<Option<Self>>().and_then(Option::take) {
            return same;
        }
        if let Some(whole) = any
            .downcast_mut::<Option<Full<Bytes>>>()
            .and_then(Option::take)
        {
            return Self(Kind::Whole(whole));
        }
        #[cfg(any(feature = "proxy", feature = "client"))]
        if let Some(incoming) = any
            .downcast_mut::<Option<hyper::body::Incoming>>()
            .and_then(Option::take)
        {
            return Self(Kind::Incoming(incoming));
        }
        match body {
            Some(body) => Self(Kind::Any(
                body.map_err(|error| BodyError(error.into())).boxed_unsync(),
            )),
            // Not reached: it is taken only where this returns.
            None => Self::from(Bytes::new()),
        }
    }
}

/// A whole body.
impl From<Bytes> for WireBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Full::new(bytes)))
    }
}

impl Body for WireBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Whole(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            #[cfg(any(feature = "proxy", feature = "client"))]
            Kind::Incoming(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|error| BodyError(error.into())),
            Kind::Any(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(body) => body.is_end_stream(),
            #[cfg(any(feature = "proxy", feature = "client"))]
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Any(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => body.size_hint(),
            #[cfg(any(feature = "proxy", feature = "client"))]
            Kind::Incoming(body) => body.size_hint(),
            Kind::Any(body) => body.size_hint(),
        }
    }
}
