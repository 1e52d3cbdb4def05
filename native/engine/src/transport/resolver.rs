//! Looks up names with the system's resolver. It blocks, and so it has threads of its own.
//!
//! The threads serve all connections of the process. A name that several connections ask for is looked up once. A
//! look-up that nobody waits for any more is not begun; one that has begun takes no place from others. A resolver that
//! does not answer for some names therefore delays these names only.
//!
//! Addresses that were found are remembered for a second: connections to one host are often made in a row, and the system's
//! resolver reads its files anew for each.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::error::{ConnectError, is_exhaustion};

/// The most look-ups that run at the same time, not counting those that nobody waits for any more.
const MAX_AWAITED: usize = 64;

/// The most threads. Those above `MAX_AWAITED` replace threads whose look-ups nobody waits for any more.
const MAX_THREADS: usize = 256;

/// How many names may wait for a thread.
const MAX_WAITING: usize = 4096;

/// How long the addresses of a name are remembered. Who has just changed them need not wait.
const MEMORY: Duration = Duration::from_secs(1);

/// For how many names they are.
const MAX_REMEMBERED: usize = 1024;

/// How long an idle thread lives.
const THREAD_LIFETIME: Duration = Duration::from_secs(10);

/// The resolver of all connections in this process.
pub(super) static SYSTEM: LazyLock<Resolver> = LazyLock::new(|| Resolver::new(system));

/// A resolver.
pub(super) struct Resolver(Arc<Shared>);

struct Shared {
    look_up: Box<LookUp>,
    limits: Limits,
    /// The lock is held for a moment, and never while a name is looked up.
    state: Mutex<Lookups>,
    /// Signals that `given` has another name.
    changed: Condvar,
}

type LookUp = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

#[derive(Clone, Copy)]
struct Limits {
    awaited: usize,
    threads: usize,
    waiting: usize,
    /// For how long addresses are remembered.
    memory: Duration,
}

#[derive(Default)]
struct Lookups {
    /// Every look-up that waits or runs, by its name. The connections that wait for it hold the receiving ends.
    look_ups: HashMap<Arc<str>, watch::Sender<Option<Answer>>>,
    /// The names that wait for a thread, in the order in which they came.
    waiting: VecDeque<Arc<str>>,
    /// The names that are looked up now.
    running: Vec<Arc<str>>,
    threads: usize,
    /// How many threads are idle.
    idle: usize,
    /// Names for idle threads that are waking up. The names are in `running` already; the threads are not in `idle` any
    /// more.
    given: VecDeque<Arc<str>>,
    /// Addresses that were found, and when.
    remembered: HashMap<Arc<str>, (Instant, Arc<[SocketAddr]>)>,
}

/// The result of a look-up, for every connection that waits for it.
#[derive(Clone)]
enum Answer {
    Addresses(Arc<[SocketAddr]>),
    NotFound,
    /// The number of the operating system's error.
    System(i32),
}

impl Resolver {
    fn new(look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        let limits = Limits { awaited: MAX_AWAITED, threads: MAX_THREADS, waiting: MAX_WAITING, memory: MEMORY };
        Self::with_limits(limits, look_up)
    }

    fn with_limits(
        limits: Limits,
        look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        let (state, changed) = (Mutex::new(Lookups::default()), Condvar::new());
        Self(Arc::new(Shared { look_up: Box::new(look_up), limits, state, changed }))
    }

    /// The addresses of the host, in the resolver's order. An address in its usual notation is its own answer.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub(super) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        // The zone of an address is the name of an interface, which the system knows without asking a server.
        let literal = host.split('%').next().unwrap_or(host).parse::<IpAddr>();
        let answer = match (host.parse::<IpAddr>(), literal) {
            (Ok(ip), _) => return Ok(vec![SocketAddr::new(ip, port)]),
            (Err(_), Ok(_)) => answer(system(host), exhausted),
            (Err(_), Err(_)) => self.look_up(host).await?,
        };
        match answer {
            Answer::Addresses(found) => {
                let mut found = found.to_vec();
                found.iter_mut().for_each(|address| address.set_port(port));
                Ok(found)
            }
            Answer::NotFound => Err(ConnectError::NameNotFound),
            Answer::System(number) => Err(io::Error::from_raw_os_error(number).into()),
        }
    }

    async fn look_up(&self, name: &str) -> Result<Answer, ConnectError> {
        if let Some(found) = self.0.lock().recall(name, self.0.limits.memory) {
            return Ok(Answer::Addresses(found));
        }
        let mut awaited = Awaited { answer: Some(self.ask(name)?), resolver: &self.0 };
        let Some(answer) = awaited.answer.as_mut() else { return Ok(Answer::NotFound) };
        // The other end is dropped without an answer only if the thread has panicked.
        let answer = answer.wait_for(Option::is_some).await.ok().and_then(|answer| (*answer).clone());
        Ok(answer.unwrap_or(Answer::NotFound))
    }

    /// Joins the look-up of this name, or starts one. Returns where its answer will be.
    fn ask(&self, name: &str) -> Result<watch::Receiver<Option<Answer>>, ConnectError> {
        let shared = &self.0;
        let mut state = shared.lock();
        if let Some(look_up) = state.look_ups.get(name) {
            return Ok(look_up.subscribe());
        }
        if state.waiting.len() >= shared.limits.waiting {
            state.forget_abandoned();
            if state.waiting.len() >= shared.limits.waiting {
                return Err(ConnectError::ResolverBusy);
            }
        }
        let (answer, receiver) = watch::channel(None);
        let name = Arc::<str>::from(name);
        state.look_ups.insert(Arc::clone(&name), answer);
        state.waiting.push_back(Arc::clone(&name));
        Shared::begin(shared, &mut state);
        Ok(receiver)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Lookups> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives threads the names that may be looked up now.
    fn begin(shared: &Arc<Self>, state: &mut Lookups) {
        while let Some(name) = state.take_next(shared.limits) {
            if state.idle > 0 {
                state.idle -= 1;
                state.running.push(Arc::clone(&name));
                state.given.push_back(name);
                shared.changed.notify_one();
                continue;
            }
            let spawned = (state.threads < shared.limits.threads).then(|| {
                let (worker, name) = (Arc::clone(shared), Arc::clone(&name));
                thread::Builder::new().name("gun_rs-resolver".into()).spawn(move || worker.work(name))
            });
            match spawned {
                Some(Ok(_)) => {
                    state.threads += 1;
                    state.running.push(name);
                }
                // Other threads will take the name later. Without any, it would wait forever.
                Some(Err(error)) if state.threads == 0 => {
                    state.waiting.push_front(name);
                    return state.fail(&error);
                }
                _ => return state.waiting.push_front(name),
            }
        }
    }

    /// Runs a thread: it looks up this name, then others.
    fn work(&self, first: Arc<str>) {
        let mut next = Some(first);
        while let Some(name) = next {
            let answer = answer((self.look_up)(&name), exhausted);
            let mut state = self.lock();
            state.running.retain(|other| *other != name);
            if let Answer::Addresses(found) = &answer {
                state.remember(Arc::clone(&name), Arc::clone(found), self.limits.memory);
            }
            if let Some(look_up) = state.look_ups.remove(&name) {
                look_up.send_replace(Some(answer));
            }
            next = self.next(state);
        }
    }

    /// The next name for this thread, or `None` when it has been idle for so long that it ends.
    fn next(&self, mut state: MutexGuard<'_, Lookups>) -> Option<Arc<str>> {
        if let Some(name) = state.take_next(self.limits) {
            state.running.push(Arc::clone(&name));
            return Some(name);
        }
        state.idle += 1;
        loop {
            let waited = self.changed.wait_timeout(state, THREAD_LIFETIME);
            let timeout;
            (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if let Some(name) = state.given.pop_front() {
                return Some(name);
            }
            if timeout.timed_out() {
                state.idle -= 1;
                state.threads -= 1;
                return None;
            }
        }
    }
}

impl Lookups {
    fn is_awaited(&self, name: &str) -> bool {
        self.look_ups.get(name).is_some_and(|look_up| look_up.receiver_count() > 0)
    }

    /// The addresses of this name, if they were found lately.
    fn recall(&self, name: &str, memory: Duration) -> Option<Arc<[SocketAddr]>> {
        let (at, found) = self.remembered.get(name)?;
        (at.elapsed() < memory).then(|| Arc::clone(found))
    }

    fn remember(&mut self, name: Arc<str>, found: Arc<[SocketAddr]>, memory: Duration) {
        if self.remembered.len() >= MAX_REMEMBERED {
            self.remembered.retain(|_, (at, _)| at.elapsed() < memory);
        }
        if self.remembered.len() < MAX_REMEMBERED {
            self.remembered.insert(name, (Instant::now(), found));
        }
    }

    /// The next name that somebody waits for, if it may be looked up now.
    fn take_next(&mut self, limits: Limits) -> Option<Arc<str>> {
        if self.running.iter().filter(|name| self.is_awaited(name)).count() >= limits.awaited {
            return None;
        }
        loop {
            let name = self.waiting.pop_front()?;
            if self.is_awaited(&name) {
                return Some(name);
            }
            self.look_ups.remove(&name);
        }
    }

    /// Answers all names that wait with this error.
    fn fail(&mut self, error: &io::Error) {
        for name in self.waiting.drain(..) {
            if let Some(look_up) = self.look_ups.remove(&name) {
                look_up.send_replace(Some(error.raw_os_error().map_or(Answer::NotFound, Answer::System)));
            }
        }
    }

    fn forget_abandoned(&mut self) {
        let look_ups = &mut self.look_ups;
        self.waiting.retain(|name| {
            let awaited = look_ups.get(name).is_some_and(|look_up| look_up.receiver_count() > 0);
            if !awaited {
                look_ups.remove(name);
            }
            awaited
        });
    }
}

/// A connection's wait for an answer. When it ends, another look-up may begin in its place.
struct Awaited<'a> {
    answer: Option<watch::Receiver<Option<Answer>>>,
    resolver: &'a Arc<Shared>,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.answer = None;
        let mut state = self.resolver.lock();
        Shared::begin(self.resolver, &mut state);
    }
}

fn answer(found: io::Result<Vec<SocketAddr>>, exhausted: impl FnOnce() -> Option<i32>) -> Answer {
    match found {
        Ok(addresses) => Answer::Addresses(addresses.into()),
        // What the system's resolver says of a lack of descriptors may be left over from something else.
        Err(error) => match exhausted().or_else(|| error.raw_os_error()) {
            Some(number) => Answer::System(number),
            // The system's resolver distinguishes "no such name" and "no answer" by a text only.
            None => Answer::NotFound,
        },
    }
}

/// A resolver without a descriptor for its question reports that there is no such name, or no answer. This is the error
/// that it does not report.
fn exhausted() -> Option<i32> {
    UdpSocket::bind(("127.0.0.1", 0)).err()?.raw_os_error().filter(|number| is_exhaustion(*number))
}

/// Asks the system. The connection has the port, and puts it in later.
fn system(host: &str) -> io::Result<Vec<SocketAddr>> {
    (host, 0).to_socket_addrs().map(Iterator::collect)
}

#[cfg(test)]
mod tests;
