//! Where tunnels lead, as `gun_rs_connect_options` and `gun_rs_socks_options` give it.

use std::sync::Arc;

use gun_rs_engine::command::tunnel::{Auth, Destination, Socks, Speaks};
use gun_rs_engine::transport::tls::TlsClient;

use super::connect::{http_options, raw_options};
use super::http2::http2_options;
use super::{Result, binary, each_of, elements, number_of, text, timeout_of, unless, value};
use crate::name::Name;
use crate::term::{InvalidTerm, ReadTerm};

/// How many proxies may stand one behind the other in one map.
const MAX_DEPTH: usize = 16;

/// Reads where a tunnel leads. `tls` finds a configuration of TLS.
///
/// # Errors
/// [`InvalidTerm`] where something is missing or has another type.
pub fn destination<T: ReadTerm>(map: &T, tls: &dyn Fn(&T) -> Result<Arc<TlsClient>>) -> Result<Destination> {
    destination_at(map, tls, MAX_DEPTH)
}

/// Reads the options of a proxy that speaks SOCKS.
///
/// # Errors
/// [`InvalidTerm`] where something is missing or has another type.
pub fn socks<T: ReadTerm>(map: &T, tls: &dyn Fn(&T) -> Result<Arc<TlsClient>>) -> Result<Socks> {
    socks_at(map, tls, MAX_DEPTH)
}

fn destination_at<T: ReadTerm>(
    map: &T,
    tls: &dyn Fn(&T) -> Result<Arc<TlsClient>>,
    depth: usize,
) -> Result<Destination> {
    Ok(Destination {
        host: text(&value(map, Name::Host)?)?,
        port: number_of(map, Name::Port)?,
        authority: text(&value(map, Name::Authority)?)?,
        tls: unless(&value(map, Name::Tls)?, Name::Undefined, tls)?,
        tls_handshake_timeout: timeout_of(map, Name::TlsHandshakeTimeout)?,
        speaks: speaks(&value(map, Name::Speaks)?, tls, depth)?,
        label: binary(&value(map, Name::Label)?)?.into(),
    })
}

fn socks_at<T: ReadTerm>(map: &T, tls: &dyn Fn(&T) -> Result<Arc<TlsClient>>, depth: usize) -> Result<Socks> {
    let depth = depth.checked_sub(1).ok_or(InvalidTerm)?;
    Ok(Socks {
        auth: each_of(map, Name::Auth, auth)?,
        timeout: timeout_of(map, Name::Timeout)?,
        destination: Arc::new(destination_at(&value(map, Name::Destination)?, tls, depth)?),
    })
}

/// `{http, Http1, Http2}`, `{raw, Raw}` or `{socks, Socks}`: each of HTTP is options, `default` for those of the connection,
/// or `none` where it is not spoken.
fn speaks<T: ReadTerm>(term: &T, tls: &dyn Fn(&T) -> Result<Arc<TlsClient>>, depth: usize) -> Result<Speaks> {
    if let Ok([kind, http1, http2]) = elements(term) {
        let with_options = |http2: &T| http2_options(http2).map(Arc::new);
        return if kind.is(Name::Http) {
            Ok(Speaks::Http {
                http1: unless(&http1, Name::None, |http1| unless(http1, Name::Default, http_options))?,
                http2: unless(&http2, Name::None, |http2| unless(http2, Name::Default, with_options))?,
            })
        } else {
            Err(InvalidTerm)
        };
    }
    let [kind, options] = elements(term)?;
    if kind.is(Name::Raw) {
        unless(&options, Name::Default, raw_options).map(Speaks::Raw)
    } else if kind.is(Name::Socks) {
        socks_at(&options, tls, depth).map(|socks| Speaks::Socks(Arc::new(socks)))
    } else {
        Err(InvalidTerm)
    }
}

/// `none` or `{User, Password}`.
fn auth<T: ReadTerm>(term: &T) -> Result<Auth> {
    if term.is(Name::None) {
        return Ok(Auth::None);
    }
    let [user, password] = elements(term)?;
    Ok(Auth::Password(binary(&user)?, binary(&password)?))
}
