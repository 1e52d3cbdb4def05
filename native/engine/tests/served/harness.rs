//! A listener, whoever serves its connections, and clients that write bytes.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gun_rs_engine::command::{Item, Reply};
use gun_rs_engine::event::StreamError;
use gun_rs_engine::options::TcpOptions;
use gun_rs_engine::server::{Accept, Address, ListenOptions, Listener, ListenerCounts, Peer, ServeOptions, listen};
use gun_rs_engine::transport::tls::TlsServer;
use gun_rs_engine::websocket::frame::{Opcode, encode_as};
use gun_rs_engine::websocket::role::Role;
use gun_rs_engine::{AcceptUpgrade, Event, Handle, Message, Outgoing, RequestBody, RequestData, Respond, ResponseBody};
use gun_rs_engine::{ServedRequest, Sink, StreamCommand, WsOptions};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::runtime::{self, Builder};

/// A hang guard: nothing takes so long.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What a sink was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Request(Asked),
    Data(u32, bool, Vec<u8>),
    StreamError(u32, String),
    NoStream(u32),
    Upgraded(u32),
    Text(String),
    Close(Option<u16>),
    Down(String),
    ShutDown,
    Other,
}

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) id: u32,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: RequestBody,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

pub(crate) struct Channel {
    told: Sender<Told>,
    next: u32,
}

impl Sink for Channel {
    type Stream = u32;
    type StreamId = u32;
    type Caller = ();
    type Receipt = ();
    type Control = Infallible;
    type Payload = Vec<u8>;
    type Source = Vec<u8>;

    fn event(&mut self, event: Event<'_, Self>) {
        let told = match event {
            Event::Data { stream, fin, data } => Told::Data(*stream, fin, data.to_vec()),
            Event::StreamError { stream, error: StreamError::Closed(reason) } => {
                Told::StreamError(*stream, reason.to_string())
            }
            Event::StreamError { stream, error } => Told::StreamError(*stream, format!("{error:?}")),
            Event::NoStream { stream, .. } => Told::NoStream(*stream),
            Event::Upgraded { stream, .. } => Told::Upgraded(*stream),
            Event::Message { message: Message::Text(text), .. } => {
                Told::Text(String::from_utf8_lossy(text.bytes()).into_owned())
            }
            Event::Message { message: Message::Close(close), .. } => Told::Close(close.map(|(code, _)| code)),
            Event::Down { reason, .. } => Told::Down(reason.to_string()),
            Event::ShutDown => Told::ShutDown,
            _ => Told::Other,
        };
        // The test may be over.
        let _ = self.told.send(told);
    }

    fn request(&mut self, request: ServedRequest<'_>) -> Option<u32> {
        if request.target.path() == "/nobody" {
            return None;
        }
        self.next += 1;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = request.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        let _ = self.told.send(Told::Request(Asked {
            id: self.next,
            method: request.method.to_string(),
            target: request.target.to_string(),
            headers: headers.collect(),
            body: request.body,
        }));
        Some(self.next)
    }

    fn control(&mut self, control: Infallible) {
        match control {}
    }
}

/// A connection, as whoever serves it has it.
pub(crate) struct Conn {
    pub(crate) handle: Arc<Handle<Channel>>,
    pub(crate) peer: Peer,
    told: Receiver<Told>,
}

impl Conn {
    pub(crate) fn next(&self) -> Told {
        self.told.recv_timeout(LONG).expect("nothing was told")
    }

    /// What is told when the task has ended.
    pub(crate) fn expect_end(&self) {
        assert!(self.told.recv_timeout(LONG).is_err());
    }

    pub(crate) fn is_told_nothing(&self) -> bool {
        self.told.try_recv().is_err()
    }

    pub(crate) fn request(&self) -> Asked {
        match self.next() {
            Told::Request(asked) => asked,
            told => panic!("{told:?}"),
        }
    }

    pub(crate) fn respond(&self, stream: u32, status: u16, headers: &[(&str, &str)], body: ResponseBody) {
        let respond = Respond {
            stream,
            caller: (),
            status: StatusCode::from_u16(status).unwrap(),
            reason: None,
            headers: fields(headers),
            body,
        };
        self.handle.try_send(StreamCommand::Respond(Box::new(respond))).unwrap();
    }

    pub(crate) fn page(&self, stream: u32, text: &str) {
        self.respond(stream, 200, &[], ResponseBody::Whole(Bytes::copy_from_slice(text.as_bytes())));
    }

    pub(crate) fn data(&self, stream: u32, data: impl Into<Bytes>, fin: bool) {
        let data = RequestData { stream, caller: (), data: data.into(), fin, receipt: None };
        self.handle.send(StreamCommand::Data(Box::new(data)));
    }

    /// Takes so many parts of the request's body.
    pub(crate) fn allow(&self, stream: u32, parts: i64) {
        self.handle.send(StreamCommand::UpdateFlow(Some(Box::new(stream)), parts));
    }

    /// The whole body, taken part by part.
    pub(crate) fn body(&self, stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            self.allow(stream, 1);
            match self.next() {
                Told::Data(of, fin, data) => {
                    assert_eq!(of, stream);
                    body.extend(data);
                    if fin {
                        return body;
                    }
                }
                told => panic!("{told:?}"),
            }
        }
    }

    /// Accepts the WebSocket that this request asks for.
    pub(crate) fn accept(&self, asked: &Asked, options: WsOptions) {
        let accept = AcceptUpgrade {
            stream: asked.id,
            caller: (),
            key: HeaderValue::from_str(asked.header("sec-websocket-key")).unwrap(),
            headers: fields(&[("x-one", "1")]),
            options: Box::new(options),
            deflate: None,
        };
        self.handle.try_send(StreamCommand::Accept(Box::new(accept))).unwrap();
    }

    pub(crate) fn send_text(&self, text: &str) {
        let mut bytes = Vec::new();
        encode_as(Role::Server, &mut bytes, Opcode::Text, false, text.as_bytes());
        let outgoing = Outgoing::new(None, Reply::Caller(()), vec![Item::Encoded(1, bytes)]);
        self.handle.try_send(StreamCommand::Send(Box::new(outgoing))).unwrap();
    }
}

pub(crate) fn fields(headers: &[(&str, &str)]) -> Vec<(HeaderName, HeaderValue)> {
    let field = |(name, value): &(&str, &str)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap());
    headers.iter().map(field).collect()
}

struct Door(Sender<Conn>);

impl Accept for Door {
    type Sink = Channel;

    fn connection(&self, handle: Handle<Channel>, peer: Peer) -> Channel {
        let (sender, told) = channel();
        let _ = self.0.send(Conn { handle: Arc::new(handle), peer, told });
        Channel { told: sender, next: 0 }
    }
}

/// Two runtimes of one thread each, as the NIF has them.
pub(crate) fn runtimes() -> &'static [runtime::Handle] {
    static RUNTIMES: OnceLock<Vec<runtime::Handle>> = OnceLock::new();
    RUNTIMES.get_or_init(|| {
        let start = |_| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let handle = runtime.handle().clone();
            std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
            handle
        };
        (0..2).map(start).collect()
    })
}

pub(crate) fn serve_options() -> ServeOptions {
    ServeOptions {
        request_timeout: None,
        idle_timeout: None,
        max_request_line: 8000,
        max_head_size: 100_000,
        head_too_large: 431,
        max_headers: 100,
        max_header_name: 64,
        max_header_value: 4096,
        max_keepalive: None,
        max_send_queue: None,
        send_timeout: None,
        closing_timeout: Some(LONG),
        linger_timeout: Duration::from_secs(5),
    }
}

pub(crate) fn listen_options(serve: ServeOptions) -> ListenOptions {
    ListenOptions {
        address: Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
        backlog: 1024,
        reuse_address: true,
        reuse_port: false,
        only_v6: None,
        tcp: TcpOptions { nodelay: true, ..TcpOptions::default() },
        handshake_timeout: None,
        max_connections: None,
        max_per_address: None,
        serve,
    }
}

/// A listener, and the connections that it has accepted.
pub(crate) struct Server {
    pub(crate) listener: Listener,
    accepted: Receiver<Conn>,
}

impl Server {
    pub(crate) fn start(serve: ServeOptions) -> Self {
        Self::with(listen_options(serve))
    }

    pub(crate) fn with(options: ListenOptions) -> Self {
        Self::try_with(options).unwrap()
    }

    pub(crate) fn try_with(options: ListenOptions) -> io::Result<Self> {
        Self::over(options, None)
    }

    pub(crate) fn over(options: ListenOptions, tls: Option<Arc<TlsServer>>) -> io::Result<Self> {
        let (sender, accepted) = channel();
        Ok(Self { listener: listen(runtimes(), options, tls, Door(sender))?, accepted })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local().unwrap()
    }

    /// The next connection that was accepted.
    pub(crate) fn accepted(&self) -> Conn {
        self.accepted.recv_timeout(LONG).expect("nothing was accepted")
    }

    pub(crate) fn has_accepted(&self) -> Option<Conn> {
        self.accepted.try_recv().ok()
    }

    /// A client, and its connection.
    pub(crate) fn connect(&self) -> (Client, Conn) {
        let client = Client::connect(self.address());
        (client, self.accepted())
    }

    /// Waits until the counts are as they must be.
    pub(crate) fn await_counts(&self, is_right: impl Fn(ListenerCounts) -> bool) -> ListenerCounts {
        let begin = Instant::now();
        loop {
            let counts = self.listener.counts();
            if is_right(counts) {
                return counts;
            }
            assert!(begin.elapsed() < LONG, "{counts:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A client that writes what it likes.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// A request without a body.
    pub(crate) fn get(&mut self, path: &str) {
        self.write(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 64 * 1024];
        let n = self.stream.read(&mut bytes)?;
        self.read.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        while self.read.len() < len {
            assert_ne!(self.fill().unwrap(), 0, "{}", String::from_utf8_lossy(&self.read));
        }
        self.read.drain(..len).collect()
    }

    /// What comes up to the end of this.
    pub(crate) fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end.as_bytes()) {
                return String::from_utf8_lossy(&self.bytes(at + end.len())).into_owned();
            }
            assert_ne!(self.fill().unwrap(), 0, "{}", String::from_utf8_lossy(&self.read));
        }
    }

    pub(crate) fn head(&mut self) -> String {
        self.until("\r\n\r\n")
    }

    /// The head and the body of a response that says how long it is.
    pub(crate) fn response(&mut self) -> (String, String) {
        let head = self.head();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body = self.bytes(length.expect(&head).parse().unwrap());
        (head, String::from_utf8(body).unwrap())
    }

    /// All that comes until the server closes, in whatever way.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while let Ok(1..) = self.fill() {}
        std::mem::take(&mut self.read)
    }

    /// All that comes until the server closes its side in good order.
    pub(crate) fn rest_in_order(&mut self) -> String {
        while self.fill().unwrap() > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    /// The client sends nothing more.
    pub(crate) fn shut(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}
