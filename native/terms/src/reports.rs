//! What the process behind ConnPid receives: `{gun_rs_native, Event}`.

mod steps;

use std::net::{IpAddr, SocketAddr};

use gun_rs_engine::error::{ConnectError, DownReason};
use gun_rs_engine::event::{Next, NotSent};
use gun_rs_engine::{Message, ProtocolName, Stats};
use http::HeaderMap;

pub use self::steps::{End, Stepping};
use crate::frame::frame;
use crate::messages::{headers_term, protocol_term};
use crate::name::Name;
use crate::reasons;
use crate::term::Terms;

/// The end of a connection that was up.
pub struct Down<'a, X> {
    /// What the connection spoke.
    pub protocol: ProtocolName,
    /// Why it has ended.
    pub reason: &'a DownReason,
    /// The ping that has ended it, if one has.
    pub ping: Option<X>,
    /// The streams that have ended with it.
    pub killed: Vec<X>,
    /// What follows.
    pub next: Next,
    /// Whether the peer has answered a request on it, or accepted an upgrade.
    pub served: bool,
}

/// A WebSocket whose frames a module of the user's takes.
pub struct WebsocketInit<'a, X> {
    /// The stream.
    pub stream: X,
    /// Who the module sends to.
    pub reply_to: X,
    /// The subprotocol that the server has chosen.
    pub subprotocol: Option<&'a str>,
    /// The headers of the server's answer.
    pub headers: &'a HeaderMap,
    /// The options of the upgrade.
    pub options: Option<X>,
}

/// What is known of a stream.
pub enum StreamState<X> {
    /// There is no connection, so there are no streams.
    NotConnected,
    /// There is no such stream.
    Unknown,
    /// There is one.
    Known {
        /// Its reference.
        stream: X,
        /// Who its messages are for.
        reply_to: X,
        /// Whether messages are still sent for it: it was not cancelled.
        running: bool,
    },
    /// There is one, and it is a WebSocket.
    Websocket {
        /// Its reference.
        stream: X,
        /// Who its messages are for.
        reply_to: X,
        /// What it has received and sent.
        stats: Stats,
    },
}

/// Builds the reports of a connection to its process.
#[derive(Clone, Copy)]
pub struct Reports<T: Terms>(T);

impl<T: Terms> Reports<T> {
    /// Reports made of these terms.
    #[inline]
    pub fn new(terms: T) -> Self {
        Self(terms)
    }

    /// The connection is up. The address is the socket's own.
    pub fn up(self, protocol: ProtocolName, local: Option<SocketAddr>) -> T::Term {
        let address = local.map(|local| socket_address(self.0, local));
        self.report([self.name(Name::Up), protocol_term(self.0, protocol), self.0.optional(address)])
    }

    /// A way through a proxy is open: on a stream, `beside` what else the connection does, or for all of it. `destination`
    /// is what the process has given with it.
    pub fn tunnel_up(
        self,
        stream: Option<T::Term>,
        protocol: ProtocolName,
        destination: T::Term,
        beside: bool,
    ) -> T::Term {
        let (protocol, beside) = (protocol_term(self.0, protocol), self.0.boolean(beside));
        self.report([self.name(Name::TunnelUp), self.0.optional(stream), protocol, destination, beside])
    }

    /// A way on a stream is over.
    pub fn tunnel_over(self, stream: T::Term) -> T::Term {
        self.report([self.name(Name::TunnelOver), stream])
    }

    /// An attempt to connect has failed.
    pub fn connect_failed(self, error: &ConnectError) -> T::Term {
        self.report([self.name(Name::ConnectFailed), reasons::connect_error(self.0, error)])
    }

    /// The connection is down.
    pub fn down(self, down: Down<'_, T::Term>) -> T::Term {
        self.report([
            self.name(Name::Down),
            protocol_term(self.0, down.protocol),
            reasons::down_reason(self.0, down.reason, down.ping),
            self.next(down.next),
            self.0.list(down.killed),
            self.0.boolean(down.served),
        ])
    }

    /// The graceful end is reached.
    pub fn shut_down(self) -> T::Term {
        self.event(self.name(Name::ShutDown))
    }

    /// The connection's task has panicked; it spoke `protocol`, if it was up.
    pub fn panicked(self, protocol: Option<ProtocolName>, text: &str, killed: Vec<T::Term>) -> T::Term {
        let protocol = protocol.map(|protocol| protocol_term(self.0, protocol));
        self.report([
            self.name(Name::Panic),
            self.0.optional(protocol),
            reasons::panic(self.0, text),
            self.0.list(killed),
        ])
    }

    /// A WebSocket is open whose frames go to a module of the user's.
    pub fn websocket_init(self, init: WebsocketInit<'_, T::Term>) -> T::Term {
        let subprotocol = init.subprotocol.map(|name| self.0.binary(name.as_bytes()));
        self.report([
            self.name(Name::WsInit),
            init.stream,
            init.reply_to,
            self.0.optional(subprotocol),
            headers_term(self.0, init.headers),
            self.0.optional(init.options),
        ])
    }

    /// A frame for a module of the user's.
    pub fn frame(self, stream: T::Term, message: Message<'_, T::Payload>) -> T::Term {
        self.report([self.name(Name::WsFrame), stream, frame(self.0, message)])
    }

    /// A message that the process is to deliver to `receiver`.
    pub fn deliver(self, receiver: T::Term, message: T::Term) -> T::Term {
        self.report([self.name(Name::Deliver), receiver, message])
    }

    /// No message follows for this stream: the process may keep something for it.
    pub fn forget(self, stream: T::Term) -> T::Term {
        self.report([self.name(Name::Forget), stream])
    }

    /// Asks the process to answer when it has delivered everything before this.
    pub fn relay_check(self) -> T::Term {
        self.event(self.name(Name::RelayCheck))
    }

    /// Asks whether the receiver keeps up, after so many messages, and bytes of them, since it was last asked.
    pub fn flow_check(self, stream: T::Term, reply_to: T::Term, messages: u64, bytes: u64) -> T::Term {
        let (messages, bytes) = (self.0.integer(messages), self.0.integer(bytes));
        self.report([self.name(Name::FlowCheck), stream, reply_to, messages, bytes])
    }

    /// Asks whether the receiver has answered what it was sent before the peer broke the protocol.
    pub fn settle(self, stream: T::Term, reply_to: T::Term) -> T::Term {
        self.report([self.name(Name::Settle), stream, reply_to])
    }

    /// Frames have been handed to the operating system.
    pub fn sent(self, receipt: T::Term) -> T::Term {
        self.report([self.name(Name::Sent), receipt, self.name(Name::Ok)])
    }

    /// Frames will never be sent.
    pub fn not_sent(self, receipt: T::Term, error: &NotSent<'_>) -> T::Term {
        let error = self.0.tagged(Name::Error, reasons::not_sent(self.0, error));
        self.report([self.name(Name::Sent), receipt, error])
    }

    /// What gun's stream_info/2 answers.
    pub fn stream_info(self, receipt: T::Term, state: StreamState<T::Term>) -> T::Term {
        let answer = match state {
            StreamState::NotConnected => self.0.tagged(Name::Error, self.name(Name::NotConnected)),
            StreamState::Unknown => self.0.tagged(Name::Ok, self.name(Name::Undefined)),
            StreamState::Known { stream, reply_to, running } => {
                let state = self.name(if running { Name::Running } else { Name::Stopping });
                let info = [(Name::Ref, stream), (Name::ReplyTo, reply_to), (Name::State, state)];
                self.0.tagged(Name::Ok, self.0.map(info))
            }
            StreamState::Websocket { stream, reply_to, stats } => {
                let (state, stats) = (self.name(Name::Running), self.stats(stats));
                let info = [(Name::Ref, stream), (Name::ReplyTo, reply_to), (Name::State, state), (Name::Stats, stats)];
                self.0.tagged(Name::Ok, self.0.map(info))
            }
        };
        self.report([self.name(Name::StreamInfo), receipt, answer])
    }

    /// What is counted of a WebSocket: the same as of its connection, but for what concerns TLS.
    fn stats(self, stats: Stats) -> T::Term {
        let pairs = [
            (Name::FramesIn, stats.frames_in),
            (Name::BytesIn, stats.bytes_in),
            (Name::FramesOut, stats.frames_out),
            (Name::BytesOut, stats.bytes_out),
            (Name::SendQueue, stats.queued),
            (Name::Uncompressed, stats.uncompressed),
            (Name::Compressed, stats.compressed),
        ];
        self.0.map(pairs.map(|(name, count)| (name, self.0.integer(count))))
    }

    fn report<const N: usize>(self, event: [T::Term; N]) -> T::Term {
        self.event(self.0.tuple(event))
    }

    fn event(self, event: T::Term) -> T::Term {
        self.0.tagged(Name::GunRsNative, event)
    }

    fn name(self, name: Name) -> T::Term {
        self.0.name(name)
    }

    fn next(self, next: Next) -> T::Term {
        match next {
            Next::Nothing => self.name(Name::Undefined),
            Next::ClosedByUser => self.name(Name::ClosedByUser),
            Next::Reupgrade { after } => {
                let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                self.0.tagged(Name::Reupgrade, self.0.integer(after))
            }
        }
    }
}

/// `{IpTuple, Port}`, as `inet:sockname/1` has it.
pub(crate) fn socket_address<T: Terms>(terms: T, address: SocketAddr) -> T::Term {
    terms.tuple([ip_address(terms, address.ip()), terms.integer(address.port().into())])
}

/// As `inet:ip_address()` is.
fn ip_address<T: Terms>(terms: T, address: IpAddr) -> T::Term {
    match address {
        IpAddr::V4(ip) => terms.tuple(ip.octets().map(|octet| terms.integer(octet.into()))),
        IpAddr::V6(ip) => terms.tuple(ip.segments().map(|segment| terms.integer(segment.into()))),
    }
}
