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

mod batch;
mod commands;
mod handle;
mod late;
mod queue;
mod served;

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use tokio::time::Instant;

use self::commands::Commands;
pub use self::handle::Handle;
use self::late::reached;
use self::queue::{Queued, Sender};
pub(crate) use self::served::serve;
use crate::account::Charge;
use crate::command::tunnel::Socks;
use crate::command::{Command, StreamCommand};
use crate::error::{BadState, ConnectError, ConnectionError, DownReason};
use crate::event::step::Step;
use crate::event::{Event, Next, ProtocolName, StreamInfo};
use crate::http::http1::Http1;
use crate::http::http2::{Http2, Means};
use crate::late::limit_of_left;
use crate::options::{ConnectOptions, First, Http2Options, Steps};
use crate::protocol::{Context, Down, Exit, Left, Protocol, Then};
use crate::sink::Sink;
use crate::status::{State, Status};
use crate::stream::credit::Window;
use crate::transport::ByteStream;
use crate::transport::dial::{Dial, Dialed, Route};
use crate::transport::proxy::Proxy;
use crate::transport::tls::TlsClient;
use crate::{tunnel, turn};

/// Starts the task of a connection. It makes no attempt to connect before [`Command::Connect`].
pub fn spawn<K: Sink>(runtime: &tokio::runtime::Handle, options: ConnectOptions, sink: K) -> Handle<K> {
    let (commands, task) = prepare(&options, sink);
    let status = Arc::clone(&task.status);
    let join = runtime.spawn(run(Box::new(task), Arc::new(options)));
    Handle::new(commands, status, join.abort_handle())
}

/// Starts the task of a connection on a byte stream that exists already. It speaks HTTP at once, and reports no `Up`.
pub fn spawn_on<K: Sink>(
    runtime: &tokio::runtime::Handle,
    io: impl ByteStream,
    options: ConnectOptions,
    sink: K,
) -> Handle<K> {
    let (commands, mut task) = prepare(&options, sink);
    let (status, options) = (Arc::clone(&task.status), Arc::new(options));
    let spoken = Spoken::choose(&options, None, Route::default());
    status.begin_http(spoken.state(), spoken.max_send_queue(&options));
    let join = runtime.spawn(async move {
        let work = async {
            match task.serve(io, spoken, &options).await {
                Ok(()) => task.work(&options).await,
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

fn prepare<K: Sink>(options: &ConnectOptions, sink: K) -> (Sender<K>, Task<K>) {
    let status = Arc::new(Status::new(options.http.max_send_queue));
    let (sender, receiver) = queue::queue(Arc::clone(status.account()));
    let task = Task {
        commands: Commands::new(receiver),
        sink,
        observed: options.observed,
        status,
        left: None,
        left_limit: None,
        relay: Window::for_relay(),
        socks: None,
        proxy: None,
    };
    (sender, task)
}

async fn run<K: Sink>(mut task: Box<Task<K>>, options: Arc<ConnectOptions>) {
    let panic = caught(pin!(task.work(&options))).await;
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
    commands: Commands<K>,
    sink: K,
    /// The steps that the sink is given.
    observed: Steps,
    status: Arc<Status<K>>,
    /// By the connection before, for the next; in a box, since most connections leave nothing.
    left: Option<Box<Left<K>>>,
    /// When the time of the first request among that is over.
    left_limit: Option<Instant>,
    /// How much may be reported through a relay that has not caught up.
    relay: Window,
    /// The proxy that the connections lead through, once they are up.
    socks: Option<Arc<Socks>>,
    /// The proxy that they are dialled through.
    proxy: Option<Arc<Proxy>>,
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

/// What is spoken on a connection.
enum Spoken {
    Http1,
    Raw,
    Socks(Arc<Socks>),
    /// By which route others of its kind are dialled.
    Http2(Arc<Http2Options>, Route),
}

impl Spoken {
    /// What TLS has chosen, or else what the user wants.
    fn choose(options: &ConnectOptions, alpn: Option<&[u8]>, route: Route) -> Self {
        if options.first == First::Raw {
            return Self::Raw;
        }
        let may = alpn == Some(b"h2") || !options.http1;
        options.http2.clone().filter(|_| may).map_or(Self::Http1, |http2| Self::Http2(http2, route))
    }

    fn state(&self) -> State {
        match self {
            Self::Http1 => State::Http,
            Self::Raw => State::Raw,
            Self::Socks(_) => State::Socks,
            Self::Http2(..) => State::Http2,
        }
    }

    fn name(&self) -> ProtocolName {
        match self {
            Self::Http1 => ProtocolName::Http,
            Self::Raw => ProtocolName::Raw,
            Self::Socks(_) => ProtocolName::Socks,
            Self::Http2(..) => ProtocolName::Http2,
        }
    }

    fn max_send_queue(&self, options: &ConnectOptions) -> Option<usize> {
        match self {
            Self::Http1 => options.http.max_send_queue,
            Self::Raw => options.raw.max_send_queue,
            // What waits is for HTTP behind the proxy.
            Self::Socks(_) => options.http.max_send_queue,
            Self::Http2(http2, _) => http2.max_send_queue,
        }
    }
}

/// What a command asks of the task while there is no connection.
enum Order {
    Connect(Option<Arc<TlsClient>>),
    Stop(Stop),
}

impl<K: Sink> Task<K> {
    /// Connects whenever a command says so, and serves each connection to its end.
    async fn work(&mut self, options: &Arc<ConnectOptions>) {
        loop {
            let stop = match self.wait_for_connect().await {
                Ok(tls) => self.attempt(tls, options).await,
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
            (Command::Through(socks), _) => self.socks = Some(socks),
            (Command::Proxy(proxy), _) => self.proxy = Some(proxy),
            (Command::Stream(command), Some(protocol)) => {
                if let Some(command) = tunnel::led(command, protocol, &mut self.context()) {
                    protocol.command(command, charge, &mut self.context());
                }
            }
            (Command::Stream(command), None) => self.keep(command, charge),
            (Command::Ping(ping), Some(protocol)) => {
                let leads = protocol.leads(ping.tunnel.as_ref());
                let error = BadState::not_led(ping.tunnel.is_some());
                match leads {
                    true => protocol.ping(*ping, &mut self.context()),
                    false => self.sink.event(Event::BadState { stream: None, caller: &ping.caller, error }),
                }
            }
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
            // They are for a WebSocket that is gone.
            StreamCommand::Tune(_) | StreamCommand::Broadcast(_) | StreamCommand::CloseWith(_) => {}
            // The WebSocket that follows begins with a flow of its own.
            StreamCommand::UpdateFlow(Some(stream), _)
                if self.left.as_ref().is_some_and(|left| left.repeats(&stream)) => {}
            StreamCommand::Info(asked) => {
                self.sink.event(Event::StreamInfo { receipt: &asked.1, info: StreamInfo::NotConnected });
            }
            StreamCommand::Send(outgoing) => {
                let awaited = self.left.as_mut().and_then(|left| left.find(outgoing.stream.as_ref()));
                match awaited {
                    Some(reupgrade) => reupgrade.hold(outgoing, charge, &mut self.sink),
                    None => self.commands.keep((StreamCommand::Send(outgoing).into(), charge)),
                }
            }
            StreamCommand::Data(data) if data.receipt.is_some() && !self.awaits(&data.stream) => {
                drop(charge);
                data.refuse(BadState::NoStream, &mut self.sink);
            }
            command => self.commands.keep((command.into(), charge)),
        }
    }

    fn context(&mut self) -> Context<'_, K> {
        let Self { sink, observed, status, relay, .. } = self;
        Context { sink, observed: *observed, status, relay, then: Then::Rest }
    }

    /// Waits for the command to connect.
    async fn wait_for_connect(&mut self) -> Result<Option<Arc<TlsClient>>, Stop> {
        loop {
            let limit = self.next_limit();
            tokio::select! {
                queued = self.commands.recv_new() => {
                    let Some(queued) = queued else { return Err(Stop::Abandoned) };
                    match self.command(queued, None) {
                        Some(Order::Connect(tls)) => return Ok(tls),
                        Some(Order::Stop(stop)) => return Err(stop),
                        None => {}
                    }
                }
                () = reached(limit) => self.end_late(),
            }
        }
    }

    /// One attempt to connect, and the whole life of the connection if it succeeds. Each stage of it has a box of its
    /// own, so that a stage that is over takes no room in the stages after it.
    async fn attempt(&mut self, tls: Option<Arc<TlsClient>>, options: &Arc<ConnectOptions>) -> Result<(), Stop> {
        self.status.set(State::Connecting);
        let route = Route { tls, proxy: self.proxy.clone() };
        let (io, spoken) = match Box::pin(self.connect(&route, options)).await? {
            Ok(dialed) => {
                let socks = self.socks.clone().map(Spoken::Socks);
                let spoken = socks.unwrap_or_else(|| Spoken::choose(options, dialed.alpn.as_deref(), route));
                self.up(&dialed, &spoken, options);
                (dialed.io, spoken)
            }
            Err(error) => return self.connect_failed(error),
        };
        self.serve(io, spoken, options).await
    }

    fn connect_failed(&mut self, error: ConnectError) -> Result<(), Stop> {
        self.status.set(State::Idle);
        self.sink.event(Event::ConnectFailed(error));
        Ok(())
    }

    fn up(&mut self, dialed: &Dialed, spoken: &Spoken, options: &ConnectOptions) {
        self.status.begin_http(spoken.state(), spoken.max_send_queue(options));
        let (protocol, local, alpn) = (spoken.name(), dialed.local, dialed.alpn.as_deref());
        self.sink.event(Event::Up { protocol, local, alpn });
    }

    /// Connects by this route. What commands can be done meanwhile are done, the others
    /// are kept for the connection.
    async fn connect(&mut self, route: &Route, options: &ConnectOptions) -> Result<Result<Dialed, ConnectError>, Stop> {
        let mut dial = Dial::new(options, route);
        loop {
            let limit = self.next_limit();
            tokio::select! {
                result = poll_fn(|cx| dial.poll(&mut |step| self.sink.step(Step::Dial(step)), cx)) => return Ok(result),
                queued = self.commands.recv_new() => {
                    let Some(queued) = queued else { return Err(Stop::Abandoned) };
                    if let Some(Order::Stop(stop)) = self.command(queued, None) {
                        return Err(stop);
                    }
                }
                () = reached(limit) => self.end_late(),
            }
        }
    }

    /// Speaks HTTP on the byte stream, then whatever comes of it.
    async fn serve<S: ByteStream>(&mut self, io: S, spoken: Spoken, options: &Arc<ConnectOptions>) -> Result<(), Stop> {
        self.relay = Window::for_relay();
        self.left_limit = None;
        let left = self.left.take().map_or_else(Left::nothing, |left| *left);
        let options = Arc::clone(options);
        let protocol = match spoken {
            Spoken::Http1 => Http1::start(io, options, true, left, &mut self.context()),
            Spoken::Socks(socks) => tunnel::socks(io.boxed(), socks, options, left),
            Spoken::Raw => match tunnel::raw(io.boxed(), None, &options, &mut self.context()) {
                Ok(protocol) => protocol,
                Err(down) => return self.down(*down),
            },
            Spoken::Http2(http2, route) => {
                let means = Means { route, options: Arc::clone(&options), lead: tunnel::beside };
                match Box::pin(Http2::start(io, options, http2, means, left, &mut self.context())).await {
                    Ok(protocol) => protocol,
                    Err(down) => return self.down(*down),
                }
            }
        };
        self.speak(protocol).await
    }

    /// Speaks this protocol, then whatever comes of it, until the connection is down.
    async fn speak(&mut self, mut protocol: Box<dyn Protocol<K>>) -> Result<(), Stop> {
        loop {
            let exit = poll_fn(|cx| poll_caught(|| self.poll(&mut *protocol, cx))).await;
            match exit {
                Ok(Ok(Exit::Switch(next))) => protocol = next,
                Ok(Ok(Exit::Through(opened))) => {
                    drop(protocol);
                    match tunnel::begin(*opened, &mut self.context()) {
                        Ok(next) => protocol = next,
                        Err(down) => return self.down(*down),
                    }
                }
                Ok(Ok(Exit::Down(down))) => {
                    // The byte stream is closed, and what waited in the protocol given back, before anybody hears of it.
                    drop(protocol);
                    return self.down(*down);
                }
                Ok(Ok(Exit::ShutDown)) => return Err(Stop::ShutDown),
                Ok(Err(stop)) => return Err(stop),
                Err(panic) => {
                    self.panicked(&*panic, &protocol.into_killed());
                    return Err(Stop::Panicked);
                }
            }
        }
    }

    /// Gives the protocol its commands, and its turn.
    fn poll(&mut self, protocol: &mut dyn Protocol<K>, cx: &mut task::Context<'_>) -> Poll<Result<Exit<K>, Stop>> {
        turn::count();
        protocol.begin_turn();
        let poll = loop {
            let mut in_a_row = 0;
            while in_a_row < protocol.commands_first() {
                let Some(queued) = self.commands.try_recv() else { break };
                self.command(queued, Some(&mut *protocol));
                in_a_row += 1;
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
                Poll::Pending => break Poll::Pending,
            }
        };
        self.sink.flush();
        poll
    }

    fn down(&mut self, down: Down<K>) -> Result<(), Stop> {
        let Down { reason, killed, closed_by_user, served, mut left } = down;
        // Before anybody hears that a WebSocket is away, and sends what is to wait for the next.
        for repeated in &left.repeated {
            repeated.await_next(&self.status);
        }
        let next = match &reason {
            _ if left.repeated.is_empty() && closed_by_user => Next::ClosedByUser,
            _ if left.repeated.is_empty() => Next::Nothing,
            DownReason::Error(ConnectionError::Refused(refusal)) => Next::Reupgrade { after: refusal.retry_after },
            _ => Next::Reupgrade { after: Duration::ZERO },
        };
        self.commands
            .put_back(std::mem::take(&mut left.commands).into_iter().map(|(command, charge)| (command.into(), charge)));
        let frames = std::mem::take(&mut left.frames).into_iter();
        self.commands.put_back(frames.map(|(outgoing, charge)| (StreamCommand::Send(outgoing).into(), charge)));
        let protocol = self.status.get().protocol().unwrap_or(ProtocolName::Http);
        self.status.set(State::Idle);
        // A WebSocket that is opened again has ended all the same.
        let reopened = left.repeated.iter().filter(|repeated| repeated.was_open).map(|repeated| &repeated.stream);
        let killed: Vec<_> = killed.iter().chain(reopened).collect();
        self.sink.event(Event::Down { protocol, reason: &reason, killed: &killed, next, served });
        drop(killed);
        self.left_limit = limit_of_left(&left);
        self.left = (!left.is_nothing()).then(|| Box::new(left));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
