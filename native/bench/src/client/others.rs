//! What a connection that floods costs the others, as bench/bench_others.erl measures it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::connection::{Socket, Target};
use crate::process::{microseconds, percentile};
use crate::workloads::{open_all, payload};
use crate::{Amount, Result, Told};

const OTHERS: usize = 4;

/// For the round trips of one connection.
const AT_MOST: Duration = Duration::from_secs(2);

const FLOOD_SIZE: usize = 1024;

/// Messages that are sent before the server's count of those before them is awaited.
const BATCH: usize = 1000;

/// Which way it goes.
#[derive(Clone, Copy)]
pub(crate) enum Flood {
    Receive,
    Send,
}

/// Round trips, first while nothing else happens, then beside a flood.
pub(crate) async fn round_trips(target: &Target, amount: Amount, flood: Flood) -> Result<Told> {
    let mut sockets = open_all(target, OTHERS).await?;
    let payload = payload(amount.size);
    let count = amount.count / OTHERS;
    medians(&mut sockets, &payload, count).await?;
    let quiet = percentile(&mut medians(&mut sockets, &payload, count).await?, 50);
    let flooded = Arc::new(AtomicU64::new(0));
    let task = tokio::spawn(run(target.clone(), flood, flooded.clone()));
    while flooded.load(Ordering::Relaxed) == 0 && !task.is_finished() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (began, before) = (Instant::now(), flooded.load(Ordering::Relaxed));
    let beside = percentile(&mut medians(&mut sockets, &payload, count).await?, 100);
    let rate = (flooded.load(Ordering::Relaxed) - before) * 1_000_000 / microseconds(began);
    if task.is_finished() {
        task.await??;
    }
    Ok(vec![("beside_us", beside), ("quiet_us", quiet), ("flood_per_sec", rate)])
}

/// Of the round trips on each of the connections.
async fn medians(sockets: &mut [Socket], payload: &[Bytes], count: usize) -> Result<Vec<u64>> {
    let mut medians = Vec::with_capacity(sockets.len());
    for socket in sockets {
        let until = Instant::now() + AT_MOST;
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count && Instant::now() < until {
            let began = Instant::now();
            socket.echo(payload, 1, 1).await?;
            taken.push(microseconds(began));
        }
        medians.push(percentile(&mut taken, 50));
    }
    Ok(medians)
}

async fn run(target: Target, flood: Flood, flooded: Arc<AtomicU64>) -> Result<()> {
    match flood {
        Flood::Receive => take(&target, &flooded).await,
        Flood::Send => give(&target, &flooded).await,
    }
}

async fn take(target: &Target, flooded: &AtomicU64) -> Result<()> {
    let mut socket = target.open(&format!("/flood?wait=1&n={}&size={FLOOD_SIZE}", u64::MAX)).await?;
    socket.send_text("go").await?;
    loop {
        socket.next().await?;
        flooded.fetch_add(1, Ordering::Relaxed);
    }
}

async fn give(target: &Target, flooded: &AtomicU64) -> Result<()> {
    let mut socket = target.open("/sink").await?;
    let payload = payload(FLOOD_SIZE);
    batch(&mut socket, &payload).await?;
    loop {
        batch(&mut socket, &payload).await?;
        socket.next().await?;
        flooded.fetch_add(BATCH as u64, Ordering::Relaxed);
    }
}

async fn batch(socket: &mut Socket, payload: &[Bytes]) -> Result<()> {
    for payload in payload.iter().cycle().take(BATCH) {
        socket.feed(payload.clone()).await?;
    }
    socket.send_text("count").await
}
