//! The steps of a connection: `{step, Name, Map}`, with the names and keys of gun's event handlers. What this side does not
//! know is added by the process that receives them.

use std::net::SocketAddr;

use gun_rs_engine::event::Stats;
use gun_rs_engine::event::step::{Fragmented, Function, RequestHead, Takeover};
use gun_rs_engine::transport::step::DialStep;
use gun_rs_engine::websocket::frame::{Header, Opcode};
use gun_rs_engine::{Data, Message, Promise, ProtocolName};
use http::{HeaderMap, StatusCode};

use super::{Reports, ip_address, socket_address};
use crate::frame::{fin_name, frame};
use crate::messages::{headers_term, protocol_term};
use crate::name::Name;
use crate::reasons;
use crate::term::Terms;

/// The stream of a step.
#[derive(Clone)]
pub struct Stepping<X> {
    /// Its reference.
    pub stream: X,
    /// Who its messages are for; of a frame that is sent, who sends it.
    pub reply_to: X,
}

/// Which end has cancelled a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// This one.
    Local,
    /// The other one.
    Remote,
}

impl<T: Terms> Reports<T> {
    /// A step of a dial. `protocol` of the end of a TLS handshake is what the server has chosen, as a binary.
    pub fn dial_step(self, step: &DialStep<'_>) -> T::Term {
        match step {
            DialStep::DomainLookupStart { host, port } => {
                self.step(Name::DomainLookupStart, [(Name::Host, self.text(host)), (Name::Port, self.port(*port))])
            }
            DialStep::DomainLookupEnd(Ok(addresses)) => {
                self.step(Name::DomainLookupEnd, [(Name::IpAddresses, self.addresses(addresses))])
            }
            DialStep::DomainLookupEnd(Err(error)) => self.failed(Name::DomainLookupEnd, error),
            DialStep::ConnectStart { addresses } => {
                self.step(Name::ConnectStart, [(Name::IpAddresses, self.addresses(addresses))])
            }
            DialStep::ConnectEnd(Ok(local)) => {
                let local = local.map(|local| socket_address(self.0, local));
                self.step(Name::ConnectEnd, [(Name::Local, self.0.optional(local))])
            }
            DialStep::ConnectEnd(Err(error)) => self.failed(Name::ConnectEnd, error),
            DialStep::TlsHandshakeStart { host } => self.step(Name::TlsHandshakeStart, [(Name::Host, self.text(host))]),
            DialStep::TlsHandshakeEnd(Ok(alpn)) => {
                let alpn = self.0.optional(alpn.map(|alpn| self.0.binary(alpn)));
                self.step(Name::TlsHandshakeEnd, [(Name::Protocol, alpn)])
            }
            DialStep::TlsHandshakeEnd(Err(error)) => self.failed(Name::TlsHandshakeEnd, error),
        }
    }

    /// A step that has nothing but its stream.
    pub fn stream_step(self, name: Name, stream: Stepping<T::Term>) -> T::Term {
        self.step(name, stream_of(stream))
    }

    /// `request_start` or `request_headers`.
    pub fn request_step(self, name: Name, stream: Stepping<T::Term>, head: RequestHead<'_>) -> T::Term {
        let [stream, reply_to] = stream_of(stream);
        let function = match head.function {
            Function::Request => Name::Request,
            Function::Headers => Name::Headers,
            Function::WsUpgrade => Name::WsUpgrade,
            Function::Connect => Name::Connect,
        };
        let function = (Name::Function, self.0.name(function));
        let method = (Name::Method, self.text(head.method.as_str()));
        let authority = (Name::Authority, self.text(head.authority));
        let headers = (Name::Headers, headers_term(self.0, head.headers));
        if head.function == Function::Connect {
            return self.step(name, [stream, reply_to, function, method, authority, headers]);
        }
        let path = head.target.path_and_query().map_or("", |path| path.as_str());
        let path = (Name::Path, self.text(path));
        self.step(name, [stream, reply_to, function, method, authority, path, headers])
    }

    /// `response_inform` or `response_headers`.
    pub fn response_step(
        self,
        name: Name,
        stream: Stepping<T::Term>,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> T::Term {
        let [stream, reply_to] = stream_of(stream);
        let status = (Name::Status, self.0.integer(status.as_u16().into()));
        self.step(name, [stream, reply_to, status, (Name::Headers, headers_term(self.0, headers))])
    }

    /// `response_trailers`.
    pub fn trailers_step(self, stream: Stepping<T::Term>, trailers: &HeaderMap) -> T::Term {
        let [stream, reply_to] = stream_of(stream);
        self.step(Name::ResponseTrailers, [stream, reply_to, (Name::Headers, headers_term(self.0, trailers))])
    }

    /// `push_promise_end`: the promise has this stream, unless it is refused.
    pub fn promise_step(self, parent: Stepping<T::Term>, promised: Option<T::Term>, promise: &Promise<'_>) -> T::Term {
        let [stream, reply_to] = stream_of(parent);
        let method = (Name::Method, self.text(promise.method.as_str()));
        let uri = (Name::Uri, self.text(&promise.uri.to_string()));
        let headers = (Name::Headers, headers_term(self.0, promise.headers));
        match promised {
            Some(promised) => {
                let promised = (Name::PromisedStreamRef, promised);
                self.step(Name::PushPromiseEnd, [stream, reply_to, promised, method, uri, headers])
            }
            None => self.step(Name::PushPromiseEnd, [stream, reply_to, method, uri, headers]),
        }
    }

    /// `cancel`, with the name of the code.
    pub fn cancel_step(self, stream: Stepping<T::Term>, end: End, code: &'static str) -> T::Term {
        let [stream, reply_to] = stream_of(stream);
        let end = if end == End::Local { Name::Local } else { Name::Remote };
        let (end, code) = ((Name::Endpoint, self.0.name(end)), (Name::Reason, self.0.atom(code)));
        self.step(Name::Cancel, [stream, reply_to, end, code])
    }

    /// `stream_error`, which is no event of gun's: the stream has failed for this reason.
    pub fn stream_error_step(self, stream: Stepping<T::Term>, reason: T::Term) -> T::Term {
        let [stream, reply_to] = stream_of(stream);
        self.step(Name::StreamError, [stream, reply_to, (Name::Reason, reason)])
    }

    /// `ws_end`, which is no event of gun's: a WebSocket is over.
    pub fn websocket_end_step(self, stream: Stepping<T::Term>, close_code: Option<u16>, stats: Stats) -> T::Term {
        let [stream, reply_to] = stream_of(stream);
        let code = (Name::CloseCode, self.0.optional(close_code.map(|code| self.0.integer(code.into()))));
        self.step(Name::WsEnd, [stream, reply_to, code, (Name::Stats, self.stats(stats))])
    }

    /// `protocol_changed`. The stream is named that has changed it, if one has.
    pub fn protocol_step(self, protocol: ProtocolName, stream: Option<T::Term>) -> T::Term {
        let protocol = (Name::Protocol, protocol_term(self.0, protocol));
        match stream {
            Some(stream) => self.step(Name::ProtocolChanged, [(Name::StreamRef, stream), protocol]),
            None => self.step(Name::ProtocolChanged, [protocol]),
        }
    }

    /// `ws_recv_frame_start`.
    pub fn frame_start_step(
        self,
        stream: Stepping<T::Term>,
        takeover: Option<Takeover>,
        before: Option<Fragmented>,
    ) -> T::Term {
        let [stream, reply_to] = stream_of(stream);
        let state = (Name::FragState, self.frag_state(before));
        self.step(Name::WsRecvFrameStart, [stream, reply_to, state, self.extensions(takeover)])
    }

    /// `ws_recv_frame_header`. `rsv` is an integer, of which the process makes bits.
    pub fn frame_header_step(
        self,
        stream: Stepping<T::Term>,
        takeover: Option<Takeover>,
        now: Option<Fragmented>,
        header: &Header,
    ) -> T::Term {
        let [stream, reply_to] = stream_of(stream);
        let kind = match header.opcode {
            Opcode::Continuation => Name::Fragment,
            Opcode::Text | Opcode::Binary if !header.fin => Name::Fragment,
            Opcode::Text => Name::Text,
            Opcode::Binary => Name::Binary,
            Opcode::Close => Name::Close,
            Opcode::Ping => Name::Ping,
            Opcode::Pong => Name::Pong,
        };
        let key = header.key.map(|key| self.0.integer(u32::from_be_bytes(key).into()));
        self.step(
            Name::WsRecvFrameHeader,
            [
                stream,
                reply_to,
                (Name::FragState, self.frag_state(now)),
                self.extensions(takeover),
                (Name::Type, self.0.name(kind)),
                (Name::Rsv, self.rsv(header.compressed)),
                (Name::Len, self.0.integer(header.len)),
                (Name::MaskKey, self.0.optional(key)),
            ],
        )
    }

    /// `ws_recv_frame_end`.
    pub fn frame_end_step(
        self,
        stream: Stepping<T::Term>,
        takeover: Option<Takeover>,
        close_code: Option<u16>,
        payload: &[u8],
    ) -> T::Term {
        let [stream, reply_to] = stream_of(stream);
        let code = (Name::CloseCode, self.0.optional(close_code.map(|code| self.0.integer(code.into()))));
        let payload = (Name::Payload, self.0.binary(payload));
        self.step(Name::WsRecvFrameEnd, [stream, reply_to, self.extensions(takeover), code, payload])
    }

    /// `ws_send_frame_start` or `ws_send_frame_end`. The payload of a close frame is a valid one.
    pub fn frame_sent_step(
        self,
        name: Name,
        stream: Stepping<T::Term>,
        takeover: Option<Takeover>,
        opcode: Opcode,
        payload: &[u8],
    ) -> T::Term {
        let [stream, reply_to] = stream_of(stream);
        let message = match opcode {
            Opcode::Text => Message::Text(Data::Borrowed(payload)),
            Opcode::Binary | Opcode::Continuation => Message::Binary(Data::Borrowed(payload)),
            Opcode::Ping => Message::Ping(payload),
            Opcode::Pong => Message::Pong(payload),
            Opcode::Close => Message::Close(close_of(payload)),
        };
        let frame = (Name::Frame, frame(self.0, message));
        self.step(name, [stream, reply_to, self.extensions(takeover), frame])
    }

    fn step<const N: usize>(self, name: Name, map: [(Name, T::Term); N]) -> T::Term {
        self.report([self.name(Name::Step), self.name(name), self.0.map(map)])
    }

    fn failed(self, name: Name, error: &gun_rs_engine::error::ConnectError) -> T::Term {
        self.step(name, [(Name::Error, reasons::connect_error(self.0, error))])
    }

    fn text(self, text: &str) -> T::Term {
        self.0.binary(text.as_bytes())
    }

    fn port(self, port: u16) -> T::Term {
        self.0.integer(port.into())
    }

    fn addresses(self, addresses: &[SocketAddr]) -> T::Term {
        self.0.list(addresses.iter().map(|address| ip_address(self.0, address.ip())).collect())
    }

    /// `undefined`, or `{nofin | fin, text | binary, Rsv}`.
    fn frag_state(self, message: Option<Fragmented>) -> T::Term {
        self.0.optional(message.map(|Fragmented { fin, text, compressed }| {
            let kind = if text { Name::Text } else { Name::Binary };
            self.0.tuple([self.name(fin_name(fin)), self.name(kind), self.rsv(compressed)])
        }))
    }

    fn rsv(self, compressed: bool) -> T::Term {
        self.0.integer(if compressed { 4 } else { 0 })
    }

    /// As cowlib has them, without the states of zlib.
    fn extensions(self, takeover: Option<Takeover>) -> (Name, T::Term) {
        let name = |keeps| self.name(if keeps { Name::Takeover } else { Name::NoTakeover });
        let extensions = match takeover {
            None => self.0.map([]),
            Some(Takeover { deflate, inflate }) => {
                self.0.map([(Name::DeflateTakeover, name(deflate)), (Name::InflateTakeover, name(inflate))])
            }
        };
        (Name::Extensions, extensions)
    }
}

fn stream_of<X>(stream: Stepping<X>) -> [(Name, X); 2] {
    [(Name::StreamRef, stream.stream), (Name::ReplyTo, stream.reply_to)]
}

fn close_of(payload: &[u8]) -> Option<(u16, &str)> {
    let (code, reason) = payload.split_at_checked(2)?;
    Some((u16::from_be_bytes(code.try_into().ok()?), std::str::from_utf8(reason).unwrap_or_default()))
}
