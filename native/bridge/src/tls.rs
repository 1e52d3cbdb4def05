//! From the map of `gun_rs_tls_options` to a configuration of TLS, which connections share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use gun_rs_engine::transport::tls::{
    Identity, Key, Name, Roots, TlsClient, TlsClientError, TlsOptionError, TlsOptions,
};
use rustler::{Atom, Binary, Encoder, Env, Error, NifResult, ResourceArc, Term};

use crate::options::{get, one_of, to_text};
use crate::reasons;

mod atoms {
    rustler::atoms! {
        alpn,
        ciphers,
        default,
        depth,
        disable,
        error,
        further_names,
        groups,
        host,
        identities,
        none,
        ok,
        peer,
        pkcs1,
        pkcs8,
        resume,
        roots,
        sec1,
        server_name,
        signature_algs,
        system,
        tls12 = "tlsv1.2",
        tls13 = "tlsv1.3",
        verify,
        versions,
    }
}

/// What Erlang holds of a configuration, beside its number.
struct TlsConfig {
    client: Arc<TlsClient>,
    number: u64,
}

#[rustler::resource_impl]
impl rustler::Resource for TlsConfig {}

impl Drop for TlsConfig {
    fn drop(&mut self) {
        configs().remove(&self.number);
    }
}

/// The configurations that there are. A module that is deleted, purged and loaded again has new types of resources, which
/// do not take the old ones: then the number says which one it is. Only NIFs take the lock.
static CONFIGS: LazyLock<Mutex<HashMap<u64, Weak<TlsClient>>>> = LazyLock::new(Mutex::default);

/// Another copy of the library does not take the numbers of this one for its own.
static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    AtomicU64::new(u64::try_from(now.as_nanos()).unwrap_or_default())
});

fn configs() -> MutexGuard<'static, HashMap<u64, Weak<TlsClient>>> {
    CONFIGS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn new_config(client: Arc<TlsClient>) -> (ResourceArc<TlsConfig>, u64) {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    configs().insert(number, Arc::downgrade(&client));
    (ResourceArc::new(TlsConfig { client, number }), number)
}

/// The configuration that `tls_config` gave.
pub(crate) fn client(config: Term<'_>) -> NifResult<Arc<TlsClient>> {
    let (config, number): (Term<'_>, u64) = config.decode()?;
    if let Ok(config) = config.decode::<ResourceArc<TlsConfig>>() {
        return Ok(Arc::clone(&config.client));
    }
    configs().get(&number).and_then(Weak::upgrade).ok_or(Error::RaiseAtom("native_reloaded"))
}

/// The configuration for these options: `{ok, Config}`, `{error, {Key, Text}}` with the option that cannot be
/// honoured, or `{error, Posix}`.
#[rustler::nif(schedule = "DirtyIo")]
fn tls_config<'a>(env: Env<'a>, map: Term<'a>) -> NifResult<Term<'a>> {
    Ok(match TlsClient::new(options(map)?) {
        Ok(client) => (atoms::ok(), new_config(client)).encode(env),
        Err(TlsClientError::Option(TlsOptionError { option, text })) => {
            let option = Atom::from_str(env, option)?;
            (atoms::error(), (option, reasons::string(env, &text))).encode(env)
        }
        Err(TlsClientError::System(error)) => (atoms::error(), reasons::posix(env, &error)).encode(env),
    })
}

fn options(map: Term<'_>) -> NifResult<TlsOptions> {
    let versions: Vec<Atom> = get(map, atoms::versions())?;
    let identities: Vec<Term<'_>> = get(map, atoms::identities())?;
    Ok(TlsOptions {
        verify: one_of(map, atoms::verify(), &[(atoms::peer(), true), (atoms::none(), false)])?,
        roots: roots(map.map_get(atoms::roots())?)?,
        name: name(map.map_get(atoms::server_name())?)?,
        further_names: names_of(map.map_get(atoms::further_names())?)?,
        identities: identities.into_iter().map(identity).collect::<NifResult<_>>()?,
        tls12: versions.contains(&atoms::tls12()),
        tls13: versions.contains(&atoms::tls13()),
        ciphers: names(map.map_get(atoms::ciphers())?)?,
        signature_schemes: names(map.map_get(atoms::signature_algs())?)?,
        groups: names(map.map_get(atoms::groups())?)?,
        alpn: binaries(map.map_get(atoms::alpn())?)?,
        depth: get(map, atoms::depth())?,
        resume: get(map, atoms::resume())?,
    })
}

fn roots(term: Term<'_>) -> NifResult<Roots> {
    if atoms::system() == term { Ok(Roots::System) } else { binaries(term).map(Roots::These) }
}

fn name(term: Term<'_>) -> NifResult<Name> {
    if atoms::host() == term {
        Ok(Name::Host)
    } else if atoms::disable() == term {
        Ok(Name::Disabled)
    } else {
        to_text(term).map(Name::Other)
    }
}

/// `{Chain, {Format, Key}}`, all in DER.
fn identity(term: Term<'_>) -> NifResult<Identity> {
    let (chain, (format, key)): (Term<'_>, (Atom, Term<'_>)) = term.decode()?;
    let key = binary(key)?;
    let key = match format {
        _ if atoms::pkcs1() == format => Key::Pkcs1(key),
        _ if atoms::sec1() == format => Key::Sec1(key),
        _ if atoms::pkcs8() == format => Key::Pkcs8(key),
        _ => return Err(Error::BadArg),
    };
    Ok(Identity { chain: binaries(chain)?, key })
}

/// Names, or `default`.
fn names(term: Term<'_>) -> NifResult<Option<Vec<String>>> {
    if atoms::default() == term {
        return Ok(None);
    }
    term.decode::<Vec<Term<'_>>>()?
        .into_iter()
        .map(|name| match name.decode::<Atom>() {
            Ok(_) => name.atom_to_string(),
            Err(_) => to_text(name),
        })
        .collect::<NifResult<_>>()
        .map(Some)
}

fn names_of(term: Term<'_>) -> NifResult<Vec<String>> {
    term.decode::<Vec<Term<'_>>>()?.into_iter().map(to_text).collect()
}

fn binaries(term: Term<'_>) -> NifResult<Vec<Vec<u8>>> {
    term.decode::<Vec<Term<'_>>>()?.into_iter().map(binary).collect()
}

fn binary(term: Term<'_>) -> NifResult<Vec<u8>> {
    term.decode::<Binary<'_>>().map(|binary| binary.to_vec())
}
