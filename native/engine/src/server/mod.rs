//! Listening, and accepting connections.
//!
//! A listener has one socket, whose connections one task accepts. Each connection is a task of its own, on the runtime
//! with the fewest tasks: it shakes hands in TLS, and speaks HTTP (`http::served`) until it ends or becomes a
//! WebSocket. Closing a listener leaves its connections alone.
//!
//! | module | what it holds |
//! |---|---|
//! | this one | the listener, and what an embedder provides |
//! | `accepting` | the task that accepts |
//! | `connection` | from a socket to the task that serves it |
//! | `counts` | how many connections there are |

mod accepting;
mod connection;
mod counts;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle as Runtime;

use self::counts::Counts;
pub use self::counts::ListenerCounts;
use crate::options::TcpOptions;
pub use crate::options::{Address, ServeOptions};
use crate::sink::Sink;
use crate::task::Handle;
use crate::transport::listen::ListenSocket;
pub use crate::transport::tls::TlsPeer;
use crate::transport::tls::TlsServer;

/// How to listen. Every duration that is `None` is unlimited.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// What to listen on.
    pub address: Address,
    /// How many connections may wait to be accepted.
    pub backlog: u32,
    /// `SO_REUSEADDR`. Without it, a listener cannot resume while connections of its port are open.
    pub reuse_address: bool,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// `IPV6_V6ONLY`.
    pub only_v6: Option<bool>,
    /// Options of the sockets. Those of their names above count instead of these, and so does
    /// [`ServeOptions::send_timeout`]; those that say how to connect mean nothing here.
    pub tcp: TcpOptions,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Option<Duration>,
    /// How many connections may be open until no more are accepted; clients then wait in the backlog. WebSockets do not
    /// count.
    pub max_connections: Option<usize>,
    /// How many connections may be open of one address, WebSockets included; more are closed at once.
    pub max_per_address: Option<usize>,
    /// How connections are served.
    pub serve: ServeOptions,
}

/// Where the connections of a listener go.
pub trait Accept: Send + Sync + 'static {
    /// Where the events of a connection go.
    type Sink: Sink;

    /// A connection was accepted, and its TLS handshake is done. It is called from the connection's task: it must not
    /// block. The connection ends when the handle is dropped; the sink may keep it, as it goes with the connection.
    fn connection(&self, handle: Handle<Self::Sink>, peer: Peer) -> Self::Sink;

    /// Connections cannot be accepted, mostly for lack of descriptors or of memory. It is tried again and again; this is
    /// reported once.
    fn accept_failed(&self, _error: &io::Error) {}

    /// They can again, after [`Accept::accept_failed`].
    fn accept_recovered(&self) {}
}

/// Who is at the other end of a connection. A Unix domain socket has no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub remote: Option<SocketAddr>,
    /// The address that it has connected to.
    pub local: Option<SocketAddr>,
    /// What it has said in the TLS handshake, if there was one.
    pub tls: Option<TlsPeer>,
    /// When it has come.
    pub times: Times,
}

/// How a connection came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// It was accepted.
    pub accepted: Instant,
    /// Its task has begun, with the TLS handshake if there is one.
    pub begun: Instant,
    /// It can have requests.
    pub up: Instant,
}

/// A listener. When it is dropped, it is closed.
pub struct Listener {
    shared: Arc<Shared>,
    /// The runtime that accepts.
    runtime: Runtime,
    backlog: u32,
    /// Options of the socket that listens.
    tcp: TcpOptions,
}

/// What a listener, the task that accepts and the connections share.
struct Shared {
    state: Mutex<State>,
    counts: Arc<Counts>,
    /// Options of the sockets that are accepted.
    tcp: TcpOptions,
    handshake_timeout: Option<Duration>,
}

/// What can be changed.
struct State {
    /// While it is not suspended.
    socket: Option<ListenSocket>,
    address: Address,
    closed: bool,
    tls: Option<Arc<TlsServer>>,
    serve: Arc<ServeOptions>,
}

impl Shared {
    /// Nobody waits for the network, nor panics, while holding this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn serve(&self) -> Arc<ServeOptions> {
        Arc::clone(&self.state().serve)
    }

    fn tls(&self) -> Option<Arc<TlsServer>> {
        self.state().tls.clone()
    }
}

/// Listens, and accepts connections on these runtimes: each goes to the one with the fewest tasks. With a configuration of
/// TLS all of them shake hands.
///
/// # Errors
/// What the operating system says; [`io::ErrorKind::InvalidInput`] if there is no runtime.
pub fn listen<A: Accept>(
    runtimes: &[Runtime],
    options: ListenOptions,
    tls: Option<Arc<TlsServer>>,
    accept: A,
) -> io::Result<Listener> {
    let ListenOptions { address, backlog, reuse_address, reuse_port, only_v6, tcp, .. } = options;
    let runtime = runtimes.first().ok_or(io::ErrorKind::InvalidInput)?.clone();
    let listening = TcpOptions { reuse_address, reuse_port, only_v6, ..tcp.clone() };
    let socket = {
        let _context = runtime.enter();
        ListenSocket::bind(&address, backlog, &listening)?
    };
    let address = socket.address().clone();
    let serve = Arc::new(options.serve);
    let shared = Arc::new(Shared {
        state: Mutex::new(State { socket: Some(socket), address, closed: false, tls, serve }),
        counts: Arc::new(Counts::new(options.max_connections, options.max_per_address)),
        tcp,
        handshake_timeout: options.handshake_timeout,
    });
    runtime.spawn(accepting::accept_all(Arc::clone(&shared), Arc::new(accept), runtimes.to_vec()));
    Ok(Listener { shared, runtime, backlog, tcp: listening })
}

impl Listener {
    /// The address that it listens on, or listened on before it was suspended. A Unix domain socket has none.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        if let Address::Tcp(address) = self.shared.state().address { Some(address) } else { None }
    }

    /// Closes the socket: clients are refused until it resumes. Connections go on.
    pub fn suspend(&self) {
        drop(self.shared.state().socket.take());
    }

    /// Listens again, on the same address.
    ///
    /// # Errors
    /// What the operating system says; [`io::ErrorKind::NotConnected`] if it is closed.
    pub fn resume(&self) -> io::Result<()> {
        let mut state = self.shared.state();
        if state.closed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if state.socket.is_none() {
            let _context = self.runtime.enter();
            state.socket = Some(ListenSocket::bind(&state.address, self.backlog, &self.tcp)?);
            self.shared.counts.changed.notify_one();
        }
        Ok(())
    }

    /// Closes the socket for good. Connections go on.
    pub fn close(&self) {
        let mut state = self.shared.state();
        state.closed = true;
        let socket = state.socket.take();
        drop(state);
        drop(socket);
        self.shared.counts.changed.notify_one();
    }

    /// How many connections may be open until no more are accepted.
    pub fn set_max_connections(&self, max: Option<usize>) {
        self.shared.counts.limit(max);
    }

    /// The configuration of TLS for connections that are accepted later.
    pub fn set_tls(&self, tls: Arc<TlsServer>) {
        self.shared.state().tls = Some(tls);
    }

    /// How connections are served that are accepted later.
    pub fn set_serve(&self, serve: ServeOptions) {
        self.shared.state().serve = Arc::new(serve);
    }

    /// How many connections there are.
    #[must_use]
    pub fn counts(&self) -> ListenerCounts {
        self.shared.counts.get()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}
