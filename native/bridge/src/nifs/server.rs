//! Listeners.

use std::sync::Arc;

use gun_rs_engine::server::listen;
use gun_rs_engine::transport::tls::{TlsClientError, TlsOptionError, TlsServer};
use gun_rs_terms::options::{listen_options, serve_options, tls_server_options};
use gun_rs_terms::{Served as Events, Terms, reasons};
use rustler::{Atom, Encoder, Env, LocalPid, NifResult, Resource, ResourceArc, Term};

use super::atoms;
use crate::runtime;
use crate::served::listener::{Acceptor, ListenerRef};
use crate::vm::{Vm, VmTerm, badarg};

/// A configuration of TLS for listeners.
struct ServerTls(Arc<TlsServer>);

#[rustler::resource_impl]
impl Resource for ServerTls {}

/// The configuration for these options: `{ok, Config}`, `{error, {Key, Text}}` with the option that cannot be honoured, or
/// `{error, Posix}`.
#[rustler::nif(schedule = "DirtyIo")]
fn server_tls<'a>(env: Env<'a>, map: Term<'a>) -> NifResult<Term<'a>> {
    Ok(match TlsServer::new(&tls_server_options(&VmTerm(map)).map_err(badarg)?) {
        Ok(server) => (atoms::ok(), ResourceArc::new(ServerTls(server))).encode(env),
        Err(TlsClientError::Option(TlsOptionError { option, text })) => {
            let option = Atom::from_str(env, option)?;
            (atoms::error(), (option, Vm(env).string(&text))).encode(env)
        }
        Err(TlsClientError::System(error)) => (atoms::error(), reasons::posix(Vm(env), &error)).encode(env),
    })
}

/// Listens. The process learns of each connection with its first request. The other one is the first of those that have
/// been in its place.
#[rustler::nif(schedule = "DirtyIo")]
fn server_listen<'a>(
    env: Env<'a>,
    listener: LocalPid,
    first: LocalPid,
    map: Term<'a>,
    tls: Term<'a>,
) -> NifResult<Term<'a>> {
    let options = listen_options(&VmTerm(map)).map_err(badarg)?;
    let tls =
        if atoms::undefined() == tls { None } else { Some(Arc::clone(&tls.decode::<ResourceArc<ServerTls>>()?.0)) };
    let runtimes = runtime::all();
    if runtimes.is_empty() {
        return Ok((atoms::error(), atoms::not_started()).encode(env));
    }
    Ok(match listen(&runtimes, options, tls, Acceptor { listener, first, thread: runtime::number }) {
        Ok(listener) => {
            let address = Events::new(Vm(env)).address(listener.local());
            (atoms::ok(), ResourceArc::new(ListenerRef(listener)), address).encode(env)
        }
        Err(error) => (atoms::error(), reasons::posix(Vm(env), &error)).encode(env),
    })
}

/// Closes the listening socket. Connections go on.
#[rustler::nif(schedule = "DirtyIo")]
fn server_suspend(listener: ResourceArc<ListenerRef>) -> Atom {
    listener.0.suspend();
    atoms::ok()
}

/// Listens again on the same port.
#[rustler::nif(schedule = "DirtyIo")]
fn server_resume<'a>(env: Env<'a>, listener: ResourceArc<ListenerRef>) -> Term<'a> {
    match listener.0.resume() {
        Ok(()) => atoms::ok().encode(env),
        Err(error) => (atoms::error(), reasons::posix(Vm(env), &error)).encode(env),
    }
}

/// Listens no more.
#[rustler::nif(schedule = "DirtyIo")]
fn server_close(listener: ResourceArc<ListenerRef>) -> Atom {
    listener.0.close();
    atoms::ok()
}

/// Changes what the listener has been started with.
#[rustler::nif]
fn server_set_max_connections(listener: ResourceArc<ListenerRef>, max: Term<'_>) -> NifResult<Atom> {
    let max = if atoms::infinity() == max { None } else { Some(max.decode()?) };
    listener.0.set_max_connections(max);
    Ok(atoms::ok())
}

/// For connections that are accepted later.
#[rustler::nif]
fn server_set_tls(listener: ResourceArc<ListenerRef>, tls: ResourceArc<ServerTls>) -> Atom {
    listener.0.set_tls(Arc::clone(&tls.0));
    atoms::ok()
}

/// For connections that are accepted later.
#[rustler::nif]
fn server_set_serve(listener: ResourceArc<ListenerRef>, serve: Term<'_>) -> NifResult<Atom> {
    listener.0.set_serve(serve_options(&VmTerm(serve)).map_err(badarg)?);
    Ok(atoms::ok())
}

/// What is counted: connections that are no WebSockets, WebSockets, and all that were ever accepted.
#[rustler::nif]
fn server_info<'a>(env: Env<'a>, listener: ResourceArc<ListenerRef>) -> NifResult<Term<'a>> {
    let counts = listener.0.counts();
    let pairs = [
        (atoms::active(), counts.active as u64),
        (atoms::upgraded(), counts.upgraded as u64),
        (atoms::accepted(), counts.accepted),
        (atoms::handshake_failures(), counts.handshake_failures),
        (atoms::refused(), counts.refused),
    ];
    Term::map_from_pairs(env, &pairs)
}
