//! The messages that users receive, in each dialect.

use gun_rs_engine::error::http2::{Http2Code, Http2Fault};
use gun_rs_engine::error::{BadState, ConnectionError, DownReason};
use gun_rs_engine::event::StreamError;
use gun_rs_engine::{Message, PeerSettings, Promise, ProtocolName};
use http::header::UPGRADE;
use http::{HeaderMap, StatusCode};

use crate::dialect::Dialect;
use crate::frame::{fin_name, frame};
use crate::name::Name;
use crate::reasons;
use crate::term::Terms;

/// `{Tag, ConnPid, ...}`.
macro_rules! message {
    ($messages:ident, $tag:ident, $($element:expr),*) => {
        $messages.terms.tuple([$messages.terms.name(Name::$tag), $messages.connection.clone(), $($element),*])
    };
}

/// Builds the messages of one connection to its users. Streams are named by their references, as terms.
#[derive(Clone)]
pub struct Messages<T: Terms> {
    terms: T,
    dialect: Dialect,
    connection: T::Term,
}

impl<T: Terms> Messages<T> {
    /// For the connection of this pid.
    #[inline]
    pub fn new(terms: T, dialect: Dialect, connection: T::Term) -> Self {
        Self { terms, dialect, connection }
    }

    /// `gun_up`.
    pub fn up(&self, protocol: ProtocolName) -> T::Term {
        message!(self, GunUp, protocol_term(self.terms, protocol))
    }

    /// `gun_upgrade`, or `gun_ws_upgrade` in older dialects: the WebSocket is open.
    pub fn upgraded(&self, stream: T::Term, headers: &HeaderMap) -> T::Term {
        let terms = self.terms;
        match self.dialect {
            Dialect::Gun2 | Dialect::Gun1 => {
                let protocols = terms.list(vec![terms.binary(b"websocket")]);
                message!(self, GunUpgrade, stream, protocols, headers_term(terms, headers))
            }
            Dialect::Gun1Pre => {
                message!(self, GunWsUpgrade, terms.name(Name::Ok), headers_term(terms, headers))
            }
            Dialect::Gun0 => message!(self, GunWsUpgrade, terms.name(Name::Ok)),
        }
    }

    /// `gun_tunnel_up`: a way through a proxy is open, the stream's or one without a stream.
    pub fn tunnel_up(&self, stream: Option<T::Term>, protocol: ProtocolName) -> T::Term {
        message!(self, GunTunnelUp, self.terms.optional(stream), protocol_term(self.terms, protocol))
    }

    /// `gun_upgrade` of a request that has asked for another protocol: the connection speaks that, and carries bytes.
    pub fn switched(&self, stream: T::Term, headers: &HeaderMap) -> T::Term {
        let terms = self.terms;
        let chosen = headers.get(UPGRADE).map(|value| terms.binary(value.as_bytes().trim_ascii()));
        message!(self, GunUpgrade, stream, terms.list(chosen.into_iter().collect()), headers_term(terms, headers))
    }

    /// `gun_ws`: a frame. The oldest dialects did not name its stream.
    #[inline]
    pub fn frame(&self, stream: T::Term, message: Message<'_, T::Payload>) -> T::Term {
        let frame = frame(self.terms, message);
        match self.dialect {
            Dialect::Gun2 | Dialect::Gun1 => message!(self, GunWs, stream, frame),
            Dialect::Gun1Pre | Dialect::Gun0 => message!(self, GunWs, frame),
        }
    }

    /// `gun_inform`.
    pub fn inform(&self, stream: T::Term, status: StatusCode, headers: &HeaderMap) -> T::Term {
        message!(self, GunInform, stream, self.status(status), headers_term(self.terms, headers))
    }

    /// `gun_response`.
    pub fn response(&self, stream: T::Term, fin: bool, status: StatusCode, headers: &HeaderMap) -> T::Term {
        message!(self, GunResponse, stream, self.fin(fin), self.status(status), headers_term(self.terms, headers))
    }

    /// The response that refuses an upgrade: like any other, but where the dialect has its own message for it.
    pub fn refusal(&self, stream: T::Term, fin: bool, status: StatusCode, headers: &HeaderMap) -> T::Term {
        if !self.dialect.has_upgrade_errors() {
            return self.response(stream, fin, status, headers);
        }
        let error = self.terms.name(Name::Error);
        message!(self, GunWsUpgrade, error, self.fin(fin), self.status(status), headers_term(self.terms, headers))
    }

    /// `gun_data`.
    pub fn data(&self, stream: T::Term, fin: bool, data: &[u8]) -> T::Term {
        message!(self, GunData, stream, self.fin(fin), self.terms.binary(data))
    }

    /// `gun_trailers`.
    pub fn trailers(&self, stream: T::Term, trailers: &HeaderMap) -> T::Term {
        message!(self, GunTrailers, stream, headers_term(self.terms, trailers))
    }

    /// `gun_error` of a stream. `shutdown_cause` is the atom for the cause of a shutdown, and `ping` the ping that has
    /// ended the connection, if one has.
    pub fn stream_error(
        &self,
        stream: T::Term,
        error: &StreamError<'_>,
        shutdown_cause: T::Term,
        ping: Option<T::Term>,
    ) -> T::Term {
        let reason = match (self.dialect, error) {
            (Dialect::Gun1 | Dialect::Gun1Pre | Dialect::Gun0, StreamError::Closed(DownReason::Closed)) => {
                reasons::connection_lost(self.terms)
            }
            _ => reasons::stream_error(self.terms, error, shutdown_cause, ping),
        };
        message!(self, GunError, stream, reason)
    }

    /// `gun_error` of a stream that does not exist.
    pub fn no_stream(&self, stream: T::Term) -> T::Term {
        self.refused(stream, BadState::NoStream)
    }

    /// `gun_error` of a command that cannot be done on the stream that it names.
    pub fn refused(&self, stream: T::Term, error: BadState) -> T::Term {
        message!(self, GunError, stream, reasons::bad_state(self.terms, error))
    }

    /// `gun_error` of the connection.
    pub fn connection_error(&self, error: &ConnectionError) -> T::Term {
        message!(self, GunError, reasons::connection_error(self.terms, error))
    }

    /// `gun_error` of a connection that has broken HTTP/2.
    pub fn connection_fault(&self, fault: Http2Fault) -> T::Term {
        let reason = self.terms.tuple([self.terms.atom(fault.code.name()), self.terms.atom(fault.text)]);
        message!(self, GunError, reason)
    }

    /// `gun_push`: a response to a request of the peer's own will follow by the name `promised`.
    pub fn push(&self, stream: T::Term, promised: T::Term, promise: &Promise<'_>) -> T::Term {
        let binary = |text: &str| self.terms.binary(text.as_bytes());
        let (method, uri) = (binary(promise.method.as_str()), binary(&promise.uri.to_string()));
        message!(self, GunPush, stream, promised, method, uri, headers_term(self.terms, promise.headers))
    }

    /// `gun_notify` of a ping's answer.
    pub fn ping_ack(&self, ping: T::Term) -> T::Term {
        message!(self, GunNotify, self.terms.name(Name::PingAck), ping)
    }

    /// `gun_notify` of the peer's settings.
    pub fn settings_changed(&self, settings: &PeerSettings) -> T::Term {
        message!(self, GunNotify, self.terms.name(Name::SettingsChanged), settings_term(self.terms, settings))
    }

    /// `gun_notify` of what the peer says of the end that is near.
    pub fn go_away(&self, code: Http2Code, debug: &[u8]) -> T::Term {
        let info = [(Name::Code, self.terms.atom(code.name())), (Name::DebugData, self.terms.binary(debug))];
        message!(self, GunNotify, self.terms.name(Name::Goaway), self.terms.map(info))
    }

    /// `gun_error` of a command that the connection's state does not allow.
    pub fn bad_state(&self, error: BadState) -> T::Term {
        message!(self, GunError, reasons::bad_state(self.terms, error))
    }

    /// `gun_error` of what the queue has no room for; it names the stream that it was for, if there was one.
    pub fn queue_full(&self, stream: Option<T::Term>) -> T::Term {
        let reason = self.terms.name(Name::SendQueueFull);
        match stream {
            Some(stream) => message!(self, GunError, stream, reason),
            None => message!(self, GunError, reason),
        }
    }

    fn fin(&self, fin: bool) -> T::Term {
        self.terms.name(fin_name(fin))
    }

    fn status(&self, status: StatusCode) -> T::Term {
        self.terms.integer(status.as_u16().into())
    }
}

/// `http`, `http2`, `ws`, `raw` or `socks`.
pub(crate) fn protocol_term<T: Terms>(terms: T, protocol: ProtocolName) -> T::Term {
    terms.name(match protocol {
        ProtocolName::Http => Name::Http,
        ProtocolName::Http2 => Name::Http2,
        ProtocolName::Ws => Name::Ws,
        ProtocolName::Raw => Name::Raw,
        ProtocolName::Socks => Name::Socks,
    })
}

fn settings_term<T: Terms>(terms: T, settings: &PeerSettings) -> T::Term {
    let number = |value: u32| terms.integer(value.into());
    let limit = |value: Option<u32>| value.map_or_else(|| terms.name(Name::Infinity), number);
    let known = [
        (Name::HeaderTableSize, number(settings.header_table_size)),
        (Name::EnablePush, terms.boolean(settings.enable_push)),
        (Name::MaxConcurrentStreams, limit(settings.max_concurrent_streams)),
        (Name::InitialWindowSize, number(settings.initial_window_size)),
        (Name::MaxFrameSize, number(settings.max_frame_size)),
        (Name::MaxHeaderListSize, limit(settings.max_header_list_size)),
    ];
    match settings.enable_connect_protocol {
        None => terms.map(known),
        Some(enabled) => {
            let [a, b, c, d, e, f] = known;
            terms.map([a, b, c, d, e, f, (Name::EnableConnectProtocol, terms.boolean(enabled))])
        }
    }
}

/// Header names are lowercase already; a repeated name's values stand together.
pub(crate) fn headers_term<T: Terms>(terms: T, headers: &HeaderMap) -> T::Term {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        terms.tuple([terms.binary(name.as_str().as_bytes()), terms.binary(value.as_bytes())])
    };
    terms.list(headers.iter().map(header).collect())
}
