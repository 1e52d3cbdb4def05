//! The task that owns one connection, and the handle to it.

use std::any::Any;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

use crate::command::Command;
use crate::error::{ConnectError, DownReason};
use crate::event::{Event, Protocol};
use crate::http;
use crate::options::ConnectOptions;
use crate::sink::Sink;
use crate::transport::{ByteStream, tcp};
use crate::websocket::session::{self, Session};

/// What a connection is doing. It changes before the event that tells of the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It waits to be told to connect.
    Idle,
    /// It makes an attempt.
    Connecting,
    /// It speaks HTTP.
    Http,
    /// It is a WebSocket.
    Ws,
    /// It is a WebSocket in its closing handshake.
    Closing,
}

const STATES: [State; 5] = [State::Idle, State::Connecting, State::Http, State::Ws, State::Closing];

/// The state, shared by the task and its handle.
#[derive(Debug)]
pub(crate) struct Status(AtomicU8);

impl Status {
    pub(crate) fn set(&self, state: State) {
        self.0.store(state as u8, Ordering::Release);
    }

    fn get(&self) -> State {
        STATES.get(usize::from(self.0.load(Ordering::Acquire))).copied().unwrap_or(State::Idle)
    }
}

/// The way to a connection's task. When the last handle is dropped, the task ends and closes its socket.
pub struct Handle<K: Sink> {
    commands: UnboundedSender<Command<K>>,
    status: Arc<Status>,
    task: AbortHandle,
}

impl<K: Sink> Handle<K> {
    /// Appends a command to the connection's queue. Without effect when the task has ended.
    pub fn send(&self, command: Command<K>) {
        // An ended task has told its end by an event; a command that comes after it has nobody to do it.
        let _ = self.commands.send(command);
    }

    /// What the connection is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.status.get()
    }

    /// Ends the task at once and closes its socket, without a word to the peer.
    pub fn abort(&self) {
        self.task.abort();
    }
}

/// Starts the task of a connection. It makes no attempt to connect before it is told to ([`Command::Connect`]).
pub fn spawn<K: Sink>(runtime: &tokio::runtime::Handle, options: ConnectOptions, sink: K) -> Handle<K> {
    let (commands, connection) = prepare(options, sink);
    let status = Arc::clone(&connection.status);
    let task = runtime.spawn(run(connection)).abort_handle();
    Handle { commands, status, task }
}

fn prepare<K: Sink>(options: ConnectOptions, sink: K) -> (UnboundedSender<Command<K>>, Connection<K>) {
    let (sender, receiver) = unbounded_channel();
    let commands = Commands { receiver, kept: VecDeque::new() };
    let status = Arc::new(Status(AtomicU8::new(State::Idle as u8)));
    (sender, Connection { options, commands, sink, status })
}

/// The same for a test, on a byte stream that is there already: HTTP is spoken on it without a word of its being up.
#[cfg(test)]
pub(crate) fn spawn_on<K: Sink>(io: impl ByteStream, options: ConnectOptions, sink: K) -> Handle<K> {
    let (commands, mut connection) = prepare(options, sink);
    let status = Arc::clone(&connection.status);
    status.set(State::Http);
    let task = tokio::spawn(async move {
        let work = async {
            match connection.serve(io).await {
                Ok(()) => connection.work().await,
                Err(stop) => connection.stop(stop),
            }
        };
        if let Some(panic) = caught(work).await {
            connection.panicked(&*panic, &[]);
        }
    });
    Handle { commands, status, task: task.abort_handle() }
}

/// The receiving end of a connection's queue.
pub(crate) struct Commands<K: Sink> {
    receiver: UnboundedReceiver<Command<K>>,
    /// Commands that came while there was no connection to do them on. They come first.
    kept: VecDeque<Command<K>>,
}

impl<K: Sink> Commands<K> {
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Command<K>>> {
        match self.kept.pop_front() {
            Some(command) => Poll::Ready(Some(command)),
            None => self.receiver.poll_recv(cx),
        }
    }

    pub(crate) async fn recv(&mut self) -> Option<Command<K>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }
}

/// A connection, as its task sees it.
pub(crate) struct Connection<K: Sink> {
    pub(crate) options: ConnectOptions,
    pub(crate) commands: Commands<K>,
    pub(crate) sink: K,
    pub(crate) status: Arc<Status>,
}

/// Why the task itself ends.
pub(crate) enum Stop {
    /// It was asked to, gracefully.
    ShutDown,
    /// Nobody can ask anything of it any more.
    Abandoned,
    /// By a panic, which has been told.
    Told,
}

async fn run<K: Sink>(mut connection: Connection<K>) {
    if let Some(panic) = caught(connection.work()).await {
        connection.panicked(&*panic, &[]);
    }
}

/// Runs the work to its end, or to its panic.
async fn caught(work: impl Future<Output = ()>) -> Option<Box<dyn Any + Send>> {
    let mut work = pin!(work);
    poll_fn(|cx| poll_caught(|| work.as_mut().poll(cx))).await.err()
}

/// Polls, and makes a panic the result. What has panicked must not be polled again.
pub(crate) fn poll_caught<T>(poll: impl FnOnce() -> Poll<T>) -> Poll<Result<T, Box<dyn Any + Send>>> {
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

/// For [`Command::Panic`], wherever it is received.
pub(crate) fn panic_on_command() {
    panic!("a panic was asked for");
}

impl<K: Sink> Connection<K> {
    /// Does as it is told, from one attempt to connect to the next.
    async fn work(&mut self) {
        loop {
            let stop = match self.told_to_connect().await {
                Ok(()) => self.attempt().await,
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
        let protocol = match self.status.get() {
            State::Idle | State::Connecting => None,
            State::Http => Some(Protocol::Http),
            State::Ws | State::Closing => Some(Protocol::Ws),
        };
        self.status.set(State::Idle);
        self.sink.event(Event::Panicked { protocol, text, killed });
    }

    /// Waits for the command to connect; what else comes is kept for the connection.
    async fn told_to_connect(&mut self) -> Result<(), Stop> {
        // Commands kept from the time before are looked through too: they are not for this loop, but stay kept.
        let mut kept = std::mem::take(&mut self.commands.kept);
        let result = loop {
            match self.commands.receiver.recv().await {
                Some(Command::Connect) => break Ok(()),
                Some(command) => {
                    if let Err(stop) = self.while_idle(command, &mut kept) {
                        break Err(stop);
                    }
                }
                None => break Err(Stop::Abandoned),
            }
        };
        self.commands.kept = kept;
        result
    }

    /// A command while there is no connection.
    fn while_idle(&mut self, command: Command<K>, kept: &mut VecDeque<Command<K>>) -> Result<(), Stop> {
        match command {
            Command::Shutdown => return Err(Stop::ShutDown),
            Command::Control(control) => self.sink.control(*control),
            Command::Panic => panic_on_command(),
            Command::Connect => {}
            command @ (Command::Upgrade(_) | Command::Send(_)) => kept.push_back(command),
        }
        Ok(())
    }

    /// One attempt to connect, and the whole life of the connection if it succeeds.
    async fn attempt(&mut self) -> Result<(), Stop> {
        self.status.set(State::Connecting);
        match self.connect().await? {
            Ok(stream) => {
                let local = stream.local_addr().ok();
                self.status.set(State::Http);
                self.sink.event(Event::Up { protocol: Protocol::Http, local });
                self.serve(stream).await
            }
            Err(error) => {
                self.status.set(State::Idle);
                self.sink.event(Event::ConnectFailed(error));
                Ok(())
            }
        }
    }

    async fn connect(&mut self) -> Result<Result<tokio::net::TcpStream, ConnectError>, Stop> {
        let options = self.options.clone();
        let mut connecting = pin!(tcp::connect(&options));
        let mut kept = std::mem::take(&mut self.commands.kept);
        let result = loop {
            tokio::select! {
                result = &mut connecting => break Ok(result),
                command = self.commands.receiver.recv() => match command {
                    Some(command) => {
                        if let Err(stop) = self.while_idle(command, &mut kept) {
                            break Err(stop);
                        }
                    }
                    None => break Err(Stop::Abandoned),
                }
            }
        };
        self.commands.kept = kept;
        result
    }

    /// Serves HTTP on the stream, then WebSocket if it comes to that.
    async fn serve<S: ByteStream>(&mut self, io: S) -> Result<(), Stop> {
        match http::http1::serve(io, self).await {
            http::http1::End::Down(reason, killed) => {
                self.down(Protocol::Http, &reason, &killed);
                Ok(())
            }
            http::http1::End::Stop(stop) => Err(stop),
            http::http1::End::Upgraded(upgraded) => {
                let stream = upgraded.stream;
                self.status.set(State::Ws);
                self.sink.event(Event::Upgraded { stream: &stream, headers: &upgraded.headers });
                let session = Session::new(
                    upgraded.io,
                    &upgraded.received,
                    &mut self.commands,
                    &mut self.sink,
                    &self.status,
                    stream,
                    upgraded.options,
                    self.options.tcp.send_timeout,
                );
                match session.run(upgraded.shutdown).await {
                    (session::End::ShutDown, _) => Err(Stop::ShutDown),
                    (session::End::Abandoned, _) => Err(Stop::Abandoned),
                    (session::End::Panicked(panic), stream) => {
                        self.panicked(&*panic, &[stream]);
                        Err(Stop::Told)
                    }
                    (session::End::Down(reason), stream) => {
                        self.down(Protocol::Ws, &reason, &[stream]);
                        Ok(())
                    }
                }
            }
        }
    }

    fn down(&mut self, protocol: Protocol, reason: &DownReason, killed: &[K::Stream]) {
        self.status.set(State::Idle);
        self.sink.event(Event::Down { protocol, reason, killed });
    }
}

#[cfg(test)]
mod tests;
