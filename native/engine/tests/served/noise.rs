//! Clients that send anything.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use gun_rs_engine::{ServeOptions, WsOptions};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::harness::*;

const ROUNDS: u64 = 400;

const REQUESTS: [&str; 5] = [
    "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "HEAD /?a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\n\r\n0123456",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;x\r\n01234\r\n0\r\nx: y\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: a\r\n\r\n\u{1}\0\u{7f}",
];

/// A few requests, with some of their bytes changed, lost or doubled.
fn noise(random: &mut StdRng) -> Vec<u8> {
    let requests = (0..random.random_range(1..6)).map(|_| REQUESTS[random.random_range(0..REQUESTS.len())]);
    let mut bytes = requests.collect::<String>().into_bytes();
    for _ in 0..random.random_range(0..4) {
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..4) {
            0 => bytes[at] = random.random(),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, bytes[at]),
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

#[test]
fn whatever_clients_send_each_connection_comes_to_its_end() {
    let linger_timeout = Duration::from_millis(10);
    let server = Server::start(ServeOptions { linger_timeout, ..serve_options() });
    for seed in 0..ROUNDS {
        let random = &mut StdRng::seed_from_u64(seed);
        let (client, conn) = server.connect();
        let bytes = noise(random);
        let cut = random.random_range(0..=bytes.len());
        let mut stream = &client.stream;
        // The server may have closed the connection.
        let _ = stream.write_all(&bytes[..cut]);
        let _ = stream.write_all(&bytes[cut..]);
        let _ = stream.shutdown(Shutdown::Write);
        loop {
            match conn.next() {
                Told::Request(asked) if asked.header("upgrade") == "websocket" => {
                    if !asked.header("sec-websocket-key").is_empty() {
                        conn.accept(&asked, WsOptions::default());
                    } else {
                        conn.page(asked.id, "no");
                    }
                }
                Told::Request(asked) => {
                    conn.allow(asked.id, random.random_range(0..3));
                    conn.page(asked.id, "page");
                }
                Told::Down(_) => break,
                _ => {}
            }
        }
        conn.expect_end();
    }
    server.await_counts(|counts| counts.active == 0 && counts.upgraded == 0);
}
