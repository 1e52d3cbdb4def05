//! A client's connection of HTTP/2 against a server that says anything, while requests, uploads, WebSockets, pings and
//! cancellations are under way: nothing makes the task panic or hang, and what it reports of each stream is possible.
//!
//! The first byte chooses the options. The rest is a program: what the client is asked to do, and what the server sends:
//! any bytes, frames of any kind whose heads are right, and the frames that take a client further.
#![no_main]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gun_rs_engine::command::{Item, Ping, Reply};
use gun_rs_engine::error::BadState;
use gun_rs_engine::event::StreamError;
use gun_rs_engine::options::{Endpoint, First, Flow, HttpOptions, RawOptions, Steps, TcpOptions, TooManyStreams};
use gun_rs_engine::websocket::frame::{Opcode, encode};
use gun_rs_engine::{
    Body, Command, ConnectOptions, Event, Handle, Http2Options, Outgoing, Promise, Request, RequestData,
};
use gun_rs_engine::{Sink, StreamCommand, Upgrade, WsOptions, task};
use http::{Method, Uri};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A program of more steps says nothing new.
const MOST_STEPS: usize = 200;

/// Names of pushed streams begin here.
const PUSHED: u32 = 1 << 16;

/// How far a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its response, or its WebSocket, has not begun.
    Asked,
    /// The head of its response has come.
    Answered,
    /// It is a WebSocket.
    Upgraded,
    /// Its response is complete. The request may still go on, and fail.
    Complete,
    /// It has failed.
    Failed,
}

/// Keeps the order of what it is told.
struct Checker {
    streams: HashMap<u32, Stage>,
    pushed: u32,
    ended: Arc<AtomicBool>,
}

impl Checker {
    fn step(&mut self, stream: u32, from: &[Stage], to: Stage) {
        let stage = self.streams.entry(stream).or_insert(Stage::Asked);
        assert!(from.contains(stage), "stream {stream} goes from {stage:?} to {to:?}");
        *stage = to;
    }

    fn end(&self) {
        assert!(!self.ended.swap(true, Ordering::Relaxed), "a connection ends once");
    }
}

impl Sink for Checker {
    type Stream = u32;
    type StreamId = u32;
    type Caller = ();
    type Receipt = ();
    type Control = ();
    type Payload = Vec<u8>;
    type Source = Vec<u8>;

    fn control(&mut self, (): ()) {}

    fn promise(&mut self, parent: &u32, promise: Promise<'_>) -> Option<u32> {
        assert!(promise.uri.authority().is_some() && promise.uri.scheme().is_some());
        assert_ne!(self.streams.get(parent), Some(&Stage::Failed));
        self.pushed += 1;
        Some(PUSHED + self.pushed)
    }

    fn event(&mut self, event: Event<'_, Self>) {
        use Stage::{Answered, Asked, Complete, Failed, Upgraded};
        match event {
            Event::Inform { stream, status, .. } => {
                assert!(status.is_informational());
                self.step(*stream, &[Asked], Asked);
            }
            Event::Response { stream, fin, status, .. } => {
                assert!(!status.is_informational());
                self.step(*stream, &[Asked], if fin { Complete } else { Answered });
            }
            Event::Data { stream, fin, .. } => {
                self.step(*stream, &[Answered], if fin { Complete } else { Answered });
            }
            Event::Trailers { stream, .. } => self.step(*stream, &[Answered], Complete),
            Event::Upgraded { stream, .. } => self.step(*stream, &[Asked], Upgraded),
            Event::Message { stream, .. } => self.step(*stream, &[Upgraded], Upgraded),
            // A part of a body that is one too many does not end the stream.
            Event::StreamError {
                error: StreamError::BadState(BadState::BodyComplete | BadState::BodyTooLong), ..
            } => {}
            Event::StreamError { stream, .. } => {
                self.step(*stream, &[Asked, Answered, Upgraded, Complete], Failed);
            }
            Event::Panicked { text, .. } => panic!("{text}"),
            Event::Down { .. } => self.end(),
            // A shutdown may be asked for where the connection is down already.
            Event::ShutDown => self.ended.store(true, Ordering::Relaxed),
            _ => {}
        }
    }
}

fn options(flags: u8) -> ConnectOptions {
    let small = flags & 1 != 0;
    ConnectOptions {
        endpoint: Endpoint::Tcp { host: "localhost".into(), port: 80 },
        authority: "localhost".into(),
        connect_timeout: None,
        domain_lookup_timeout: None,
        tls_handshake_timeout: None,
        observed: Steps::NONE,
        first: First::Http,
        raw: RawOptions::default(),
        http2_inside: Default::default(),
        reconnects: false,
        tcp: TcpOptions::default(),
        http1: false,
        http: HttpOptions::default(),
        http2: Some(Arc::new(Http2Options {
            initial_connection_window_size: if small { 65_535 } else { 8_000_000 },
            initial_stream_window_size: if small { 100 } else { 8_000_000 },
            keepalive: (flags & 2 != 0).then_some(Duration::from_millis(500)),
            keepalive_tolerance: (flags & 2 != 0).then_some(2),
            push: flags & 4 == 0,
            too_many_streams: if flags & 8 == 0 { TooManyStreams::Wait } else { TooManyStreams::Error },
            notify_settings_changed: true,
            ..Http2Options::default()
        })),
        ws: WsOptions { max_message_size: Some(100_000), ..WsOptions::default() },
    }
}

/// What is left of the program.
struct Program<'a>(&'a [u8]);

impl<'a> Program<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// So many bytes, or those that there are.
    fn bytes(&mut self, size: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(size.min(self.0.len()));
        self.0 = rest;
        first
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field that is neither indexed nor compressed; both texts are short.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| [u8::try_from(text.len()).unwrap_or(0)];
    [&[0], &length(name)[..], name.as_bytes(), &length(value)[..], value.as_bytes()].concat()
}

/// What the server sends next.
fn sent(choice: u8, program: &mut Program<'_>) -> Option<Vec<u8>> {
    let stream = u32::from(program.byte()?);
    let flags = program.byte()?;
    Some(match choice {
        0 => program.bytes(usize::from(flags)).to_vec(),
        1 => {
            let kind = program.byte()?;
            let size = usize::from(program.byte()?);
            frame(kind, flags, stream, program.bytes(size))
        }
        2 => frame(1, 4 | (flags & 1), stream, &field(":status", if flags & 2 == 0 { "200" } else { "103" })),
        3 => frame(1, 4, stream, &[field(":status", "200"), field("content-length", "3")].concat()),
        4 => frame(0, flags & 1, stream, &vec![b'x'; usize::from(flags)]),
        5 => frame(1, 5, stream, &field("x-trailer", "1")),
        6 => {
            let promised = u32::from(flags).to_be_bytes();
            let pseudo = [field(":method", "GET"), field(":scheme", "http"), field(":path", "/")].concat();
            frame(5, 4, stream, &[&promised[..], &pseudo, &field(":authority", "localhost")].concat())
        }
        7 => {
            let mut ws = vec![0x82, flags & 127];
            ws.extend(std::iter::repeat_n(b'x', usize::from(flags & 127).min(125)));
            frame(0, 0, stream, &ws)
        }
        8 => frame(3, 0, stream, &u32::from(flags).to_be_bytes()),
        9 => frame(7, 0, 0, &[stream.to_be_bytes(), u32::from(flags).to_be_bytes()].concat()),
        10 => frame(4, 0, 0, &[&[0, 8, 0, 0, 0, 1][..], &[0, 4, 0, 0, 0, flags], &[0, 3, 0, 0, 0, 3]].concat()),
        11 => frame(8, 0, stream, &u32::from(flags).to_be_bytes()),
        12 => frame(4, 1, 0, &[]),
        _ => frame(6, 1, 0, &[0; 8]),
    })
}

/// What the client is asked to do next.
fn ask(choice: u8, handle: &Handle<Checker>, program: &mut Program<'_>, opened: &mut u32) -> Option<()> {
    let stream = u32::from(program.byte()?) % (*opened + 1);
    match choice {
        0..4 => {
            *opened += 1;
            handle.send(StreamCommand::Request(Box::new(Request {
                stream: *opened,
                caller: (),
                method: if choice == 3 { Method::HEAD } else { Method::POST },
                target: Uri::from_static("/"),
                headers: Vec::new(),
                body: if choice == 1 { Body::Streamed(None) } else { Body::Whole(vec![b'x'; 300].into()) },
                flow: (choice == 2).then_some(Flow::Messages(1)),
                response_timeout: (choice == 2).then_some(Duration::from_millis(300)),
                body_timeout: None,
                timeout: None,
            })));
        }
        4 => {
            *opened += 1;
            handle.send(StreamCommand::Upgrade(Box::new(Upgrade {
                stream: *opened,
                caller: (),
                target: Uri::from_static("/"),
                headers: Vec::new(),
                options: None,
            })));
        }
        5 => {
            let data = vec![b'x'; 200].into();
            let fin = program.byte()? & 1 == 1;
            handle.send(StreamCommand::Data(Box::new(RequestData { stream, caller: (), data, fin, receipt: None })));
        }
        6 => handle.send(StreamCommand::Cancel(Box::new((stream, ())))),
        7 => {
            let mut bytes = Vec::new();
            encode(&mut bytes, Opcode::Text, b"hello");
            let items = vec![Item::Encoded(1, bytes)];
            let outgoing = Outgoing::new(Some(stream), Reply::Caller(()), items);
            let _ = handle.try_send(StreamCommand::Send(Box::new(outgoing)));
        }
        8 => handle.send(Command::Ping(Box::new(Ping { tunnel: None, caller: (), name: stream }))),
        9 => handle.send(StreamCommand::UpdateFlow(Some(Box::new(stream)), 3)),
        10 => handle.send(StreamCommand::CloseWith(Box::new((Some(stream), 1000)))),
        _ => handle.send(Command::Shutdown),
    }
    Some(())
}

async fn play(flags: u8, program: &[u8]) {
    let (client, server) = tokio::io::duplex(1 << 16);
    let ended = Arc::new(AtomicBool::new(false));
    let sink = Checker { streams: HashMap::new(), pushed: 0, ended: Arc::clone(&ended) };
    let handle = task::spawn_on(&tokio::runtime::Handle::current(), client, options(flags), sink);
    let (mut reader, mut writer) = tokio::io::split(server);
    let read = tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 16];
        while reader.read(&mut buffer).await.is_ok_and(|size| size > 0) {}
    });
    if flags & 16 != 0 {
        let _ = writer.write_all(&frame(4, 0, 0, &[0, 8, 0, 0, 0, 1])).await;
    }
    let (mut program, mut opened) = (Program(program), 0);
    for _ in 0..MOST_STEPS {
        let Some(choice) = program.byte() else { break };
        match choice % 32 {
            choice @ 0..14 => {
                let Some(bytes) = sent(choice, &mut program) else { break };
                if writer.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            choice @ 14..26 => {
                if ask(choice - 14, &handle, &mut program, &mut opened).is_none() {
                    break;
                }
            }
            // The clock is paused: it goes on when nothing else is left to do.
            26..30 => tokio::time::sleep(Duration::from_millis(1)).await,
            _ => tokio::time::sleep(Duration::from_millis(400)).await,
        }
    }
    let _ = writer.shutdown().await;
    while !ended.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(handle);
    let _ = read.await;
}

fuzz_target!(|input: &[u8]| {
    let Some((flags, program)) = input.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let played = tokio::time::timeout(Duration::from_secs(300), play(*flags, program)).await;
        assert!(played.is_ok(), "it hangs");
    });
});
