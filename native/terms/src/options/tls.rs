//! The options of TLS, as `gun_rs_tls_options` gives them.

use gun_rs_engine::transport::tls::{
    ClientAuth, Identity, Key, Name as ServerName, Roots, ServerCertificate, TlsOptions, TlsServerOptions,
};

use super::{Result, binary, each, each_of, elements, flag_of, number_of, one_of, text, unless, value};
use crate::name::Name;
use crate::term::{InvalidTerm, ReadTerm};

/// Reads the options of TLS.
///
/// # Errors
/// [`InvalidTerm`] where an option is missing or has another type.
pub fn tls_options<T: ReadTerm>(map: &T) -> Result<TlsOptions> {
    let versions = value(map, Name::Versions)?.list().ok_or(InvalidTerm)?;
    let speaks = |version| versions.iter().any(|term| term.is(version));
    Ok(TlsOptions {
        verify: one_of(&value(map, Name::Verify)?, &[(Name::Peer, true), (Name::None, false)])?,
        roots: roots(&value(map, Name::Roots)?)?,
        name: server_name(&value(map, Name::ServerName)?)?,
        further_names: each_of(map, Name::FurtherNames, text)?,
        identities: each_of(map, Name::Identities, identity)?,
        tls12: speaks(Name::Tls12),
        tls13: speaks(Name::Tls13),
        ciphers: algorithms(&value(map, Name::Ciphers)?)?,
        signature_schemes: algorithms(&value(map, Name::SignatureAlgs)?)?,
        groups: algorithms(&value(map, Name::Groups)?)?,
        alpn: each_of(map, Name::Alpn, binary)?,
        depth: number_of(map, Name::Depth)?,
        resume: flag_of(map, Name::Resume)?,
    })
}

/// Reads the options of a listener's TLS.
///
/// # Errors
/// [`InvalidTerm`] where an option is missing or has another type.
pub fn tls_server_options<T: ReadTerm>(map: &T) -> Result<TlsServerOptions> {
    let versions = value(map, Name::Versions)?.list().ok_or(InvalidTerm)?;
    let speaks = |version| versions.iter().any(|term| term.is(version));
    let auth = [
        (Name::None, ClientAuth::None),
        (Name::Optional, ClientAuth::Optional),
        (Name::Required, ClientAuth::Required),
    ];
    Ok(TlsServerOptions {
        certificates: each_of(map, Name::Certificates, server_certificate)?,
        client_auth: one_of(&value(map, Name::ClientAuth)?, &auth)?,
        client_roots: unless(&value(map, Name::ClientRoots)?, Name::Undefined, |term| each(term, binary))?,
        depth: number_of(map, Name::Depth)?,
        tls12: speaks(Name::Tls12),
        tls13: speaks(Name::Tls13),
        ciphers: algorithms(&value(map, Name::Ciphers)?)?,
        honor_cipher_order: flag_of(map, Name::HonorCipherOrder)?,
        alpn: each_of(map, Name::Alpn, binary)?,
        resume: flag_of(map, Name::Resume)?,
    })
}

/// `{Names | default, {Chain, {Format, Key}}}`.
fn server_certificate<T: ReadTerm>(term: &T) -> Result<ServerCertificate> {
    let [names, with_key] = elements(term)?;
    let names = unless(&names, Name::Default, |names| each(names, text))?;
    let [chain, key] = elements(&with_key)?;
    let [_, key] = elements(&key)?;
    Ok(ServerCertificate { names, chain: each(&chain, binary)?, key: binary(&key)? })
}

fn roots<T: ReadTerm>(term: &T) -> Result<Roots> {
    if term.is(Name::System) { Ok(Roots::System) } else { each(term, binary).map(Roots::These) }
}

fn server_name<T: ReadTerm>(term: &T) -> Result<ServerName> {
    if term.is(Name::Host) {
        Ok(ServerName::Host)
    } else if term.is(Name::Disable) {
        Ok(ServerName::Disabled)
    } else {
        text(term).map(ServerName::Other)
    }
}

/// `{Chain, {Format, Key}}`, all in DER.
fn identity<T: ReadTerm>(term: &T) -> Result<Identity> {
    let [chain, key] = elements(term)?;
    let [format, key] = elements(&key)?;
    let in_format = if format.is(Name::Pkcs1) {
        Key::Pkcs1
    } else if format.is(Name::Sec1) {
        Key::Sec1
    } else if format.is(Name::Pkcs8) {
        Key::Pkcs8
    } else {
        return Err(InvalidTerm);
    };
    let key = in_format(binary(&key)?);
    Ok(Identity { chain: each(&chain, binary)?, key })
}

/// Names, each an atom or a binary; or `default`.
fn algorithms<T: ReadTerm>(term: &T) -> Result<Option<Vec<String>>> {
    unless(term, Name::Default, |term| each(term, |name| name.atom().map_or_else(|| text(name), Ok)))
}
