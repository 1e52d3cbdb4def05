//! Which steps are observed.

/// A set of the steps of a connection ([`crate::event::step::Step`]). Those of requests, responses and frames that an
/// [`Event`](crate::Event) shows are for the sink to derive from it: the engine only sees to it that they can be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps(u32);

macro_rules! steps {
    ($($bit:literal $name:ident $doc:literal)*) => {
        impl Steps {
            $(#[doc = $doc] pub const $name: Self = Self(1 << $bit);)*
            /// All of them.
            pub const ALL: Self = Self($(1 << $bit)|*);
        }
    };
}

steps! {
    0 DOMAIN_LOOKUP_START "The resolver is asked."
    1 DOMAIN_LOOKUP_END "The resolver has answered."
    2 CONNECT_START "A socket is being connected."
    3 CONNECT_END "The socket is connected, or will not be."
    4 TLS_HANDSHAKE_START "A TLS handshake begins."
    5 TLS_HANDSHAKE_END "The TLS handshake has ended."
    6 REQUEST_START "A request is about to be sent."
    7 REQUEST_HEADERS "Its headers are sent."
    8 REQUEST_END "All of it is sent."
    9 PUSH_PROMISE_START "The peer promises a response."
    10 PUSH_PROMISE_END "The promise is taken, or refused."
    11 RESPONSE_START "The head of a response has come."
    12 RESPONSE_INFORM "It is an informational one."
    13 RESPONSE_HEADERS "It is the one that answers the request."
    14 RESPONSE_TRAILERS "The trailers of a response have come."
    15 RESPONSE_END "All of a response has come."
    16 WS_UPGRADE "An upgrade to WebSocket begins."
    17 WS_RECV_FRAME_START "A frame of a WebSocket begins."
    18 WS_RECV_FRAME_HEADER "Its header has come."
    19 WS_RECV_FRAME_END "All of it has come."
    20 WS_SEND_FRAME_START "A frame of a WebSocket is about to be sent."
    21 WS_SEND_FRAME_END "It is sent."
    22 PROTOCOL_CHANGED "Another protocol is spoken."
    23 ORIGIN_CHANGED "Another server is spoken to."
    24 CANCEL "A stream is cancelled, by either side."
    25 STREAM_ERROR "A stream has failed."
    26 WS_END "A WebSocket is over."
}

impl Steps {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Those of both sets.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of `others` are in this set.
    #[must_use]
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether any of `others` is in this set.
    #[must_use]
    pub const fn intersects(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}
