//! The task that owns one connection, from one socket to the next.
//!
//! It alone reads the commands, and matches each of them once: what concerns a stream is the `Protocol`'s that is spoken,
//! the rest is the task's own. While there is no connection it keeps what needs one.
//!
//! ```text
//!             Connect            dialled               Exit::Down
//!     Idle ------------> Dialling -------> Protocol --------------> Idle
//!       ^                   |              |      ^
//!       +---- failed -------+              +------+ Exit::Switch
//! ```

mod commands;
mod direct;
mod handle;
mod queue;
mod seat;

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use self::commands::Commands;
use self::direct::Seated;
pub use self::handle::Handle;
use self::queue::{Queued, Sender};
use crate::account::Charge;
use crate::command::{Command, StreamCommand};
use crate::error::{ConnectError, ConnectionError, DownReason};
use crate::event::{Event, Next, ProtocolName, StreamInfo};
use crate::http::http1::Http1;
use crate::options::ConnectOptions;
use crate::protocol::{Context, Down, Exit, Left, Protocol, Then};
use crate::sink::Sink;
use crate::status::{State, Status};
use crate::stream::credit::Window;
use crate::transport::ByteStream;
use crate::transport::dial::{Dial, Dialed};
use crate::transport::tls::TlsClient;

/// What the seat is made of: a test gives it others, which show every order in which threads can run.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU8, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
}

/// Starts the task of a connection. It makes no attempt to connect before [`Command::Connect`].
pub fn spawn<K: Sink>(runtime: &tokio::runtime::Handle, options: ConnectOptions, sink: K) -> Handle<K> {
    let (commands, task) = prepare(options, sink);
    let status = Arc::clone(&task.status);
    let join = runtime.spawn(run(Box::new(task)));
    Handle::new(commands, status, join.abort_handle())
}

/// Starts the task of a connection on a byte stream that exists already. It speaks HTTP at once, and reports no `Up`.
pub fn spawn_on<K: Sink>(
    runtime: &tokio::runtime::Handle,
    io: impl ByteStream,
    options: ConnectOptions,
    sink: K,
) -> Handle<K> {
    let (commands, mut task) = prepare(options, sink);
    let status = Arc::clone(&task.status);
    status.begin_http(task.options.http.max_send_queue);
    let join = runtime.spawn(async move {
        let work = async {
            match task.serve(io).await {
                Ok(()) => task.work().await,
                Err(stop) => task.stop(stop),
            }
        };
        let panic = caught(pin!(work)).await;
        if let Some(panic) = panic {
            task.panicked(&*panic, &[]);
        }
    });
    Handle::new(commands, status, join.abort_handle())
}

fn prepare<K: Sink>(options: ConnectOptions, sink: K) -> (Sender<K>, Task<K>) {
    let status = Arc::new(Status::new(options.http.max_send_queue));
    let (sender, receiver) = queue::queue(Arc::clone(status.account()));
    let (left, relay) = (None, Window::for_relay());
    (sender, Task { options, commands: Commands::new(receiver), sink, status, left, relay })
}

async fn run<K: Sink>(mut task: Box<Task<K>>) {
    let panic = caught(pin!(task.work())).await;
    if let Some(panic) = panic {
        task.panicked(&*panic, &[]);
    }
}

/// Runs the work to its end, or to its panic. The work is pinned by the caller: a future that is moved into another takes
/// its room twice there.
async fn caught(mut work: Pin<&mut impl Future<Output = ()>>) -> Option<Box<dyn Any + Send>> {
    poll_fn(|cx| poll_caught(|| work.as_mut().poll(cx))).await.err()
}

/// Polls, and makes a panic the result. What has panicked must not be polled again.
fn poll_caught<T>(poll: impl FnOnce() -> Poll<T>) -> Poll<Result<T, Box<dyn Any + Send>>> {
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

/// For [`Command::Panic`]. What was asked for is no news: the panic hook stays quiet.
fn panic_on_command() {
    resume_unwind(Box::new("a panic was asked for"));
}

struct Task<K: Sink> {
    options: ConnectOptions,
    commands: Commands<K>,
    sink: K,
    status: Arc<Status<K>>,
    /// By the connection before, for the next; in a box, since most connections leave nothing.
    left: Option<Box<Left<K>>>,
    /// How much may be reported through a relay that has not caught up.
    relay: Window,
}

/// Why the task itself ends.
enum Stop {
    /// It was asked to, gracefully.
    ShutDown,
    /// Nobody can ask anything of it any more.
    Abandoned,
    /// By a panic, which has been reported.
    Panicked,
}

/// What a command asks of the task while there is no connection.
enum Order {
    Connect(Option<Arc<TlsClient>>),
    Stop(Stop),
}

impl<K: Sink> Task<K> {
    /// Connects whenever a command says so, and serves each connection to its end.
    async fn work(&mut self) {
        loop {
            let stop = match self.wait_for_connect().await {
                Ok(tls) => self.attempt(tls).await,
                Err(stop) => Err(stop),
            };
            if let Err(stop) = stop {
                return self.stop(stop);
            }
        }
    }

    fn stop(&mut self, stop: Stop) {
        if let Stop::ShutDown = stop {
            self.status.set(State::Idle);
            self.sink.event(Event::ShutDown);
        }
    }

    fn panicked(&mut self, panic: &(dyn Any + Send), killed: &[K::Stream]) {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        let protocol = self.status.get().protocol();
        self.status.set(State::Idle);
        self.sink.event(Event::Panicked { protocol, text, killed });
    }

    /// Does one command: on the protocol, if one is spoken.
    fn command(&mut self, (command, charge): Queued<K>, protocol: Option<&mut dyn Protocol<K>>) -> Option<Order> {
        match (command, protocol) {
            (Command::Stream(command), Some(protocol)) => protocol.command(command, charge, &mut self.context()),
            (Command::Stream(command), None) => self.keep(command, charge),
            (Command::Ping(ping), Some(protocol)) => protocol.ping(*ping, &mut self.context()),
            (command @ Command::Ping(_), None) => self.commands.keep((command, charge)),
            (Command::Shutdown, Some(protocol)) => protocol.shut_down(&mut self.context()),
            (Command::Shutdown, None) => return Some(Order::Stop(Stop::ShutDown)),
            (Command::Connect(tls), None) => return Some(Order::Connect(tls)),
            (Command::Connect(_), Some(_)) => {}
            (Command::RelayGrant, _) => self.relay.grant(),
            (Command::Control(control), _) => self.sink.control(*control),
            (Command::Panic, _) => panic_on_command(),
        }
        None
    }

    /// A command for a stream while there is no connection.
    fn keep(&mut self, command: StreamCommand<K>, charge: Charge) {
        match command {
            // Answers that a stream has not lived to see.
            StreamCommand::UpdateFlow(None, _) | StreamCommand::FlowGrant(_) | StreamCommand::Settled(_) => {}
            // The WebSocket that follows begins with a flow of its own.
            StreamCommand::UpdateFlow(Some(stream), _)
                if self.left.as_ref().is_some_and(|left| left.repeats(&stream)) => {}
            StreamCommand::Info(asked) => {
                self.sink.event(Event::StreamInfo { receipt: &asked.1, info: StreamInfo::NotConnected });
            }
            StreamCommand::Send(outgoing) => match self.left.as_mut().and_then(|left| left.reupgrade.as_mut()) {
                Some((_, reupgrade)) => reupgrade.hold(outgoing, charge, &mut self.sink),
                None => self.commands.keep((StreamCommand::Send(outgoing).into(), charge)),
            },
            command => self.commands.keep((command.into(), charge)),
        }
    }

    fn context(&mut self) -> Context<'_, K> {
        let Self { options, sink, status, relay, .. } = self;
        Context { options, sink, status, relay, then: Then::Rest }
    }

    /// Waits for the command to connect.
    async fn wait_for_connect(&mut self) -> Result<Option<Arc<TlsClient>>, Stop> {
        loop {
            let Some(queued) = self.commands.recv_new().await else { return Err(Stop::Abandoned) };
            match self.command(queued, None) {
                Some(Order::Connect(tls)) => return Ok(tls),
                Some(Order::Stop(stop)) => return Err(stop),
                None => {}
            }
        }
    }

    /// One attempt to connect, and the whole life of the connection if it succeeds. Each stage of it has a box of its
    /// own, so that a stage that is over takes no room in the stages after it.
    async fn attempt(&mut self, tls: Option<Arc<TlsClient>>) -> Result<(), Stop> {
        self.status.set(State::Connecting);
        let io = match Box::pin(self.connect(tls)).await? {
            Ok(dialed) => {
                self.up(&dialed);
                dialed.io
            }
            Err(error) => return self.connect_failed(error),
        };
        self.serve(io).await
    }

    fn connect_failed(&mut self, error: ConnectError) -> Result<(), Stop> {
        self.status.set(State::Idle);
        self.sink.event(Event::ConnectFailed(error));
        Ok(())
    }

    fn up(&mut self, dialed: &Dialed) {
        let bound = self.left.as_ref().and_then(|left| left.bound());
        self.status.begin_http(bound.or(self.options.http.max_send_queue));
        let (protocol, local, alpn) = (ProtocolName::Http, dialed.local, dialed.alpn.as_deref());
        self.sink.event(Event::Up { protocol, local, alpn });
    }

    /// Connects, over TLS where there is a configuration for it. What commands can be done meanwhile are done, the others
    /// are kept for the connection.
    async fn connect(&mut self, tls: Option<Arc<TlsClient>>) -> Result<Result<Dialed, ConnectError>, Stop> {
        let options = self.options.clone();
        let mut dial = Dial::new(&options, tls);
        loop {
            tokio::select! {
                result = poll_fn(|cx| dial.poll(&mut |step| self.sink.step(step), cx)) => return Ok(result),
                queued = self.commands.recv_new() => {
                    let Some(queued) = queued else { return Err(Stop::Abandoned) };
                    if let Some(Order::Stop(stop)) = self.command(queued, None) {
                        return Err(stop);
                    }
                }
            }
        }
    }

    /// Speaks HTTP on the byte stream, then whatever comes of it.
    async fn serve<S: ByteStream>(&mut self, io: S) -> Result<(), Stop> {
        self.relay = Window::for_relay();
        let left = self.left.take().map_or_else(Left::nothing, |left| *left);
        let protocol = match Box::pin(Http1::start(io, left, &mut self.context())).await {
            Ok(protocol) => protocol,
            Err(down) => return self.down(*down),
        };
        // It goes with the task, however that ends.
        let seat = self.commands.seat();
        seat.put(protocol).await;
        loop {
            let turn = poll_fn(|cx| {
                let Some(mut taken) = seat.take(cx) else { return Poll::Pending };
                let Some(seated) = taken.thing() else { return Poll::Pending };
                // What has ended is taken away before a sender can have it in hand again.
                poll_caught(|| self.poll(seated, cx)).map(|exit| (exit, taken.replace(None)))
            });
            let (exit, ended) = turn.await;
            match exit {
                Ok(Ok(Exit::Switch(next))) => seat.put(next).await,
                Ok(Ok(Exit::Down(down))) => {
                    // The byte stream is closed, and what waited in the protocol given back, before anybody hears of it.
                    drop(ended);
                    return self.down(*down);
                }
                Ok(Ok(Exit::ShutDown)) => return Err(Stop::ShutDown),
                Ok(Err(stop)) => return Err(stop),
                Err(panic) => {
                    let killed = ended.map(Seated::into_killed).unwrap_or_default();
                    self.panicked(&*panic, &killed);
                    return Err(Stop::Panicked);
                }
            }
        }
    }

    /// Gives the protocol its commands, and its turn.
    fn poll(&mut self, seated: &mut Seated<K>, cx: &mut task::Context<'_>) -> Poll<Result<Exit<K>, Stop>> {
        let protocol = seated.begin_turn();
        let poll = loop {
            for _ in 0..protocol.commands_first() {
                let Some(queued) = self.commands.try_recv() else { break };
                self.command(queued, Some(&mut *protocol));
            }
            let mut context = self.context();
            match protocol.poll(&mut context, cx) {
                Poll::Ready(exit) => break Poll::Ready(Ok(exit)),
                Poll::Pending => match context.then {
                    Then::GoOn => continue,
                    Then::Yield => break Poll::Pending,
                    Then::Rest => {}
                },
            }
            // Senders wake the task only from here on: commands sent before this need no wake-up.
            match self.commands.poll_recv(cx) {
                Poll::Ready(Some(queued)) => {
                    self.command(queued, Some(&mut *protocol));
                }
                Poll::Ready(None) => break Poll::Ready(Err(Stop::Abandoned)),
                Poll::Pending => {
                    seated.end_turn(self.commands.all_done());
                    break Poll::Pending;
                }
            }
        };
        self.sink.flush();
        poll
    }

    fn down(&mut self, down: Down<K>) -> Result<(), Stop> {
        let Down { reason, killed, closed_by_user, served, mut left } = down;
        // Before anybody hears that a WebSocket is away, and sends what is to wait for the next.
        if let Some(bound) = left.bound() {
            self.status.account().limit(Some(bound));
        }
        let next = match (&left.reupgrade, &reason) {
            (Some(_), DownReason::Error(ConnectionError::Refused(refusal))) => {
                Next::Reupgrade { after: refusal.retry_after }
            }
            (Some(_), _) => Next::Reupgrade { after: Duration::ZERO },
            (None, _) if closed_by_user => Next::ClosedByUser,
            (None, _) => Next::Nothing,
        };
        let frames = std::mem::take(&mut left.frames).into_iter();
        self.commands.put_back(frames.map(|(outgoing, charge)| (StreamCommand::Send(outgoing).into(), charge)));
        let protocol = self.status.get().protocol().unwrap_or(ProtocolName::Http);
        self.status.set(State::Idle);
        self.left = (!left.is_nothing()).then(|| Box::new(left));
        // A WebSocket that is opened again has ended all the same.
        let reopened = self.left.as_ref().and_then(|left| left.reupgrade.as_ref());
        let reopened = reopened.filter(|_| protocol == ProtocolName::Ws);
        let killed = reopened.map_or(&killed[..], |(stream, _)| std::slice::from_ref(stream));
        self.sink.event(Event::Down { protocol, reason: &reason, killed, next, served });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
