//! The engine of gun_rs: connections, protocols and sockets. It knows nothing of Erlang; whoever embeds it brings a
//! [`Sink`], which names the streams, provides the memory that payloads are received into, and takes the events.
//!
//! A connection is one task ([`spawn`]) that outlives its sockets: commands come in through one queue and
//! are done in order, events go out through the sink. It connects on [`Command::Connect`], and only
//! then; whether a failed or lost connection is tried again is its user's policy.
//!
//! | module | what it holds |
//! |---|---|
//! | [`task`] | the task that owns one connection, and its handle |
//! | [`server`] | listeners, and the connections that they accept |
//! | [`http`] | HTTP/1.x on a byte stream, up to the upgrade if there is one: a client's, and a server's by hyper |
//! | [`websocket`] | the handshake's values, the frame codec, the session (RFC 6455), and what carries it |
//! | `tunnel` | what is spoken where a byte stream leads |
//! | `raw` | bytes as they are |
//! | `late` | requests whose time is over before there is anybody to make them |
//! | [`protocol`] | what the task and the protocols spoken on a connection have to do with each other |
//! | `stream` | the streams of a connection, whatever protocol carries them |
//! | `ending` | the end of a connection that we close first |
//! | [`transport`] | from a host name to a byte stream |
//! | [`status`] | what the task and its handle share |
//! | [`command`], [`event`] | what goes in and what comes out |
//! | [`sink`], [`payload`] | what an embedder provides |
//! | [`options`], [`error`] | what can be set, what can go wrong and who is to blame |
//!
//! Arrows run down: a module imports only those below it. `sink` and `event` alone name each other.
//!
//! # Example
//!
//! A sink that is a channel, and an echo of one message:
//!
//! ```
//! use std::convert::Infallible;
//! use std::net::TcpListener;
//! use std::sync::mpsc::{Sender, channel};
//!
//! use gun_rs_engine::command::{Item, Reply};
//! use gun_rs_engine::options::{Endpoint, First, HttpOptions, RawOptions, Steps, TcpOptions};
//! use gun_rs_engine::websocket::frame::{Opcode, encode, encode_close};
//! use gun_rs_engine::{Command, ConnectOptions, Data, Event, Message, Outgoing, Sink, StreamCommand, Upgrade};
//! use gun_rs_engine::{WsOptions, spawn};
//!
//! struct Channel(Sender<String>);
//!
//! impl Sink for Channel {
//!     type Stream = u32;
//!     type StreamId = u32;
//!     type Caller = ();
//!     type Receipt = ();
//!     type Control = Infallible;
//!     type Payload = Vec<u8>;
//!     type Source = Vec<u8>;
//!
//!     fn event(&mut self, event: Event<'_, Self>) {
//!         let line = match event {
//!             Event::Upgraded { stream, .. } => format!("stream {stream} is a WebSocket"),
//!             Event::Message { message: Message::Text(Data::Borrowed(text)), .. } => {
//!                 format!("received {}", String::from_utf8_lossy(text))
//!             }
//!             Event::Down { reason, .. } => reason.to_string(),
//!             _ => return,
//!         };
//!         let _ = self.0.send(line);
//!     }
//!
//!     fn control(&mut self, control: Infallible) {
//!         match control {}
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The server: it sends back one message, then it awaits the close.
//! let listener = TcpListener::bind(("127.0.0.1", 0))?;
//! let port = listener.local_addr()?.port();
//! let server = std::thread::spawn(move || {
//!     let mut websocket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
//!     let message = websocket.read().unwrap();
//!     websocket.send(message).unwrap();
//!     while websocket.read().is_ok() {}
//! });
//!
//! let options = ConnectOptions {
//!     endpoint: Endpoint::Tcp { host: "127.0.0.1".into(), port },
//!     authority: format!("127.0.0.1:{port}"),
//!     connect_timeout: None,
//!     domain_lookup_timeout: None,
//!     tls_handshake_timeout: None,
//!     first: First::Http,
//!     observed: Steps::NONE,
//!     reconnects: false,
//!     tcp: TcpOptions::default(),
//!     http1: true,
//!     http: HttpOptions::default(),
//!     http2: None,
//!     ws: WsOptions::default(),
//!     raw: RawOptions::default(),
//!     http2_inside: Default::default(),
//! };
//! let runtime = tokio::runtime::Runtime::new()?;
//! let (sender, events) = channel();
//! let connection = spawn(runtime.handle(), options, Channel(sender));
//!
//! // Commands are done in order, as soon as they can be.
//! connection.send(Command::Connect(None));
//! connection.send(StreamCommand::Upgrade(Box::new(Upgrade {
//!     stream: 1,
//!     caller: (),
//!     target: "/chat".parse()?,
//!     headers: Vec::new(),
//!     options: None,
//! })));
//! assert_eq!(events.recv()?, "stream 1 is a WebSocket");
//!
//! let (mut hello, mut close) = (Vec::new(), Vec::new());
//! encode(&mut hello, Opcode::Text, b"hello");
//! encode_close(&mut close, 1000, b"");
//! connection.try_send_frames(None, (), 1, &hello)?;
//! assert_eq!(events.recv()?, "received hello");
//!
//! let close = Outgoing::new(None, Reply::Caller(()), vec![Item::Close(close)]);
//! connection.try_send(StreamCommand::Send(Box::new(close)))?;
//! assert_eq!(events.recv()?, "the connection ended normally");
//! # server.join().unwrap();
//! # Ok(())
//! # }
//! ```

mod account;
pub mod command;
mod ending;
pub mod error;
pub mod event;
pub mod http;
mod late;
pub mod options;
pub mod payload;
pub mod protocol;
mod raw;
pub mod server;
pub mod sink;
pub mod status;
mod stream;
pub mod task;
#[cfg(test)]
mod testing;
pub mod transport;
mod tunnel;
mod turn;
pub mod websocket;

pub use account::{Charge, QueueFull};
pub use command::{
    AcceptUpgrade, Body, Command, Frames, Inform, Outgoing, Request, RequestData, Respond, ResponseBody,
};
pub use command::{StreamCommand, Tune, Upgrade};
pub use event::{Data, Event, Message, PeerSettings, Promise, ProtocolName, RequestBody, ServedRequest, Stats};
pub use options::{ConnectOptions, Http2Options, ServeOptions, WsOptions};
pub use payload::{OutOfMemory, Payload, Source};
pub use sink::Sink;
pub use status::State;
pub use task::{Handle, spawn};
