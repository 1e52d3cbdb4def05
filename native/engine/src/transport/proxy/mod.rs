//! A proxy that every connection leads through, so that what is spoken begins at its far end.

mod connect;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::socks5::{self, Method, Target};
use super::tls::TlsClient;
use super::{Io, tcp, within};
use crate::error::ConnectError;
use crate::error::proxy::ProxyError;
use crate::options::ConnectOptions;

/// A proxy.
pub struct Proxy {
    /// Its host: a name, or an address in its usual notation.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS with the proxy itself, where there is a configuration for it.
    pub tls: Option<Arc<TlsClient>>,
    /// How long it may take to lead to the origin, once it is reached; `None` is unlimited.
    pub timeout: Option<Duration>,
    /// How it is asked.
    pub speaks: Speaks,
}

/// How a proxy is asked for a tunnel.
pub enum Speaks {
    /// By CONNECT of HTTP/1.1.
    Http {
        /// The value of the proxy-authorization header, if it is sent.
        authorization: Option<Vec<u8>>,
    },
    /// By SOCKS 5.
    Socks5 {
        /// A user's name, and the password: 255 bytes each at most.
        auth: Option<(Vec<u8>, Vec<u8>)>,
        /// Whether the proxy resolves the origin's name, rather than this machine.
        resolves: bool,
    },
}

/// Without what is secret.
impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Proxy").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Has the proxy behind `io` lead to this host and port: the stream that comes of it is theirs.
///
/// # Errors
/// [`ConnectError::Proxy`], and what the resolver says of the host where this machine resolves it.
pub(super) async fn lead(
    io: Io,
    proxy: &Proxy,
    (host, port): (&str, u16),
    options: &ConnectOptions,
) -> Result<Io, ConnectError> {
    let target = match &proxy.speaks {
        Speaks::Socks5 { resolves, .. } => Some(target(host, port, *resolves, options).await?),
        Speaks::Http { .. } => None,
    };
    let led = async { Ok(ask(io, proxy, (host, port), target).await) };
    Ok(within(proxy.timeout, led).await.unwrap_or_else(|error| Err(ProxyError::Connect(error)))?)
}

async fn ask(
    mut io: Io,
    proxy: &Proxy,
    (host, port): (&str, u16),
    target: Option<Target<'_>>,
) -> Result<Io, ProxyError> {
    match &proxy.speaks {
        Speaks::Http { authorization } => connect::connect(io, host, port, authorization.as_deref()).await,
        Speaks::Socks5 { auth, .. } => {
            let password = auth.as_ref().map(|(user, password)| Method::Password(user, password));
            let methods: Vec<_> = password.into_iter().chain([Method::None]).collect();
            let target = target.unwrap_or(Target::Name(host));
            socks5::connect(&mut io, &methods, target, port).await.map_err(ProxyError::Connect)?;
            Ok(io)
        }
    }
}

/// What a proxy that speaks SOCKS is asked for. Of several addresses it is the first, since an answer ends the connection.
async fn target<'a>(
    host: &'a str,
    port: u16,
    resolves: bool,
    options: &ConnectOptions,
) -> Result<Target<'a>, ConnectError> {
    // The zone of an address means nothing to another host.
    if let Ok(ip) = host.split_once('%').map_or(host, |(address, _)| address).parse() {
        return Ok(Target::Address(ip));
    }
    if resolves {
        return Ok(Target::Name(host));
    }
    let addresses = tcp::look_up(host, port, options).await?;
    addresses.first().map(|address| Target::Address(address.ip())).ok_or(ConnectError::NameNotFound)
}

/// Whether the rules of `NO_PROXY` except this host. They are those of curl: names with all that is below them, addresses,
/// networks such as `10.0.0.0/8`, and `*`, between commas.
#[must_use]
pub fn is_excepted(rules: &str, host: &str) -> bool {
    let url = format!("http://{}/", in_url(host));
    // It only says which hosts are left out: of a proxy that nobody dials.
    let matcher = Matcher::builder().all("http://proxy.invalid").no(rules).build();
    url.parse::<Uri>().is_ok_and(|url| matcher.intercept(&url).is_none())
}

/// The host as it stands in a URL. The zone of an address means nothing to another host (RFC 6874, 4).
fn in_url(host: &str) -> String {
    match host.split_once('%') {
        _ if !host.contains(':') => host.into(),
        Some((address, _)) => format!("[{address}]"),
        None => format!("[{host}]"),
    }
}

#[cfg(test)]
mod tests;
