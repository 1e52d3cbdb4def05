//! What a listener and the processes of its connections receive.

use std::time::Instant;

use gun_rs_engine::error::{DownReason, ProtocolError};
use gun_rs_engine::event::StreamError;
use gun_rs_engine::server::{Peer, Times};
use gun_rs_engine::{Message, RequestBody, ServedRequest};
use http::Version;

use crate::frame::{fin_name, frame};
use crate::messages::headers_term;
use crate::name::Name;
use crate::reasons;
use crate::reports::socket_address;
use crate::term::Terms;

/// Builds what the process of a connection receives, `{gun_rs_served, Event}`, and what its listener does.
#[derive(Clone, Copy)]
pub struct Served<T: Terms>(T);

impl<T: Terms> Served<T> {
    /// Events made of these terms.
    #[inline]
    pub fn new(terms: T) -> Self {
        Self(terms)
    }

    /// A frame of a WebSocket, which is an event by itself.
    #[inline]
    pub fn frame(self, message: Message<'_, T::Payload>) -> T::Term {
        self.event(frame(self.0, message))
    }

    /// The first request of a connection, for the listener.
    pub fn accepted(self, connection: T::Term, peer: &Peer, id: u64, request: &ServedRequest<'_>) -> T::Term {
        let terms = self.0;
        let accepted = terms.tuple([
            terms.name(Name::Accepted),
            connection,
            self.peer_map(peer),
            terms.integer(id),
            self.request_map(request),
        ]);
        terms.tagged(Name::GunRsNative, accepted)
    }

    /// Whether connections can be accepted again, for the listener: `ok`, or why not.
    pub fn accept_failed(self, error: Option<&std::io::Error>) -> T::Term {
        let terms = self.0;
        let reason = error.map_or_else(|| terms.name(Name::Ok), |error| reasons::posix(terms, error));
        terms.tagged(Name::GunRsNative, terms.tagged(Name::AcceptFailed, reason))
    }

    /// A further request.
    pub fn request(self, id: u64, request: &ServedRequest<'_>) -> T::Term {
        self.event(self.0.tuple([self.0.name(Name::Request), self.0.integer(id), self.request_map(request)]))
    }

    /// A part of a request's body.
    pub fn data(self, id: u64, fin: bool, data: &[u8]) -> T::Term {
        let terms = self.0;
        self.event(terms.tuple([
            terms.name(Name::Data),
            terms.integer(id),
            terms.name(fin_name(fin)),
            terms.binary(data),
        ]))
    }

    /// The connection is a WebSocket now.
    pub fn upgraded(self) -> T::Term {
        self.event(self.0.name(Name::Upgraded))
    }

    /// Asks whether the process keeps up.
    pub fn flow_check(self, id: u64) -> T::Term {
        self.event(self.0.tagged(Name::FlowCheck, self.0.integer(id)))
    }

    /// Asks whether the process has answered what came before a fault of the client's.
    pub fn settle(self, id: u64) -> T::Term {
        self.event(self.0.tagged(Name::Settle, self.0.integer(id)))
    }

    /// A request has failed.
    pub fn stream_error(self, id: u64, error: &StreamError<'_>) -> T::Term {
        let terms = self.0;
        let reason = reasons::stream_error(terms, error, terms.name(Name::Shutdown), None);
        self.event(terms.tuple([terms.name(Name::StreamError), terms.integer(id), reason]))
    }

    /// The client has broken the protocol of the WebSocket: by Cowboy's names of faults.
    pub fn ws_error(self, error: &ProtocolError) -> T::Term {
        let fault = match error {
            ProtocolError::CompressedData => Name::Badframe,
            _ if error.close_code() == 1007 => Name::Badencoding,
            _ if error.close_code() == 1009 => Name::Badsize,
            _ => Name::Badframe,
        };
        self.event(self.0.tagged(Name::WsError, self.0.name(fault)))
    }

    /// The connection is over.
    pub fn down(self, reason: &DownReason) -> T::Term {
        self.event(self.0.tagged(Name::Down, reasons::down_reason(self.0, reason, None)))
    }

    /// The connection is over, by a fault of this library.
    pub fn panicked(self, text: &str) -> T::Term {
        let reason = self.0.tagged(Name::Error, reasons::panic(self.0, text));
        self.event(self.0.tagged(Name::Down, reason))
    }

    /// The end that was asked for is reached.
    pub fn shut_down(self) -> T::Term {
        self.event(self.0.name(Name::ShutDown))
    }

    /// An address, as Erlang has it.
    pub fn address(self, address: Option<std::net::SocketAddr>) -> T::Term {
        self.0.optional(address.map(|address| socket_address(self.0, address)))
    }

    #[inline]
    fn event(self, event: T::Term) -> T::Term {
        self.0.tagged(Name::GunRsServed, event)
    }

    fn peer_map(self, peer: &Peer) -> T::Term {
        let terms = self.0;
        let tls = peer.tls.as_ref();
        let certificate = tls.and_then(|tls| tls.certificate.as_deref()).map(|der| terms.binary(der));
        let sni = tls.and_then(|tls| tls.server_name.as_deref()).map(|name| terms.binary(name.as_bytes()));
        let alpn = tls.and_then(|tls| tls.alpn.as_deref()).map(|name| terms.binary(name));
        let (now, Times { accepted, begun, up }) = (Instant::now(), peer.times);
        let age = |at| u64::try_from(now.saturating_duration_since(at).as_nanos()).unwrap_or(u64::MAX);
        terms.map([
            (Name::Ages, terms.tuple([accepted, begun, up].map(|at| terms.integer(age(at))))),
            (Name::Peer, self.address(peer.remote)),
            (Name::Sock, self.address(peer.local)),
            (Name::Cert, terms.optional(certificate)),
            (Name::Sni, terms.optional(sni)),
            (Name::Alpn, terms.optional(alpn)),
        ])
    }

    fn request_map(self, request: &ServedRequest<'_>) -> T::Term {
        let terms = self.0;
        let version = if request.version == Version::HTTP_10 { Name::Http10 } else { Name::Http11 };
        let body = match request.body {
            RequestBody::None => terms.name(Name::None),
            RequestBody::Chunked => terms.name(Name::Chunked),
            RequestBody::Length(length) => terms.integer(length),
        };
        terms.map([
            (Name::Method, terms.binary(request.method.as_str().as_bytes())),
            (Name::Path, terms.binary(request.target.path().as_bytes())),
            (Name::Qs, terms.binary(request.target.query().unwrap_or_default().as_bytes())),
            (Name::Host, terms.optional(request.target.authority().map(|host| terms.binary(host.as_str().as_bytes())))),
            (Name::Version, terms.name(version)),
            (Name::Headers, headers_term(terms, request.headers)),
            (Name::Body, body),
        ])
    }
}
