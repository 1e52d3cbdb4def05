//! The I/O threads of the node: started and stopped with the application.
//!
//! Each thread is a tokio runtime of its own, and a connection stays on one of them for its life. So a command wakes
//! that thread and no other, and what a connection works on stays in one processor's caches. A runtime over all threads
//! wakes a second one whenever it is woken itself, to look for work that is not there: a round trip took half as much
//! processor time again.

use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

/// How many descriptors the VM has room for from the start, if it may have as many. A descriptor takes 8 bytes of the
/// kernel's memory.
const DESCRIPTORS: RawFd = 16 * 1024;

struct IoThread {
    runtime: Handle,
    stop: Arc<Notify>,
    /// Nothing is ever sent: the thread drops its end when it ends.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// Also the threads of a start that failed half-way end.
impl Drop for IoThread {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

thread_local! {
    /// Which of the I/O threads this is, if it is one.
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A cell that is filled by a start, which may fail, and emptied by a stop. Only NIFs take the lock, never I/O.
static THREADS: RwLock<OnceCell<Vec<IoThread>>> = RwLock::new(OnceCell::new());

/// Starts the I/O threads, unless they run already.
///
/// # Errors
/// When the operating system has no thread for us.
pub(crate) fn start(count: usize) -> io::Result<()> {
    let threads = THREADS.read().unwrap_or_else(PoisonError::into_inner);
    let start = || {
        // If it can't be made now, it is when it is needed.
        let _ = make_room_for_descriptors();
        (0..count).map(start_thread).collect()
    };
    threads.get_or_try_init(start).map(|_: &Vec<_>| ())
}

/// Stops the I/O threads and closes every connection; waits for them for `timeout` at most.
pub(crate) fn stop(timeout: Duration) {
    let threads = THREADS.write().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
    for thread in &threads {
        thread.stop.notify_one();
    }
    let deadline = Instant::now() + timeout;
    for thread in &threads {
        let left = deadline.saturating_duration_since(Instant::now());
        let ended = thread.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(left) {
            return;
        }
    }
}

/// Where the next connection goes, to the thread with the fewest; nowhere while nothing runs.
pub(crate) fn place() -> Option<Handle> {
    let threads = THREADS.read().unwrap_or_else(PoisonError::into_inner);
    let runtimes = threads.get()?.iter().map(|thread| &thread.runtime);
    runtimes.min_by_key(|runtime| runtime.metrics().num_alive_tasks()).cloned()
}

/// All of them, for what spreads its connections itself.
pub(crate) fn all() -> Vec<Handle> {
    let threads = THREADS.read().unwrap_or_else(PoisonError::into_inner);
    threads.get().map_or_else(Vec::new, |threads| threads.iter().map(|thread| thread.runtime.clone()).collect())
}

/// Which of the I/O threads the caller is on.
pub(crate) fn number() -> usize {
    NUMBER.get()
}

/// Does this on the I/O thread of this number, unless that has ended.
pub(crate) fn run_on(number: usize, work: impl FnOnce() + Send + 'static) {
    let threads = THREADS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(thread) = threads.get().and_then(|threads| threads.get(number)) {
        drop(thread.runtime.spawn(async move { work() }));
    }
}

/// Whether the I/O threads run.
pub(crate) fn is_running() -> bool {
    THREADS.read().unwrap_or_else(PoisonError::into_inner).get().is_some()
}

/// How many tasks there are.
pub(crate) fn tasks() -> usize {
    let threads = THREADS.read().unwrap_or_else(PoisonError::into_inner);
    threads.get().map_or(0, |threads| threads.iter().map(|thread| thread.runtime.metrics().num_alive_tasks()).sum())
}

/// To enlarge the table of descriptors Linux waits until no processor can still look at the old one: 8 to 40 ms, at 256
/// descriptors, at 512, at 1024. The I/O thread that opens a socket just then would serve none of its connections.
fn make_room_for_descriptors() -> io::Result<()> {
    let allowed = getrlimit(Resource::Nofile).current.and_then(|limit| RawFd::try_from(limit).ok());
    let (_, writer) = io::pipe()?;
    fcntl_dupfd_cloexec(writer, allowed.unwrap_or(RawFd::MAX).min(DESCRIPTORS) - 1)?;
    Ok(())
}

fn start_thread(n: usize) -> io::Result<IoThread> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let (stop, (running, ended)) = (Arc::new(Notify::new()), mpsc::channel());
    let thread = IoThread { runtime: runtime.handle().clone(), stop: Arc::clone(&stop), ended: Mutex::new(ended) };
    std::thread::Builder::new().name(format!("gun_rs-io-{n}")).spawn(move || {
        NUMBER.set(n);
        runtime.block_on(stop.notified());
        // Its connections are closed.
        runtime.shutdown_background();
        drop(running);
    })?;
    Ok(thread)
}
