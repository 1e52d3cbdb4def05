//! How a connection gets its byte stream: a dial opens a socket, then makes one hop after the other. Each hop takes the
//! stream below and gives the next one.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::socket::Socket;
use super::step::DialStep;
use super::tls::{self, TlsByteStream, TlsClient};
use super::{Io, tcp, unix};
use crate::error::ConnectError;
use crate::options::{ConnectOptions, Endpoint};

/// A dial under way.
///
/// It is polled with an observer rather than awaited, so that it borrows the observer for one poll only. In between,
/// the caller may use what the observer borrows.
pub struct Dial<'a> {
    options: &'a ConnectOptions,
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
    Tls { host: &'a str, client: Arc<TlsClient> },
}

/// What the dial waits for.
///
/// ```text
/// Begin -- tcp --> LookUp --> Connect --> Done
///   |                          ^  |        ^
///   +--------- unix -----------+  v        |
///                             HandshakeTls -
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
    /// Nothing: it has given its result.
    Done,
}

/// Each stage has a box of its own, so that a stage that is over takes no room in the stages after it.
type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, ConnectError>> + Send + 'a>>;

/// The next stage, or the end.
type Next<'a> = ControlFlow<Dialed, Stage<'a>>;

impl<'a> Dial<'a> {
    /// A dial to the endpoint in `options`, over TLS if there is a configuration for it.
    #[must_use]
    pub fn new(options: &'a ConnectOptions, tls: Option<Arc<TlsClient>>) -> Self {
        let host = options.endpoint.host();
        let hops = tls.into_iter().map(|client| Hop::Tls { host, client }).collect();
        Self { options, hops, stage: Stage::Begin, local: None, alpn: None }
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
                    return Poll::Ready(Err(error));
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
            Stage::Done => return Poll::Pending,
        };
        Poll::Ready(Ok(next))
    }

    fn begin(&self, observer: &mut dyn FnMut(DialStep<'_>)) -> Stage<'a> {
        let options = self.options;
        match &options.endpoint {
            Endpoint::Tcp { host, port } => {
                self.report(observer, DialStep::DomainLookupStart { host, port: *port });
                Stage::LookUp(Box::pin(tcp::look_up(host, *port, options)))
            }
            Endpoint::Unix(path) => {
                self.report(observer, DialStep::ConnectStart { addresses: &[] });
                Stage::Connect(Box::pin(async move { unix::connect(path, options).await.map(Socket::Unix) }))
            }
        }
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
                let work = async move { tls::connect(io, host, &client, timeout).await };
                ControlFlow::Continue(Stage::HandshakeTls(Box::pin(work)))
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
