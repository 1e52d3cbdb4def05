//! The proxy that a connection is dialled through, as `gun_rs_proxy` gives it.

use std::sync::Arc;

use gun_rs_engine::transport::proxy::{Proxy, Speaks};
use gun_rs_engine::transport::tls::TlsClient;

use super::{Result, binary, elements, flag, number_of, text, timeout_of, unless, value};
use crate::name::Name;
use crate::term::{InvalidTerm, ReadTerm};

/// Reads a proxy. `tls` finds a configuration of TLS.
///
/// # Errors
/// [`InvalidTerm`] where something is missing or has another type.
pub fn proxy<T: ReadTerm>(map: &T, tls: &dyn Fn(&T) -> Result<Arc<TlsClient>>) -> Result<Proxy> {
    Ok(Proxy {
        host: text(&value(map, Name::Host)?)?,
        port: number_of(map, Name::Port)?,
        tls: unless(&value(map, Name::Tls)?, Name::Undefined, tls)?,
        timeout: timeout_of(map, Name::Timeout)?,
        speaks: speaks(&value(map, Name::Speaks)?)?,
    })
}

/// `{http, Authorization | undefined}` or `{socks5, {User, Password} | undefined, ResolvesNames}`.
fn speaks<T: ReadTerm>(term: &T) -> Result<Speaks> {
    if let Ok([kind, auth, resolves]) = elements(term) {
        if !kind.is(Name::Socks5) {
            return Err(InvalidTerm);
        }
        return Ok(Speaks::Socks5 { auth: unless(&auth, Name::Undefined, password)?, resolves: flag(&resolves)? });
    }
    let [kind, authorization] = elements(term)?;
    if kind.is(Name::Http) {
        Ok(Speaks::Http { authorization: unless(&authorization, Name::Undefined, binary)? })
    } else {
        Err(InvalidTerm)
    }
}

fn password<T: ReadTerm>(term: &T) -> Result<(Vec<u8>, Vec<u8>)> {
    let [user, password] = elements(term)?;
    Ok((binary(&user)?, binary(&password)?))
}
