//! A WebSocket server that does what its URL says, for the demo, the tests and the benchmarks of gun_rs.
//!
//! | path | what the server does |
//! |---|---|
//! | `/echo` | sends every text and binary message back |
//! | `/subprotocol` | accepts the first subprotocol offered, then echoes |
//! | `/fragments?size=BYTES` | sends every message back, in fragments of that size |
//! | `/flood?n=N&size=S` | sends N binary messages of S bytes, then closes with 1000; with `wait=W`, after W of the client's |
//! | `/sink` | counts messages; answers the text `count` with their number |
//! | `/refuse?status=403` | refuses the upgrade with that status and a body; the connection stays open |
//! | `/close?code=C` | sends a close frame at once, with the code C or, without `code`, an empty one |
//! | `/drop` | cuts the connection, with no close frame, after the first message |
//! | `/garbage` | answers the request with bytes that are not HTTP, and hangs up |
//! | `/bad-accept` | accepts the upgrade with a `sec-websocket-accept` that belongs to another key |
//! | `/tls` | tells what the TLS handshake agreed on, a word and its value in each line |
//!
//! With `json=1`, the messages of a flood are text: market data, as JSON.
//!
//! With `--deflate`, what `/echo`, `/flood` and `/sink` say is compressed, where the client offers permessage-deflate.
//!
//! With `--http2`, connections speak HTTP/2: at once where there is no TLS, and otherwise unless TLS has chosen another
//! protocol (`--alpn`). Extended CONNECT (RFC 8441) opens a WebSocket at the paths above. Other requests have these:
//!
//! | path | what the server answers |
//! |---|---|
//! | `/bytes?n=N` | N bytes, whose number is announced |
//! | `/stream?n=N&size=S` | N DATA frames of S bytes, if the client's settings and windows allow them that long |
//! | `/echo` | the request's body and trailers, while they come |
//! | `/sink` | the number of bytes of the request's body, when all of it has come |
//! | `/headers` | the request's header fields, a name and its value in each line, pseudo-header fields first |
//! | `/trailers` | `Hello world!`, and trailers |
//! | `/inform?n=N` | N responses 103, then 200 |
//! | `/status?code=C` | that status, without a body |
//! | `/push?n=N` | N promises of `/pushed?n=I`, the answers to them, and 200; less if the client wants no pushes |
//! | `/reset?code=C` | RST_STREAM with that code: at once or, with `after=B`, after the head and B bytes of a body |
//! | `/slow?ms=T` | 200, after T milliseconds; without `ms`, nothing |
//! | `/goaway` | 200, and the connection's graceful end; with `code=C`, its end at once, with that code |
//! | `/tls` | what it is above |
//!
//! CONNECT leads to the host and the port that it names: the server is a proxy, then.
//!
//! `--max-streams` and `--window` are what the server's settings say.
//!
//! The modules, from the outside in: [`args`] reads the command line, [`listener`] accepts connections, [`tls`]
//! encrypts them, [`connection`] answers the requests on one of them, [`request`] reads a request, [`mode`] knows the
//! first table above, and [`conversation`] speaks WebSocket once the upgrade is done, or [`deflate`] where messages are
//! compressed; [`flood`] makes the messages of a flood. [`http2`] is for the connections that speak it.

mod args;
mod connection;
mod conversation;
mod deflate;
mod flood;
mod http2;
mod listener;
mod mode;
mod request;
#[cfg(test)]
mod tests;
mod tls;

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(complaint) => {
            eprintln!("gun_rs_testserver: {complaint}\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gun_rs_testserver: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until the process is killed, or, with `--until-eof`, until standard input ends.
fn run(args: &args::Args) -> io::Result<()> {
    if args.until_eof {
        std::thread::spawn(exit_at_eof);
    }
    let tls = match &args.tls {
        Some(tls) => Some((tls::acceptor(tls)?, tls.max_fragment)),
        None => None,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = listener::bind(args.port)?;
        announce(listener.local_addr()?)?;
        let service = listener::Service { tls, deflate: args.deflate, http2: args.http2 };
        listener::serve(listener, service).await
    })
}

/// A parent waits for this line, so it must leave the process at once.
fn announce(address: std::net::SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()
}

/// The parent holds the other end of standard input: when it dies, however it dies, the server goes too.
fn exit_at_eof() {
    // An unreadable standard input means, like its end, that nobody holds the other side.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    std::process::exit(0);
}
