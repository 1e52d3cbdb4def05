//! The response to an upgrade, whole: the reader of responses, the check of the handshake, and what follows it. No bytes make
//! the connection's task panic, hang, or tell something impossible.
//!
//! The input is what the server sends. `{accept}` in it stands for the right value of sec-websocket-accept, which no
//! fuzzer could guess.
#![no_main]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gun_rs_engine::options::DeflateOptions;
use gun_rs_engine::options::{Endpoint, First, HttpOptions, RawOptions, Steps, TcpOptions};
use gun_rs_engine::{ConnectOptions, Event, Sink, StreamCommand, Upgrade, WsOptions, task};
use http::Uri;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tungstenite::handshake::derive_accept_key;

/// Keeps the order of what it is told.
#[derive(Default)]
struct Checker {
    upgraded: bool,
    ended: Arc<AtomicBool>,
}

impl Sink for Checker {
    type Stream = ();
    type StreamId = ();
    type Caller = ();
    type Receipt = ();
    type Control = ();
    type Payload = Vec<u8>;
    type Source = Vec<u8>;

    fn control(&mut self, (): ()) {}

    fn event(&mut self, event: Event<'_, Self>) {
        match event {
            Event::Upgraded { .. } => {
                assert!(!self.upgraded, "one connection is upgraded once");
                self.upgraded = true;
            }
            Event::Message { .. } => assert!(self.upgraded, "messages follow the upgrade"),
            Event::Response { status, .. } => assert!(status.as_u16() != 101 && !self.upgraded),
            Event::Panicked { text, .. } => panic!("{text}"),
            Event::Down { killed, .. } => {
                assert!(killed.len() <= 1);
                self.ended.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

fn options() -> ConnectOptions {
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
        http1: true,
        http: HttpOptions::default(),
        http2: None,
        ws: WsOptions {
            compress: Some(DeflateOptions::default()),
            subprotocols: vec!["chat".into()],
            max_message_size: Some(100_000),
            // It would end what hangs.
            upgrade_timeout: None,
            ..WsOptions::default()
        },
    }
}

async fn play(response: &[u8]) {
    let (client, mut server) = tokio::io::duplex(1 << 16);
    let ended = Arc::new(AtomicBool::new(false));
    let sink = Checker { upgraded: false, ended: Arc::clone(&ended) };
    let handle = task::spawn_on(&tokio::runtime::Handle::current(), client, options(), sink);
    handle.send(StreamCommand::Upgrade(Box::new(Upgrade {
        stream: (),
        caller: (),
        target: Uri::from_static("/"),
        headers: Vec::new(),
        options: None,
    })));
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if server.read_buf(&mut request).await.unwrap_or(0) == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&request);
    let key = text.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    let mut sent = Vec::new();
    let mut rest = response;
    while let Some(at) = rest.windows(8).position(|window| window == b"{accept}") {
        sent.extend_from_slice(&rest[..at]);
        sent.extend_from_slice(accept.as_bytes());
        rest = &rest[at + 8..];
    }
    sent.extend_from_slice(rest);
    let _ = server.write_all(&sent).await;
    let _ = server.shutdown().await;
    // Its end of the stream is kept until the client has let go of its own.
    let _ = server.read_to_end(&mut request).await;
    while !ended.load(Ordering::Relaxed) {
        // The clock is paused: it goes on when nothing else is left to do.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

fuzz_target!(|response: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let played = tokio::time::timeout(std::time::Duration::from_secs(60), play(response)).await;
        assert!(played.is_ok(), "it hangs");
    });
});
