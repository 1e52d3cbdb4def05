//! Configurations of TLS, which connections share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use gun_rs_engine::transport::tls::{TlsClient, TlsClientError, TlsOptionError};
use gun_rs_terms::options::tls_options;
use gun_rs_terms::{Terms, reasons};
use rustler::{Atom, Encoder, Env, Error, NifResult, ResourceArc, Term};

use crate::vm::{Vm, VmTerm, badarg};

mod atoms {
    rustler::atoms! {
        error,
        ok,
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
    Ok(match TlsClient::new(tls_options(&VmTerm(map)).map_err(badarg)?) {
        Ok(client) => (atoms::ok(), new_config(client)).encode(env),
        Err(TlsClientError::Option(TlsOptionError { option, text })) => {
            let option = Atom::from_str(env, option)?;
            (atoms::error(), (option, Vm(env).string(&text))).encode(env)
        }
        Err(TlsClientError::System(error)) => (atoms::error(), reasons::posix(Vm(env), &error)).encode(env),
    })
}
