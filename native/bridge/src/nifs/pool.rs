//! Which connection of a pool has room for another stream.
//!
//! The process of the pool says which connections there are, and how many streams each may have. Callers take a lease of
//! one themselves, without that process; it is asked only where all are busy.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use gun_rs_engine::State;
use rustler::{Atom, Encoder, Env, LocalPid, NifResult, Resource, ResourceArc, Term};

use super::atoms;
use crate::lease::{Bell, HeldLease, Lease, LeaseTerm};
use crate::registry::{self, Connection};
use crate::{outbox, runtime};

/// A pool.
struct Pool {
    bell: Arc<Bell>,
    members: RwLock<Members>,
    /// Where the next search begins.
    next: AtomicUsize,
}

#[derive(Default)]
struct Members {
    all: Vec<Member>,
    /// The first of them share the load. The others are used only when these are busy, so that they can go when they aren't
    /// needed.
    shared: usize,
}

struct Member {
    pid: LocalPid,
    connection: ResourceArc<Connection>,
    max: u32,
}

impl Member {
    fn is_up(&self) -> bool {
        self.max > 0 && matches!(self.connection.handle.state(), State::Http | State::Http2 | State::Ws)
    }
}

#[rustler::resource_impl]
impl Resource for Pool {}

impl Drop for Pool {
    fn drop(&mut self) {
        self.bell.over.store(true, Ordering::SeqCst);
        self.bell.rung.notify_one();
    }
}

impl Pool {
    /// The first result of a search, which begins with another connection each time.
    fn search<T>(&self, found: impl Fn(&Member) -> Option<T>) -> Option<T> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        let (shared, rest) = members.all.split_at(members.shared.min(members.all.len()));
        let start = self.next.fetch_add(1, Ordering::Relaxed) % shared.len().max(1);
        let (before, after) = shared.split_at(start);
        after.iter().chain(before).chain(rest).filter(|member| member.is_up()).find_map(found)
    }

    fn take<'a>(&self, env: Env<'a>) -> Term<'a> {
        let taken =
            self.search(|member| Lease::try_new(&member.connection.load, member.max).map(|lease| (member.pid, lease)));
        match taken {
            Some((pid, lease)) => (pid, LeaseTerm::new(HeldLease(lease))).encode(env),
            None => atoms::full().encode(env),
        }
    }
}

/// A pool of the calling process, which receives `{gun_rs_native, stream_over}` when a stream has ended while callers
/// wait.
#[rustler::nif]
fn pool_new(env: Env<'_>) -> Term<'_> {
    let Some(runtime) = runtime::place() else {
        return (atoms::error(), atoms::not_started()).encode(env);
    };
    let bell = Arc::new(Bell::default());
    runtime.spawn(ring(Arc::clone(&bell), env.pid()));
    let pool = Pool { bell, members: RwLock::default(), next: AtomicUsize::new(0) };
    (atoms::ok(), ResourceArc::new(pool)).encode(env)
}

async fn ring(bell: Arc<Bell>, process: LocalPid) {
    loop {
        bell.rung.notified().await;
        if bell.over.load(Ordering::SeqCst) {
            return;
        }
        outbox::send_served(&process, |env| (atoms::gun_rs_native(), atoms::stream_over()).encode(env));
    }
}

/// The connections `{ConnPid, Max}` take the place of those that there were; the first `shared` of them share the load.
#[rustler::nif]
fn pool_set(pool: ResourceArc<Pool>, members: Vec<(LocalPid, Term<'_>)>, shared: usize) -> NifResult<Atom> {
    let mut all = Vec::with_capacity(members.len());
    for (pid, max) in members {
        let max = if atoms::infinity() == max { u32::MAX } else { max.decode()? };
        let Some(connection) = registry::get(&pid) else { continue };
        connection.load.belongs_to(&pool.bell);
        all.push(Member { pid, connection, max });
    }
    *pool.members.write().unwrap_or_else(PoisonError::into_inner) = Members { all, shared };
    Ok(atoms::ok())
}

/// `{ConnPid, Lease}` of a connection that has room; `full`, or `waiting` where others wait already.
#[rustler::nif]
fn pool_take(env: Env<'_>, pool: ResourceArc<Pool>) -> Term<'_> {
    if pool.bell.waiting.load(Ordering::SeqCst) { atoms::waiting().encode(env) } else { pool.take(env) }
}

/// The same for the process of the pool, on behalf of whoever has waited longest.
#[rustler::nif]
fn pool_next(env: Env<'_>, pool: ResourceArc<Pool>) -> Term<'_> {
    pool.take(env)
}

/// Whether callers wait from now on.
#[rustler::nif]
fn pool_waiting(pool: ResourceArc<Pool>, waiting: bool) -> Atom {
    pool.bell.waiting.store(waiting, Ordering::SeqCst);
    atoms::ok()
}

/// A connection that has room, without a lease of it; or `full`.
#[rustler::nif]
fn pool_pick(env: Env<'_>, pool: ResourceArc<Pool>) -> Term<'_> {
    let picked = pool.search(|member| (member.connection.load.counts().0 < member.max).then_some(member.pid));
    picked.map_or_else(|| atoms::full().encode(env), |pid| pid.encode(env))
}

/// How many streams each connection has, and has had.
#[rustler::nif]
fn pool_streams(pool: ResourceArc<Pool>) -> Vec<(LocalPid, u32, u32)> {
    let members = pool.members.read().unwrap_or_else(PoisonError::into_inner);
    let counts = |member: &Member| (member.pid, member.connection.load.counts());
    members.all.iter().map(counts).map(|(pid, (open, opened))| (pid, open, opened)).collect()
}

/// The caller does not use its lease.
#[rustler::nif]
fn lease_drop(lease: LeaseTerm) -> Atom {
    lease.0.give_up();
    atoms::ok()
}
