//! The task of a connection that was accepted: it ends with the connection.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::commands::Commands;
use super::{Handle, Task, caught, queue};
use crate::options::Steps;
use crate::protocol::Protocol;
use crate::sink::Sink;
use crate::status::{State, Status};
use crate::stream::credit::Window;

/// What makes a byte stream of what was accepted, or finds that it is none.
pub(crate) type Opening<T> = Pin<Box<dyn Future<Output = Option<T>> + Send>>;

/// Starts the task of a connection on which so many bytes may wait to be sent. The task first does what `opening` does,
/// then `begin` makes the sink and the protocol of it. `end` is dropped when the task has ended.
pub(crate) fn serve<K: Sink, T: Send + 'static>(
    runtime: &tokio::runtime::Handle,
    max_send_queue: Option<usize>,
    opening: Opening<T>,
    begin: impl FnOnce(T, Handle<K>) -> (K, Box<dyn Protocol<K>>) + Send + 'static,
    end: impl Send + 'static,
) {
    let (tell, told) = oneshot::channel();
    let join = runtime.spawn(async move {
        let _end = end;
        let Some(opened) = opening.await else { return };
        // The task itself is in the handle: whoever has started it sends that at once.
        let Ok(task) = told.await else { return };
        let status = Arc::new(Status::new(max_send_queue));
        let (sender, receiver) = queue::queue(Arc::clone(status.account()));
        let (sink, protocol) = begin(opened, Handle::new(sender, Arc::clone(&status), task));
        status.begin_http(State::Http, max_send_queue);
        let (observed, left, relay, socks) = (Steps::NONE, None, Window::for_relay(), None);
        let commands = Commands::new(receiver);
        let task = Task { commands, sink, observed, status, left, left_limit: None, relay, socks, proxy: None };
        run(Box::new(task), protocol).await;
    });
    // It fails if the task has ended already.
    let _ = tell.send(join.abort_handle());
}

async fn run<K: Sink>(mut task: Box<Task<K>>, protocol: Box<dyn Protocol<K>>) {
    let work = async {
        if let Err(stop) = task.speak(protocol).await {
            task.stop(stop);
        }
    };
    let panic = caught(pin!(work)).await;
    if let Some(panic) = panic {
        task.panicked(&*panic, &[]);
    }
}
