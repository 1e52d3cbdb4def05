//! The I/O threads.

use std::time::Duration;

use gun_rs_terms::Terms;
use rustler::{Atom, Encoder, Env, NifResult, Term};

use super::atoms;
use crate::vm::Vm;
use crate::{registry, runtime};

#[rustler::nif(schedule = "DirtyIo")]
fn runtime_start(env: Env<'_>, threads: usize) -> Term<'_> {
    match runtime::start(threads) {
        Ok(()) => atoms::ok().encode(env),
        Err(error) => (atoms::error(), Vm(env).string(&error.to_string())).encode(env),
    }
}

#[rustler::nif(schedule = "DirtyIo")]
fn runtime_stop(timeout: u64) -> Atom {
    runtime::stop(Duration::from_millis(timeout));
    atoms::ok()
}

#[rustler::nif]
fn runtime_is_running() -> bool {
    runtime::is_running()
}

/// How many connections and tasks there are: none may be left when all connections are closed.
#[rustler::nif]
fn stats<'a>(env: Env<'a>) -> NifResult<Term<'a>> {
    Term::map_from_pairs(env, &[(atoms::connections(), registry::len()), (atoms::tasks(), runtime::tasks())])
}
