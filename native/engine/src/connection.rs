//! The task that owns one connection, and the handle to it.

use std::any::Any;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Uri};
use tokio::task::{AbortHandle, yield_now};

use crate::command::{COMMAND, Command, ITEM, Outgoing, Reply};
use crate::error::{BadState, ConnectError, ConnectionError, DownReason};
use crate::event::{Event, Next, NotSent, Protocol, StreamInfo};
use crate::http;
use crate::options::{ConnectOptions, WsOptions};
use crate::queue::{self, Receiver, Sender};
use crate::sink::Sink;
use crate::transport::ByteStream;
use crate::transport::dial::{Dial, Dialed};
use crate::transport::tls::TlsClient;
use crate::websocket::session::{self, Session};
use crate::websocket::{inbound, outbound};

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

/// What has been received and sent, from the first connection to the last.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// WebSocket frames received.
    pub frames_in: u64,
    /// Bytes of the WebSockets' streams received.
    pub bytes_in: u64,
    /// WebSocket frames sent.
    pub frames_out: u64,
    /// Bytes of the WebSockets' streams that the operating system has taken.
    pub bytes_out: u64,
    /// Bytes that wait to be sent, with [`COMMAND`] for each command that waits and [`ITEM`] for each item.
    pub queued: u64,
    /// Bytes of messages that were compressed, by either side.
    pub uncompressed: u64,
    /// Bytes that they were compressed to.
    pub compressed: u64,
    /// How many times TLS was cut under a WebSocket without a close_notify: what the peer had to send may be incomplete. A
    /// reset is not counted.
    pub truncated: u64,
}

/// What the task and its handle share.
#[derive(Debug)]
pub(crate) struct Status {
    state: AtomicU8,
    /// Whether messages are compressed, so that they must be handed over as they are.
    compresses: AtomicBool,
    queued: AtomicUsize,
    max_queued: AtomicUsize,
    frames_in: AtomicU64,
    bytes_in: AtomicU64,
    frames_out: AtomicU64,
    bytes_out: AtomicU64,
    uncompressed: AtomicU64,
    compressed: AtomicU64,
    truncated: AtomicU64,
}

impl Status {
    fn new(max_queued: Option<usize>) -> Self {
        Self {
            state: AtomicU8::new(State::Idle as u8),
            compresses: AtomicBool::new(false),
            queued: AtomicUsize::new(0),
            max_queued: AtomicUsize::new(max_queued.unwrap_or(usize::MAX)),
            frames_in: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            frames_out: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            uncompressed: AtomicU64::new(0),
            compressed: AtomicU64::new(0),
            truncated: AtomicU64::new(0),
        }
    }

    pub(crate) fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    fn get(&self) -> State {
        STATES.get(usize::from(self.state.load(Ordering::Acquire))).copied().unwrap_or(State::Idle)
    }

    /// HTTP begins: what its senders must know.
    fn begin_http(&self, max_queued: Option<usize>) {
        self.compresses.store(false, Ordering::Release);
        self.limit(max_queued);
        self.set(State::Http);
    }

    /// How much may wait to be sent.
    pub(crate) fn limit(&self, max_queued: Option<usize>) {
        self.max_queued.store(max_queued.unwrap_or(usize::MAX), Ordering::Release);
    }

    /// A WebSocket begins: what its senders must know.
    fn begin_ws(&self, compresses: bool, max_queued: Option<usize>) {
        self.compresses.store(compresses, Ordering::Release);
        self.limit(max_queued);
        self.set(State::Ws);
    }

    /// What is queued from now on: before anybody may release it.
    fn charge(&self, cost: usize) -> usize {
        self.queued.fetch_add(cost, Ordering::AcqRel)
    }

    /// What was queued is not any more.
    pub(crate) fn release(&self, cost: usize) {
        if cost > 0 {
            self.queued.fetch_sub(cost, Ordering::AcqRel);
        }
    }

    /// TLS was cut under a WebSocket.
    pub(crate) fn count_truncated(&self) {
        self.truncated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, bytes_in: u64, inbound: inbound::Counts, outbound: outbound::Counts) {
        let add = |counter: &AtomicU64, n: u64| {
            if n > 0 {
                counter.fetch_add(n, Ordering::Relaxed);
            }
        };
        self.release(outbound.released);
        add(&self.bytes_in, bytes_in);
        add(&self.frames_in, inbound.frames);
        add(&self.bytes_out, outbound.bytes);
        add(&self.frames_out, outbound.frames);
        add(&self.uncompressed, inbound.inflated + outbound.deflated);
        add(&self.compressed, inbound.compressed + outbound.compressed);
    }
}

/// The queue has no room for this under the limit of the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much waits to be sent")]
pub struct QueueFull;

/// Tells who gave frames that the state does not allow them.
pub(crate) fn refuse<K: Sink>(sink: &mut K, outgoing: &Outgoing<K>, error: BadState) {
    for _ in 0..outgoing.calls {
        sink.event(match &outgoing.reply {
            Reply::Caller(caller) => Event::BadState { stream: None, caller, error },
            Reply::Receipt(receipt) => Event::NotSent { receipt, error: NotSent::BadState(error) },
        });
    }
}

/// The way to a connection's task. When the last handle is dropped, the task ends and closes its socket.
pub struct Handle<K: Sink> {
    commands: Sender<K>,
    status: Arc<Status>,
    /// Until it is aborted. Only who aborts it takes the lock.
    task: Mutex<Option<AbortHandle>>,
}

impl<K: Sink> Handle<K> {
    /// Appends a command to the connection's queue. Without effect when the task has ended. What is to be sent is
    /// counted, and may pass the limit that [`Handle::try_send`] keeps.
    pub fn send(&self, command: Command<K>) {
        let cost = command.cost();
        if cost > 0 {
            self.status.charge(cost);
        }
        self.commands.send(command);
    }

    /// The same within the limit on what may wait to be sent ([`crate::options::HttpOptions::max_send_queue`],
    /// [`crate::WsOptions::max_send_queue`]). While nothing waits, a command needs room for its bytes alone.
    ///
    /// # Errors
    /// [`QueueFull`]: nothing of it is done.
    pub fn try_send(&self, command: Command<K>) -> Result<(), QueueFull> {
        self.account(command.cost(), command.allowance())?;
        self.commands.send(command);
        Ok(())
    }

    /// The same for small data and control frames that are encoded and masked: how many, and their bytes.
    ///
    /// # Errors
    /// [`QueueFull`]: none of them is sent.
    pub fn try_send_frames(&self, caller: K::Caller, frames: u32, bytes: &[u8]) -> Result<(), QueueFull> {
        self.account(bytes.len(), 0)?;
        // Those that join others take no memory of their own beside their bytes.
        self.commands.send_frames(caller, frames, bytes, || {
            self.status.charge(COMMAND + ITEM);
        });
        Ok(())
    }

    fn account(&self, cost: usize, allowance: usize) -> Result<(), QueueFull> {
        let max = self.status.max_queued.load(Ordering::Acquire);
        let before = self.status.charge(cost);
        if before.saturating_add(cost - allowance) > max {
            self.status.release(cost);
            return Err(QueueFull);
        }
        Ok(())
    }

    /// Whether messages are compressed now: then they are handed over as they are ([`crate::command::Item::Small`]).
    /// What is handed over otherwise goes uncompressed.
    #[must_use]
    pub fn compresses(&self) -> bool {
        self.status.compresses.load(Ordering::Acquire)
    }

    /// What has been received and sent.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            frames_in: read(&self.status.frames_in),
            bytes_in: read(&self.status.bytes_in),
            frames_out: read(&self.status.frames_out),
            bytes_out: read(&self.status.bytes_out),
            queued: self.status.queued.load(Ordering::Acquire) as u64,
            uncompressed: read(&self.status.uncompressed),
            compressed: read(&self.status.compressed),
            truncated: read(&self.status.truncated),
        }
    }

    /// What the connection is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.status.get()
    }

    /// Ends the task at once and closes its socket, without a word to the peer. What is left of the handle keeps nothing
    /// of the task, nor of the runtime, whose descriptors each task that is kept would hold.
    pub fn abort(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
        }
    }
}

/// Starts the task of a connection. It makes no attempt to connect before it is told to ([`Command::Connect`]).
pub fn spawn<K: Sink>(runtime: &tokio::runtime::Handle, options: ConnectOptions, sink: K) -> Handle<K> {
    let (commands, connection) = prepare(options, sink);
    let status = Arc::clone(&connection.status);
    let task = runtime.spawn(run(connection)).abort_handle();
    Handle { commands, status, task: Mutex::new(Some(task)) }
}

fn prepare<K: Sink>(options: ConnectOptions, sink: K) -> (Sender<K>, Box<Connection<K>>) {
    let (sender, receiver) = queue::queue();
    let commands = Commands { receiver, kept: VecDeque::new() };
    let status = Arc::new(Status::new(options.http.max_send_queue));
    // A task that took it in itself would have room for it twice.
    (sender, Box::new(Connection { options, commands, sink, status, reupgrade: None, carried: None, served: false }))
}

/// The same on a byte stream that is there already: HTTP is spoken on it without a word of its being up.
pub fn spawn_on<K: Sink>(
    runtime: &tokio::runtime::Handle,
    io: impl ByteStream,
    options: ConnectOptions,
    sink: K,
) -> Handle<K> {
    let (commands, mut connection) = prepare(options, sink);
    let status = Arc::clone(&connection.status);
    status.begin_http(connection.options.http.max_send_queue);
    let task = runtime.spawn(async move {
        let work = async {
            match connection.serve(io).await {
                Ok(()) => connection.work().await,
                Err(stop) => connection.stop(stop),
            }
        };
        let panic = caught(pin!(work)).await;
        if let Some(panic) = panic {
            connection.panicked(&*panic, &[]);
        }
    });
    Handle { commands, status, task: Mutex::new(Some(task.abort_handle())) }
}

/// The receiving end of a connection's queue.
pub(crate) struct Commands<K: Sink> {
    receiver: Receiver<K>,
    /// Commands that came while there was no connection to do them on. They come first.
    kept: VecDeque<Command<K>>,
}

impl<K: Sink> Commands<K> {
    /// See [`Receiver::try_recv`].
    pub(crate) fn try_recv(&mut self) -> Option<Command<K>> {
        self.kept.pop_front().or_else(|| self.receiver.try_recv())
    }

    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Command<K>>> {
        match self.kept.pop_front() {
            Some(command) => Poll::Ready(Some(command)),
            None => self.receiver.poll_recv(cx),
        }
    }

    /// Gives commands back that came before all others that are left.
    pub(crate) fn put_back(&mut self, commands: impl DoubleEndedIterator<Item = Command<K>>) {
        for command in commands.rev() {
            self.kept.push_front(command);
        }
    }

    pub(crate) async fn recv(&mut self) -> Option<Command<K>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next command that is not kept.
    async fn recv_new(&mut self) -> Option<Command<K>> {
        poll_fn(|cx| self.receiver.poll_recv(cx)).await
    }
}

/// A connection, as its task sees it.
pub(crate) struct Connection<K: Sink> {
    pub(crate) options: ConnectOptions,
    pub(crate) commands: Commands<K>,
    pub(crate) sink: K,
    pub(crate) status: Arc<Status>,
    /// The upgrade to repeat on the next connection.
    pub(crate) reupgrade: Option<Box<Reupgrade<K>>>,
    /// Requests that came when the connection before took no more.
    pub(crate) carried: Option<Box<http::waiting::Queue<K>>>,
    /// Whether the peer has answered a request on this connection, or taken an upgrade.
    pub(crate) served: bool,
}

/// An upgrade that is repeated on each connection: it has succeeded before.
pub(crate) struct Reupgrade<K: Sink> {
    pub(crate) stream: K::Stream,
    pub(crate) request: UpgradeRequest<K>,
}

/// What makes up an upgrade, but for its stream.
pub(crate) struct UpgradeRequest<K: Sink> {
    pub(crate) caller: K::Caller,
    pub(crate) target: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) options: WsOptions,
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

/// A session, what it takes to repeat its upgrade, and whether a shutdown was asked for meanwhile.
type Begun<'a, S, K> = (Box<Session<'a, S, K>>, Option<Box<UpgradeRequest<K>>>, bool);

async fn run<K: Sink>(mut connection: Box<Connection<K>>) {
    let panic = caught(pin!(connection.work())).await;
    if let Some(panic) = panic {
        connection.panicked(&*panic, &[]);
    }
}

/// Runs the work to its end, or to its panic. The work is pinned by the caller: a future that is moved into another takes
/// its room twice there.
async fn caught(mut work: Pin<&mut impl Future<Output = ()>>) -> Option<Box<dyn Any + Send>> {
    poll_fn(|cx| poll_caught(|| work.as_mut().poll(cx))).await.err()
}

/// Polls, and makes a panic the result. What has panicked must not be polled again.
pub(crate) fn poll_caught<T>(poll: impl FnOnce() -> Poll<T>) -> Poll<Result<T, Box<dyn Any + Send>>> {
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

/// Lets the other connections of the thread have their turn, and the task its next after them. A wake-up would not do:
/// the runtime serves tasks that are awake for a while before it looks at the sockets of the others.
pub(crate) fn end_turn(cx: &mut Context<'_>) {
    let _ = pin!(yield_now()).poll(cx);
}

/// For [`Command::Panic`], wherever it is received. What was asked for is no news: the panic hook stays quiet.
pub(crate) fn panic_on_command() {
    resume_unwind(Box::new("a panic was asked for"));
}

impl<K: Sink> Connection<K> {
    /// Does as it is told, from one attempt to connect to the next.
    async fn work(&mut self) {
        loop {
            let stop = match self.told_to_connect().await {
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
        let protocol = match self.status.get() {
            State::Idle | State::Connecting => None,
            State::Http => Some(Protocol::Http),
            State::Ws | State::Closing => Some(Protocol::Ws),
        };
        self.status.set(State::Idle);
        self.sink.event(Event::Panicked { protocol, text, killed });
    }

    /// Waits for the command to connect; what else comes is kept for the connection.
    async fn told_to_connect(&mut self) -> Result<Option<Arc<TlsClient>>, Stop> {
        // Commands kept from the time before are looked through too: they are not for this loop, but stay kept.
        let mut kept = std::mem::take(&mut self.commands.kept);
        let result = loop {
            match self.commands.recv_new().await {
                Some(Command::Connect(tls)) => break Ok(tls),
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
            // Answers that a WebSocket has not lived to see.
            Command::Connect(_)
            | Command::UpdateFlow(None, _)
            | Command::FlowGrant(_)
            | Command::RelayGrant
            | Command::Settled => {}
            Command::StreamInfo(asked) => {
                let event = Event::StreamInfo { receipt: &asked.1, info: StreamInfo::NotConnected };
                self.sink.event(event);
            }
            command @ (Command::Request(_)
            | Command::Data(_)
            | Command::Cancel(_)
            | Command::Ping(_)
            | Command::UpdateFlow(Some(_), _)
            | Command::Upgrade(_)) => kept.push_back(command),
            Command::Send(outgoing)
                if self.reupgrade.as_ref().is_some_and(|again| again.request.options.reupgrade_queue().is_none()) =>
            {
                self.status.release(outgoing.cost());
                refuse(&mut self.sink, &outgoing, BadState::Reconnecting);
            }
            command @ Command::Send(_) => kept.push_back(command),
        }
        Ok(())
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
        let queue = self.reupgrade.as_ref().and_then(|again| again.request.options.reupgrade_queue());
        self.status.begin_http(queue.or(self.options.http.max_send_queue));
        self.served = false;
        self.sink.event(Event::Up { protocol: Protocol::Http, local: dialed.local, alpn: dialed.alpn.as_deref() });
    }

    /// Connects, over TLS where there is a configuration for it. Commands that come meanwhile are kept for the connection.
    async fn connect(&mut self, tls: Option<Arc<TlsClient>>) -> Result<Result<Dialed, ConnectError>, Stop> {
        let options = self.options.clone();
        let mut dial = Dial::new(&options, tls);
        let mut kept = std::mem::take(&mut self.commands.kept);
        let result = loop {
            tokio::select! {
                result = poll_fn(|cx| dial.poll(&mut |step| self.sink.step(step), cx)) => break Ok(result),
                command = self.commands.recv_new() => match command {
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
        match Box::pin(http::http1::serve(io, self)).await {
            http::http1::End::Down(reason, killed) => {
                let next = match &reason {
                    _ if self.reupgrade.is_none() => Next::Nothing,
                    DownReason::Error(ConnectionError::Refused(refusal)) => {
                        Next::Reupgrade { after: refusal.retry_after }
                    }
                    _ => Next::Reupgrade { after: Duration::ZERO },
                };
                self.down(Protocol::Http, &reason, &killed, next);
                Ok(())
            }
            http::http1::End::Stop(stop) => Err(stop),
            http::http1::End::Upgraded(upgraded) => {
                let (session, again, shutdown) = self.begin_ws(upgraded);
                let (end, stream) = session.run(shutdown).await;
                self.end_ws(end, stream, again)
            }
        }
    }

    /// Makes the session that an upgrade has opened; what it takes to repeat the upgrade is kept for its end.
    #[expect(clippy::boxed_local, reason = "the task would hold an empty box as long as the session lives")]
    fn begin_ws<S: ByteStream>(&mut self, upgraded: Box<http::http1::Upgraded<S, K>>) -> Begun<'_, S, K> {
        let http::http1::Upgraded { io, received, stream, headers, chosen, options, again, shutdown } = *upgraded;
        self.status.begin_ws(chosen.deflate.is_some(), options.max_send_queue);
        self.served = true;
        let subprotocol = chosen.subprotocol.as_deref();
        let fragments = options.tells_fragments(subprotocol);
        self.sink.event(Event::Upgraded { stream: &stream, headers: &headers, subprotocol, fragments });
        let session = Box::new(Session::new(session::Parts {
            io,
            received,
            commands: &mut self.commands,
            sink: &mut self.sink,
            status: &self.status,
            stream,
            options,
            chosen,
            send_timeout: self.options.tcp.send_timeout,
        }));
        (session, again, shutdown)
    }

    fn end_ws(
        &mut self,
        end: session::End,
        stream: K::Stream,
        again: Option<Box<UpgradeRequest<K>>>,
    ) -> Result<(), Stop> {
        let (reason, closed_by_user) = match end {
            session::End::ShutDown => return Err(Stop::ShutDown),
            session::End::Abandoned => return Err(Stop::Abandoned),
            session::End::Panicked(panic) => {
                self.panicked(&*panic, &[stream]);
                return Err(Stop::Told);
            }
            session::End::Down(reason, closed_by_user) => (reason, closed_by_user),
        };
        let again = again.filter(|_| !closed_by_user);
        // Before anybody hears that the WebSocket is away, and sends what is to wait for the next.
        let queue = again.as_ref().and_then(|again| again.options.reupgrade_queue());
        if queue.is_some() {
            self.status.limit(queue);
        }
        let next = match again {
            Some(_) => Next::Reupgrade { after: Duration::ZERO },
            None if closed_by_user => Next::ClosedByUser,
            None => Next::Nothing,
        };
        let killed = [stream];
        self.down(Protocol::Ws, &reason, &killed, next);
        let [stream] = killed;
        self.reupgrade = again.map(|request| Box::new(Reupgrade { stream, request: *request }));
        Ok(())
    }

    fn down(&mut self, protocol: Protocol, reason: &DownReason, killed: &[K::Stream], next: Next) {
        self.status.set(State::Idle);
        self.sink.event(Event::Down { protocol, reason, killed, next, served: self.served });
    }
}

#[cfg(test)]
mod tests;
