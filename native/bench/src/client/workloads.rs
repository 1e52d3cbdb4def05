//! The workloads: each is what bench/bench_client.erl and bench/bench_many.erl do with gun and gun_rs.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::connection::{Socket, Target};
use crate::process::{Clock, microseconds, percentile, resident};
use crate::{Amount, Result, Told};

/// So many messages are under way at once on the curve, whatever the connections.
const UNDER_WAY: usize = 10;

/// The server has so many different messages, and so many bytes of them.
const DIFFERENT: usize = 8;
const DIFFERENT_BYTES: usize = 128 * 1024;

/// Between two messages of a connection.
const PACE: Duration = Duration::from_millis(100);

/// With so many messages under way at once.
pub(crate) async fn echo(target: &Target, amount: Amount, ahead: usize) -> Result<Told> {
    let mut socket = target.open("/echo").await?;
    let payloads = payloads(target, amount.size).await?;
    let clock = Clock::start();
    socket.echo(&payloads, amount.count, ahead).await?;
    Ok(clock.stop())
}

pub(crate) async fn send(target: &Target, amount: Amount) -> Result<Told> {
    let mut socket = target.open("/sink").await?;
    let payloads = payloads(target, amount.size).await?;
    let clock = Clock::start();
    for payload in payloads.iter().cycle().take(amount.count) {
        socket.feed(payload.clone()).await?;
    }
    let counted = socket.count().await?;
    let told = clock.stop();
    if counted == amount.count { Ok(told) } else { Err(format!("the server counted {counted}").into()) }
}

pub(crate) async fn receive(target: &Target, amount: Amount) -> Result<Told> {
    let json = u8::from(target.deflate);
    let mut socket = target.open(&format!("/flood?n={}&size={}&json={json}&wait=1", amount.count, amount.size)).await?;
    let clock = Clock::start();
    socket.send_text("go").await?;
    for _ in 0..amount.count {
        socket.next().await?;
    }
    Ok(clock.stop())
}

pub(crate) async fn connect(target: &Target, amount: Amount) -> Result<Told> {
    let clock = Clock::start();
    let sockets = open_all(target, amount.count).await?;
    let told = clock.stop();
    drop(sockets);
    Ok(told)
}

pub(crate) async fn idle(target: &Target, amount: Amount) -> Result<Told> {
    let _warm = open_all(target, 100).await?;
    let before = resident()?;
    let _sockets = open_all(target, amount.connections).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(vec![("bytes", resident()?.saturating_sub(before))])
}

/// A task for each connection, with 8 messages under way.
pub(crate) async fn echo_many(target: &Target, amount: Amount) -> Result<Told> {
    let sockets = open_all(target, amount.connections).await?;
    let (payload, count) = (payload(amount.size), amount.count / amount.connections);
    let (told, _) = all_at_once(sockets.into_iter().map(|mut socket| {
        let payload = payload.clone();
        async move {
            socket.echo(&payload, count, 8).await?;
            Ok(socket)
        }
    }))
    .await?;
    Ok(told)
}

/// A task for each connection, which sends at a steady pace; all of them are spread over the time between.
pub(crate) async fn paced(target: &Target, amount: Amount) -> Result<Told> {
    let Amount { connections, count, size } = amount;
    let sockets = open_all(target, connections).await?;
    let (mut told, results) = all_at_once(sockets.into_iter().zip(0..).map(|(mut socket, nth)| {
        let offset = PACE * nth / u32::try_from(connections).unwrap_or(u32::MAX);
        async move {
            let payload = payload(size);
            let mut at = Instant::now() + offset;
            let mut taken = Vec::new();
            for _ in 0..count / connections {
                tokio::time::sleep_until(at.into()).await;
                let began = Instant::now();
                socket.echo(&payload, 1, 1).await?;
                taken.push(microseconds(began));
                at += PACE;
            }
            Ok((taken, socket))
        }
    }))
    .await?;
    let mut taken: Vec<u64> = results.into_iter().flat_map(|(taken, _)| taken).collect();
    told.extend([("rtt_us", percentile(&mut taken, 50)), ("rtt_p99_us", percentile(&mut taken, 99))]);
    Ok(told)
}

/// A task for each message under way, which goes round its share of the connections.
pub(crate) async fn curve(target: &Target, amount: Amount) -> Result<Told> {
    let Amount { connections, count, size } = amount;
    let workers = connections.min(UNDER_WAY);
    let ahead = UNDER_WAY / workers;
    let payload = payload(size);
    let mut shares = Vec::with_capacity(workers);
    for _ in 0..workers {
        let mut share = open_all(target, connections / workers).await?;
        // The first message of a connection takes more than the others.
        for socket in &mut share {
            socket.echo(&payload, ahead, ahead).await?;
        }
        shares.push(share);
    }
    let (told, _) = all_at_once(shares.into_iter().map(|mut share| {
        let payload = payload.clone();
        async move {
            for _ in 0..count / connections.max(UNDER_WAY) {
                for socket in &mut share {
                    socket.echo(&payload, ahead, ahead).await?;
                }
            }
            Ok(share)
        }
    }))
    .await?;
    Ok(told)
}

/// Times all of the work, each in a task of its own. What the work returns is dropped later: to close a connection is no
/// part of it.
pub(crate) async fn all_at_once<W, R>(works: impl Iterator<Item = W>) -> Result<(Told, Vec<R>)>
where
    W: Future<Output = Result<R>> + Send + 'static,
    R: Send + 'static,
{
    let clock = Clock::start();
    let mut tasks: JoinSet<Result<R>> = works.collect();
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(result) = tasks.join_next().await {
        results.push(result??);
    }
    Ok((clock.stop(), results))
}

pub(crate) async fn open_all(target: &Target, connections: usize) -> Result<Vec<Socket>> {
    let mut sockets = Vec::with_capacity(connections);
    for _ in 0..connections {
        sockets.push(target.open("/echo").await?);
    }
    Ok(sockets)
}

/// What is sent, in turn: where it is compressed, JSON that the server has.
async fn payloads(target: &Target, size: usize) -> Result<Vec<Bytes>> {
    if !target.deflate {
        return Ok(payload(size));
    }
    let count = DIFFERENT.max(DIFFERENT_BYTES / size);
    let mut socket = target.plain().open(&format!("/flood?n={count}&size={size}&json=1")).await?;
    let mut payloads = Vec::with_capacity(count);
    for _ in 0..count {
        payloads.push(socket.next().await?);
    }
    Ok(payloads)
}

pub(crate) fn payload(size: usize) -> Vec<Bytes> {
    vec![Bytes::from(vec![b'x'; size])]
}
