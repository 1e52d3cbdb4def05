//! What a proxy that speaks SOCKS 5 can answer (RFC 1928, 6).

/// Why a proxy that speaks SOCKS 5 has not led to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SocksError {
    /// The proxy.
    #[error("the SOCKS server failed")]
    GeneralFailure,
    /// The proxy's rules.
    #[error("the rules of the SOCKS server do not allow the connection")]
    NotAllowed,
    /// The network behind the proxy.
    #[error("the network is unreachable from the SOCKS server")]
    NetworkUnreachable,
    /// The network behind the proxy; or the name, which it could not resolve.
    #[error("the host is unreachable from the SOCKS server")]
    HostUnreachable,
    /// The destination.
    #[error("the destination refused the connection of the SOCKS server")]
    ConnectionRefused,
    /// The network behind the proxy.
    #[error("the time to live expired behind the SOCKS server")]
    TtlExpired,
    /// The proxy, which makes no connections.
    #[error("the SOCKS server does not make connections")]
    CommandNotSupported,
    /// The proxy, which does not take a name, or an address of this family.
    #[error("the SOCKS server does not take this type of address")]
    AddressTypeNotSupported,
    /// The proxy, which answers with a number that has no meaning.
    #[error("the SOCKS server answered with the unknown number {0}")]
    Unknown(u8),
    /// The user: the name or the password is wrong.
    #[error("the SOCKS server does not accept the user's name and password")]
    AuthFailure,
    /// The user: the proxy wants another method of authentication.
    #[error("the SOCKS server accepts none of the methods of authentication")]
    NoAcceptableMethod,
    /// The proxy: what it says is not SOCKS 5.
    #[error("the server does not speak SOCKS 5")]
    InvalidReply,
}

impl SocksError {
    /// What the number of a reply means, unless it is success.
    pub(crate) fn of_reply(reply: u8) -> Option<Self> {
        Some(match reply {
            0 => return None,
            1 => Self::GeneralFailure,
            2 => Self::NotAllowed,
            3 => Self::NetworkUnreachable,
            4 => Self::HostUnreachable,
            5 => Self::ConnectionRefused,
            6 => Self::TtlExpired,
            7 => Self::CommandNotSupported,
            8 => Self::AddressTypeNotSupported,
            number => Self::Unknown(number),
        })
    }
}
