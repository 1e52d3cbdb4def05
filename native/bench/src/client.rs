//! A plain Rust client on tokio-tungstenite: what the wire and the server take at best, without a VM.
//!
//! usage: gun_rs_bench_client HOST PORT WORKLOAD COUNT SIZE [ROOT_PEM]
//!
//! It prints two numbers for the whole of the workload: the wall time and the client's own CPU time, in microseconds; for
//! `idle`, the bytes of memory instead that COUNT connections take.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a connection is made of.
struct Target {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

/// Either stream.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

type Socket = WebSocketStream<Box<dyn Stream>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, workload, count, size, rest @ ..] = args.as_slice() else {
        return Err("usage: gun_rs_bench_client HOST PORT WORKLOAD COUNT SIZE [ROOT_PEM]".into());
    };
    let tls = rest.first().map(|root| connector(root)).transpose()?;
    let target = Target { host: host.clone(), port: port.parse()?, tls };
    let (count, size) = (count.parse()?, size.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (first, second) = runtime.block_on(run(&target, workload, count, size))?;
    println!("{first} {second}");
    Ok(())
}

fn connector(root: &str) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(root)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn run(target: &Target, workload: &str, count: usize, size: usize) -> Result<(u64, u64)> {
    match workload {
        "rtt" => echo(target, count, size, 1).await,
        "echo" => echo(target, count, size, 64).await,
        "send" => send(target, count, size).await,
        "recv" => receive(target, count, size).await,
        "connect" => connect(target, count).await,
        "idle" => idle(target, count).await,
        _ => Err(format!("there is no workload {workload}").into()),
    }
}

async fn open(target: &Target, path: &str) -> Result<Socket> {
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
    stream.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match &target.tls {
        Some(tls) => Box::new(tls.connect(ServerName::try_from(target.host.clone())?, stream).await?),
        None => Box::new(stream),
    };
    let (socket, _) = client_async(format!("ws://{}:{}{path}", target.host, target.port), stream).await?;
    Ok(socket)
}

/// With so many messages under way at once.
async fn echo(target: &Target, count: usize, size: usize, ahead: usize) -> Result<(u64, u64)> {
    let mut socket = open(target, "/echo").await?;
    let payload = Bytes::from(vec![b'x'; size]);
    let clock = Clock::start();
    let mut sent = 0;
    for received in 0..count {
        while sent < count && sent - received < ahead {
            socket.feed(Message::Binary(payload.clone())).await?;
            sent += 1;
        }
        socket.flush().await?;
        next(&mut socket).await?;
    }
    Ok(clock.stop())
}

async fn send(target: &Target, count: usize, size: usize) -> Result<(u64, u64)> {
    let mut socket = open(target, "/sink").await?;
    let payload = Bytes::from(vec![b'x'; size]);
    let clock = Clock::start();
    for _ in 0..count {
        socket.feed(Message::Binary(payload.clone())).await?;
    }
    socket.send(Message::text("count")).await?;
    let counted: usize = next(&mut socket).await?.into_text()?.as_str().parse()?;
    let time = clock.stop();
    if counted == count { Ok(time) } else { Err(format!("the server counted {counted} of {count}").into()) }
}

async fn receive(target: &Target, count: usize, size: usize) -> Result<(u64, u64)> {
    let mut socket = open(target, &format!("/flood?n={count}&size={size}&wait=1")).await?;
    let clock = Clock::start();
    socket.send(Message::text("go")).await?;
    for _ in 0..count {
        next(&mut socket).await?;
    }
    Ok(clock.stop())
}

async fn connect(target: &Target, count: usize) -> Result<(u64, u64)> {
    let mut sockets = VecDeque::new();
    let clock = Clock::start();
    for _ in 0..count {
        sockets.push_back(open(target, "/echo").await?);
    }
    Ok(clock.stop())
}

async fn idle(target: &Target, count: usize) -> Result<(u64, u64)> {
    let _warm = open(target, "/echo").await?;
    let before = resident()?;
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        sockets.push(open(target, "/echo").await?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok((resident()?.saturating_sub(before), 0))
}

async fn next(socket: &mut Socket) -> Result<Message> {
    loop {
        match socket.next().await.ok_or("the server has closed")?? {
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return Err("the server closes".into()),
            message => return Ok(message),
        }
    }
}

/// Wall and CPU time.
struct Clock {
    wall: Instant,
    cpu: u64,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    /// Both, in microseconds.
    fn stop(self) -> (u64, u64) {
        (u64::try_from(self.wall.elapsed().as_micros()).unwrap_or(u64::MAX), cpu().saturating_sub(self.cpu))
    }
}

/// What this process has used so far, in microseconds.
fn cpu() -> u64 {
    // Ticks of 10 ms: fields 14 and 15, and the second has spaces and parentheses in it.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [11, 12].iter().filter_map(|field| fields.get(*field)?.parse::<u64>().ok()).sum::<u64>() * 10_000
}

/// The memory of this process, in bytes.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
