//! What a thousand WebSockets cost on one connection of HTTP/2, beside a thousand connections of HTTP/1.1: their memory, and
//! how many messages they echo together.
//!
//! It measures, and so is run by hand: `cargo test --release -p gun_rs_engine --test websockets -- --ignored --nocapture`.
//! The server and each client are processes of their own, of this same program.

#![allow(clippy::expect_used)]

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gun_rs_engine::options::{Endpoint, First, HttpOptions, RawOptions, Steps, TcpOptions};
use gun_rs_engine::websocket::frame::{Opcode, encode};
use gun_rs_engine::{
    Command, ConnectOptions, Event, Handle, Http2Options, Sink, StreamCommand, Upgrade, WsOptions, spawn,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tungstenite::handshake::derive_accept_key;

/// The bytes of a message.
const MESSAGE: usize = 16;

const LASTS: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);

/// What this process is, of those that are started by the test.
const ROLE: &str = "GUN_RS_WEBSOCKETS";

#[test]
#[ignore = "it measures"]
fn a_thousand_websockets() {
    match std::env::var(ROLE).as_deref() {
        Ok("server") => serve(),
        Ok(role) => {
            let mut words = role.split(' ');
            let mut word = || words.next().expect("a word");
            let (protocol, websockets, in_flight, port) = (word(), word(), word(), word());
            let number = |word: &str| word.parse().expect("a number");
            measure(protocol == "http2", number(websockets), number(in_flight), port.parse().expect("a port"));
        }
        Err(_) => {
            let mut server = child("server", Stdio::piped());
            let lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
            let port = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("port ").map(str::to_owned));
            let port = port.expect("the server has no port");
            for what in ["http 1 1000", "http2 1 1000", "http2 1000 1", "http 1000 1"] {
                let status = child(&format!("{what} {port}"), Stdio::inherit()).wait().expect("a status");
                assert!(status.success());
            }
            server.kill().expect("the server has ended");
            server.wait().expect("a status");
        }
    }
}

fn child(role: &str, output: Stdio) -> Child {
    let program = std::env::current_exe().expect("this program");
    let mut process = Process::new(program);
    process.args(["--exact", "a_thousand_websockets", "--ignored", "--nocapture"]).env(ROLE, role).stdout(output);
    process.spawn().expect("a process")
}

fn serve() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("\nport {}", listener.local_addr().expect("an address").port());
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut first = [0; 3];
                socket.set_nodelay(true).expect("a socket");
                if socket.peek(&mut first).await.is_ok() && &first == b"PRI" {
                    serve_http2(socket).await;
                } else {
                    serve_http1(socket).await;
                }
            });
        }
    });
}

async fn serve_http1(mut socket: TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "))?;
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes()).await.ok()?;
    let (mut input, mut output) = (Vec::new(), Vec::new());
    while socket.read_buf(&mut input).await.ok()? > 0 {
        echo(&mut input, &mut output);
        socket.write_all(&output).await.ok()?;
        output.clear();
    }
    Some(())
}

async fn serve_http2(socket: TcpStream) -> Option<()> {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol().initial_window_size(1 << 20).initial_connection_window_size(1 << 24);
    let mut connection = builder.handshake::<_, Bytes>(socket).await.ok()?;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let mut send = respond.send_response(http::Response::new(()), false).ok()?;
            let mut recv = request.into_body();
            let (mut input, mut output) = (Vec::new(), Vec::new());
            while let Some(Ok(data)) = recv.data().await {
                recv.flow_control().release_capacity(data.len()).ok()?;
                input.extend_from_slice(&data);
                echo(&mut input, &mut output);
                send.send_data(std::mem::take(&mut output).into(), false).ok()?;
            }
            Some(())
        });
    }
    Some(())
}

/// Answers the whole frames of the input, all of which are small and masked.
fn echo(input: &mut Vec<u8>, output: &mut Vec<u8>) {
    let mut done = 0;
    while let [first, len, a, b, c, d, rest @ ..] = &input[done..] {
        let len = usize::from(len & 0x7f);
        let Some(payload) = rest.get(..len) else { break };
        output.extend([*first, len as u8]);
        output.extend(payload.iter().zip([a, b, c, d].into_iter().cycle()).map(|(byte, key)| byte ^ key));
        done += 6 + len;
    }
    input.drain(..done);
}

/// What the client is told: how many messages have come on which stream, or that a WebSocket is open.
enum Told {
    Message(u32),
    Open,
}

struct Channel(Sender<Told>);

impl Sink for Channel {
    type Stream = u32;
    type StreamId = u32;
    type Caller = ();
    type Receipt = ();
    type Control = Infallible;
    type Payload = Vec<u8>;
    type Source = Vec<u8>;

    fn event(&mut self, event: Event<'_, Self>) {
        let _ = match event {
            Event::Message { stream, .. } => self.0.send(Told::Message(*stream)),
            Event::Upgraded { .. } => self.0.send(Told::Open),
            Event::Down { reason, .. } => panic!("{reason}"),
            _ => Ok(()),
        };
    }

    fn control(&mut self, control: Infallible) {
        match control {}
    }
}

fn connect(runtime: &Runtime, http2: bool, port: u16, told: &Sender<Told>) -> Handle<Channel> {
    let options = ConnectOptions {
        endpoint: Endpoint::Tcp { host: "127.0.0.1".into(), port },
        authority: format!("127.0.0.1:{port}"),
        connect_timeout: None,
        domain_lookup_timeout: None,
        tls_handshake_timeout: None,
        observed: Steps::NONE,
        first: First::Http,
        raw: RawOptions::default(),
        http2_inside: Default::default(),
        reconnects: false,
        tcp: TcpOptions { nodelay: true, ..TcpOptions::default() },
        http1: !http2,
        http: HttpOptions::default(),
        http2: http2.then(|| Arc::new(Http2Options::default())),
        ws: WsOptions::default(),
    };
    let handle = spawn(runtime.handle(), options, Channel(told.clone()));
    handle.send(Command::Connect(None));
    handle
}

fn upgrade(stream: u32) -> StreamCommand<Channel> {
    let (target, headers) = ("/".parse().expect("a target"), Vec::new());
    StreamCommand::Upgrade(Box::new(Upgrade { stream, caller: (), target, headers, options: None }))
}

/// Opens as many WebSockets, on one connection or each on its own, and has each echo so many messages at a time.
fn measure(http2: bool, websockets: u32, in_flight: u32, port: u16) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (told, events) = channel();
    let first = connect(&runtime, http2, port, &told);
    first.send(upgrade(0));
    await_open(&events);
    let before = resident();
    let mut handles = vec![first];
    for stream in 1..websockets {
        if !http2 {
            handles.push(connect(&runtime, http2, port, &told));
        }
        handles[if http2 { 0 } else { stream as usize }].send(upgrade(stream));
        await_open(&events);
    }
    std::thread::sleep(Duration::from_millis(200));
    let each = resident().saturating_sub(before) / (websockets as usize).saturating_sub(1).max(1);
    let handle_of = |stream: u32| if http2 { &handles[0] } else { &handles[stream as usize] };
    let mut frame = Vec::new();
    encode(&mut frame, Opcode::Binary, &[0; MESSAGE]);
    let send = |stream: u32| {
        let name = http2.then_some(stream);
        handle_of(stream).try_send_frames(name.as_ref(), (), 1, &frame).expect("room");
    };
    for stream in (0..websockets).flat_map(|stream| (0..in_flight).map(move |_| stream)) {
        send(stream);
    }
    let (start, cpu, mut echoed) = (Instant::now(), cpu_time(), 0_u32);
    while start.elapsed() < LASTS {
        match events.recv_timeout(PATIENCE) {
            Ok(Told::Message(stream)) => {
                echoed += 1;
                send(stream);
            }
            Ok(Told::Open) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("nothing came"),
        }
    }
    let rate = f64::from(echoed) / start.elapsed().as_secs_f64();
    let protocol = if http2 { "http2" } else { "http" };
    let cpu = (cpu_time() - cpu).as_secs_f64() * 1e6 / f64::from(echoed);
    println!("\n{protocol}: {websockets} websockets, {in_flight} messages in flight on each");
    println!("{rate:.0} echoes/s, {cpu:.2} us of this process for each; {each} bytes for each websocket");
}

fn await_open(events: &Receiver<Told>) {
    assert!(matches!(events.recv_timeout(PATIENCE), Ok(Told::Open)));
}

/// The time that this process has had.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The memory of this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok()).unwrap_or_default() * 1024
}
