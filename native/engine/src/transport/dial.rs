//! How a connection gets its byte stream: a dial opens a socket, then makes one hop after the other. Each hop takes the
//! stream below and gives the next one.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::proxy::{self, Proxy};
use super::socket::Socket;
use super::step::DialStep;
use super::tls::{self, TlsByteStream, TlsClient};
use super::{Io, tcp, unix};
use crate::error::ConnectError;
use crate::error::proxy::ProxyError;
use crate::options::{ConnectOptions, Endpoint};

/// By what an endpoint is dialled.
#[derive(Clone, Default)]
pub struct Route {
    /// TLS with the endpoint, where there is a configuration for it.
    pub tls: Option<Arc<TlsClient>>,
    /// The proxy that leads there. To a Unix domain socket none does.
    pub proxy: Option<Arc<Proxy>>,
}

/// Straight to the endpoint.
impl From<Option<Arc<TlsClient>>> for Route {
    fn from(tls: Option<Arc<TlsClient>>) -> Self {
        Self { tls, proxy: None }
    }
}

/// A dial under way.
///
/// It is polled with an observer rather than awaited, so that it borrows the observer for one poll only. In between,
/// the caller may use what the observer borrows.
pub struct Dial<'a> {
    options: &'a ConnectOptions,
    /// The proxy, until it leads to the endpoint: what fails before is its failure.
    proxy: Option<&'a Proxy>,
    /// The hops that are still to be made on top of the socket, the next one first.
    hops: VecDeque<Hop<'a>>,
    stage: Stage<'a>,
    local: Option<SocketAddr>,
    alpn: Option<Vec<u8>>,
}

/// The result of a dial.
pub struct Dialed {
    /// The byte stream to the server.
    pub io: Io,
    /// The local address of the socket. A Unix domain socket has none.
    pub local: Option<SocketAddr>,
    /// The protocol that the server has chosen, if it has chosen one (ALPN, RFC 7301).
    pub alpn: Option<Vec<u8>>,
}

/// The way from one byte stream to the next.
enum Hop<'a> {
    /// TLS with the server of this name.
    Tls { host: &'a str, client: &'a TlsClient },
    /// A proxy, which is to lead to this host and port.
    Proxy { proxy: &'a Proxy, host: &'a str, port: u16 },
}

/// What the dial waits for.
///
/// ```text
/// Begin -- tcp --> LookUp --> Connect --> the hops --> Done
///   |                            ^
///   +---------- unix ------------+
///
/// a hop:  HandshakeTls or Lead
/// ```
enum Stage<'a> {
    /// The first poll.
    Begin,
    /// The addresses of the host.
    LookUp(Work<'a, Vec<SocketAddr>>),
    /// The socket.
    Connect(Work<'a, Socket>),
    /// A TLS handshake on the stream below.
    HandshakeTls(Work<'a, TlsByteStream<Io>>),
    /// A proxy, to lead on.
    Lead(Work<'a, Io>),
    /// Nothing: it has given its result.
    Done,
}

/// Each stage has a box of its own, so that a stage that is over takes no room in the stages after it.
type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, ConnectError>> + Send + 'a>>;

/// The next stage, or the end.
type Next<'a> = ControlFlow<Dialed, Stage<'a>>;

impl<'a> Dial<'a> {
    /// A dial to the endpoint in `options` by this route.
    #[must_use]
    pub fn new(options: &'a ConnectOptions, route: &'a Route) -> Self {
        let mut hops = VecDeque::new();
        let mut through = None;
        if let (Some(proxy), Endpoint::Tcp { host, port }) = (route.proxy.as_deref(), &options.endpoint) {
            hops.extend(proxy.tls.as_deref().map(|client| Hop::Tls { host: &proxy.host, client }));
            hops.push_back(Hop::Proxy { proxy, host, port: *port });
            through = Some(proxy);
        }
        hops.extend(route.tls.as_deref().map(|client| Hop::Tls { host: options.endpoint.host(), client }));
        Self { options, proxy: through, hops, stage: Stage::Begin, local: None, alpn: None }
    }

    /// Goes on as far as it can without waiting. The observer gets the steps in [`ConnectOptions::observed`] and no
    /// others. After its result the dial is never ready again.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn poll(
        &mut self,
        observer: &mut dyn FnMut(DialStep<'_>),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Dialed, ConnectError>> {
        loop {
            match ready!(self.poll_stage(observer, cx)) {
                Ok(ControlFlow::Continue(stage)) => self.stage = stage,
                Ok(ControlFlow::Break(dialed)) => {
                    self.stage = Stage::Done;
                    return Poll::Ready(Ok(dialed));
                }
                Err(error) => {
                    self.stage = Stage::Done;
                    let of_proxy = |error| ProxyError::Connect(error).into();
                    return Poll::Ready(Err(if self.proxy.is_some() { of_proxy(error) } else { error }));
                }
            }
        }
    }

    fn poll_stage(
        &mut self,
        observer: &mut dyn FnMut(DialStep<'_>),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Next<'a>, ConnectError>> {
        let next = match &mut self.stage {
            Stage::Begin => ControlFlow::Continue(self.begin(observer)),
            Stage::LookUp(work) => {
                let result = ready!(work.as_mut().poll(cx));
                self.report(observer, DialStep::DomainLookupEnd(result.as_deref()));
                ControlFlow::Continue(self.connect_tcp(result?, observer))
            }
            Stage::Connect(work) => {
                let result = ready!(work.as_mut().poll(cx)).map(|socket| (socket.local_addr(), socket));
                self.report(observer, DialStep::ConnectEnd(result.as_ref().map(|(local, _)| *local)));
                let (local, socket) = result?;
                self.local = local;
                self.make_hop(Box::new(socket), observer)
            }
            Stage::HandshakeTls(work) => {
                let result = ready!(work.as_mut().poll(cx));
                self.report(observer, DialStep::TlsHandshakeEnd(result.as_ref().map(TlsByteStream::alpn)));
                let stream = result?;
                self.alpn = stream.alpn().map(<[u8]>::to_vec);
                self.make_hop(Box::new(stream), observer)
            }
            Stage::Lead(work) => {
                let io = ready!(work.as_mut().poll(cx))?;
                self.make_hop(io, observer)
            }
            Stage::Done => return Poll::Pending,
        };
        Poll::Ready(Ok(next))
    }

    fn begin(&self, observer: &mut dyn FnMut(DialStep<'_>)) -> Stage<'a> {
        let options = self.options;
        let (host, port) = match (self.proxy, &options.endpoint) {
            (Some(proxy), _) => (&proxy.host, proxy.port),
            (None, Endpoint::Tcp { host, port }) => (host, *port),
            (None, Endpoint::Unix(path)) => {
                self.report(observer, DialStep::ConnectStart { addresses: &[] });
                return Stage::Connect(Box::pin(async move { unix::connect(path, options).await.map(Socket::Unix) }));
            }
        };
        self.report(observer, DialStep::DomainLookupStart { host, port });
        Stage::LookUp(Box::pin(tcp::look_up(host, port, options)))
    }

    fn connect_tcp(&self, addresses: Vec<SocketAddr>, observer: &mut dyn FnMut(DialStep<'_>)) -> Stage<'a> {
        self.report(observer, DialStep::ConnectStart { addresses: &addresses });
        let options = self.options;
        Stage::Connect(Box::pin(async move { tcp::connect(addresses, options).await.map(Socket::Tcp) }))
    }

    /// Begins the next hop on `io`. Where there is none, `io` is the result.
    fn make_hop(&mut self, io: Io, observer: &mut dyn FnMut(DialStep<'_>)) -> Next<'a> {
        match self.hops.pop_front() {
            Some(Hop::Tls { host, client }) => {
                self.report(observer, DialStep::TlsHandshakeStart { host });
                let timeout = self.options.tls_handshake_timeout;
                let work = async move { tls::connect(io, host, client, timeout).await };
                ControlFlow::Continue(Stage::HandshakeTls(Box::pin(work)))
            }
            Some(Hop::Proxy { proxy, host, port }) => {
                // It has agreed on a protocol of its own.
                (self.proxy, self.alpn) = (None, None);
                ControlFlow::Continue(Stage::Lead(Box::pin(proxy::lead(io, proxy, (host, port), self.options))))
            }
            None => ControlFlow::Break(Dialed { io, local: self.local, alpn: self.alpn.take() }),
        }
    }

    fn report(&self, observer: &mut dyn FnMut(DialStep<'_>), step: DialStep<'_>) {
        if self.options.observed.contains(step.kind()) {
            observer(step);
        }
    }
}
