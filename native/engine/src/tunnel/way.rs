//! The way that a tunnel makes: what it waits for, and what comes of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use crate::command::tunnel::{Auth, Destination, Socks};
use crate::error::{ConnectError, DownReason};
use crate::http::http2::{Greeted, greet};
use crate::options::{ConnectOptions, Http2Options};
use crate::protocol::{Context, Exit, Protocol};
use crate::sink::Sink;
use crate::transport::socks5::{self, Method, Target};
use crate::transport::{Io, tls, within};

/// What a tunnel waits for.
pub(super) enum Stage<K: Sink> {
    /// The byte stream to a destination, by SOCKS, by TLS, or by both.
    Make(Work<Result<Reached, ConnectError>>),
    /// The preface of HTTP/2, which is on its way.
    Greet(Work<Result<Greeted<Io>, DownReason>>, Arc<ConnectOptions>, Arc<Destination>),
    /// What is spoken at the end.
    Spoken(Box<dyn Protocol<K>>),
    /// Nothing.
    Over,
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A destination that the byte stream leads to.
pub(super) struct Reached {
    pub(super) io: Io,
    /// What TLS has chosen there.
    pub(super) alpn: Option<Vec<u8>>,
    pub(super) destination: Arc<Destination>,
}

/// What has come of it.
pub(super) enum Step<K: Sink> {
    /// A destination is reached.
    Arrived(Reached),
    /// The peer at the end has the preface.
    Greeted { greeted: Box<Greeted<Io>>, options: Arc<ConnectOptions>, destination: Arc<Destination> },
    /// The way cannot be made.
    Failed(DownReason),
    /// What is spoken at the end has ended.
    Exit(Exit<K>),
}

impl<K: Sink> Stage<K> {
    /// The byte stream leads to the destination: TLS comes first, where there is any.
    pub(super) fn shake(io: Io, destination: Arc<Destination>) -> Self {
        Self::Make(Box::pin(shake(io, destination)))
    }

    /// The byte stream leads to a proxy that speaks SOCKS.
    pub(super) fn negotiate(io: Io, socks: Arc<Socks>) -> Self {
        Self::Make(Box::pin(async move {
            let io = negotiate(io, &socks).await?;
            shake(io, Arc::clone(&socks.destination)).await
        }))
    }

    /// HTTP/2 is spoken to the destination.
    pub(super) fn greet(
        io: Io,
        http2: Arc<Http2Options>,
        options: Arc<ConnectOptions>,
        destination: Arc<Destination>,
    ) -> Self {
        // A proxy that speaks HTTP/2 may leave no room for it.
        let limit = http2.preface_timeout;
        let greeted = async move { within(limit, async { Ok(greet(io, http2).await) }).await? };
        Self::Greet(Box::pin(greeted), options, destination)
    }

    /// Goes on, until something comes of it.
    pub(super) fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut TaskContext<'_>) -> Poll<Step<K>> {
        let step = match self {
            Self::Make(work) => match ready!(work.as_mut().poll(cx)) {
                Ok(reached) => Step::Arrived(reached),
                Err(error) => Step::Failed(error.into()),
            },
            Self::Greet(work, options, destination) => match ready!(work.as_mut().poll(cx)) {
                Ok(greeted) => {
                    let (options, destination) = (Arc::clone(options), Arc::clone(destination));
                    Step::Greeted { greeted: Box::new(greeted), options, destination }
                }
                Err(reason) => Step::Failed(reason),
            },
            Self::Spoken(protocol) => return protocol.poll(context, cx).map(Step::Exit),
            Self::Over => return Poll::Pending,
        };
        *self = Self::Over;
        Poll::Ready(step)
    }
}

async fn shake(io: Io, destination: Arc<Destination>) -> Result<Reached, ConnectError> {
    let Some(client) = destination.tls.clone() else { return Ok(Reached { io, alpn: None, destination }) };
    let stream = tls::connect(io, &destination.host, &client, destination.tls_handshake_timeout).await?;
    let alpn = stream.alpn().map(<[u8]>::to_vec);
    Ok(Reached { io: Box::new(stream), alpn, destination })
}

async fn negotiate(mut io: Io, socks: &Socks) -> Result<Io, ConnectError> {
    let methods: Vec<_> = socks.auth.iter().map(method).collect();
    let destination = &*socks.destination;
    let target = destination.ip().map_or(Target::Name(&destination.host), Target::Address);
    within(socks.timeout, socks5::connect(&mut io, &methods, target, destination.port)).await?;
    Ok(io)
}

fn method(auth: &Auth) -> Method<'_> {
    match auth {
        Auth::None => Method::None,
        Auth::Password(user, password) => Method::Password(user, password),
    }
}
