//! The one tokio runtime of the node: started and stopped with the application.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use once_cell::sync::OnceCell;
use tokio::runtime::{Builder, Handle, Runtime};

/// The most threads that look names up at the same time: the system's resolver blocks, also after domain_lookup_timeout.
/// They are started when they are needed.
const MAX_RESOLVER_THREADS: usize = 64;

/// A cell that is filled by a start, which may fail, and emptied by a stop. Only NIFs take the lock, never I/O.
static RUNTIME: RwLock<OnceCell<Runtime>> = RwLock::new(OnceCell::new());

/// Starts the I/O threads, unless they run already.
///
/// # Errors
/// When the operating system has no thread for us.
pub(crate) fn start(threads: usize) -> io::Result<()> {
    let runtime = RUNTIME.read().unwrap_or_else(PoisonError::into_inner);
    runtime.get_or_try_init(|| build(threads)).map(|_| ())
}

/// Stops the I/O threads and closes every connection; waits for them for `timeout` at most.
pub(crate) fn stop(timeout: Duration) {
    let runtime = RUNTIME.write().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(runtime) = runtime {
        runtime.shutdown_timeout(timeout);
    }
}

/// The running runtime, if there is one.
pub(crate) fn handle() -> Option<Handle> {
    let runtime = RUNTIME.read().unwrap_or_else(PoisonError::into_inner);
    runtime.get().map(|runtime| runtime.handle().clone())
}

fn build(threads: usize) -> io::Result<Runtime> {
    let count = AtomicUsize::new(0);
    Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(MAX_RESOLVER_THREADS)
        .thread_name_fn(move || format!("gun_rs-io-{}", count.fetch_add(1, Ordering::Relaxed)))
        .enable_io()
        .enable_time()
        .build()
}
