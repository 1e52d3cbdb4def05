//! What a server has to do, for bench/bench_server.erl: many connections, frames that are made before, and answers that are
//! compared, not decoded, so that most of the processors is left to the server.
//!
//! Whenever connections are open, a line says `ready`, and one that is read says to go on: the benchmark looks at the
//! server in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::connection::{Socket, Stream, Target};
use crate::process::Clock;
use crate::workloads::{all_at_once, payload};
use crate::{Amount, Result, Told};

/// So many connections are opened at once.
const AT_ONCE: usize = 32;

/// What is opened, and left alone, before memory is looked at.
const WARM: usize = 100;

/// The most that is read at once.
const READ: usize = 32 * 1024;

const MASK: [u8; 4] = [0x1c, 0x7e, 0xa5, 0x33];

/// Every connection has messages echoed, with at most `ahead` of them under way.
pub(crate) async fn echo(target: &Target, amount: Amount, ahead: usize) -> Result<Told> {
    let target = target.resolved().await?;
    let mut streams = Vec::with_capacity(amount.connections);
    for socket in open(&target, "/echo", amount.connections).await? {
        streams.push(socket.into_stream()?);
    }
    let messages = Arc::new(Messages::new(amount.size, ahead)?);
    let count = amount.count / amount.connections;
    go_on()?;
    let works = streams.into_iter().map(|stream| messages.clone().echo(stream, count));
    Ok(all_at_once(works).await?.0)
}

/// The server sends messages to all connections at once, each when another connection says so: when all of them have, on
/// the average, received all messages but `ahead`.
pub(crate) async fn broadcast(target: &Target, amount: Amount, ahead: usize) -> Result<Told> {
    let target = target.resolved().await?;
    let Amount { connections, count, size } = amount;
    let messages = Arc::new(Messages::new(size, 0)?);
    let received = Arc::new(Received { all: AtomicUsize::new(0), connections, round: Notify::new() });
    let mut works = Vec::with_capacity(connections);
    for socket in open(&target, "/listen", connections).await? {
        works.push(messages.clone().listen(socket.into_stream()?, count / connections, received.clone()));
    }
    let mut sender = target.open(&format!("/broadcast?size={size}&listeners={connections}")).await?;
    go_on()?;
    let clock = Clock::start();
    let mut tasks: JoinSet<Result<_>> = works.into_iter().collect();
    for round in 0..count / connections {
        while round >= received.rounds() + ahead {
            tokio::select! {
                () = received.round.notified() => {}
                // One that fails would be awaited for ever.
                Some(ended) = tasks.join_next() => drop(ended??),
            }
        }
        sender.send_text("next").await?;
    }
    let streams = tasks.join_all().await;
    let told = clock.stop();
    streams.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(told)
}

/// Opens connections, as many at once as [`AT_ONCE`].
pub(crate) async fn upgrades(target: &Target, amount: Amount) -> Result<Told> {
    let target = target.resolved().await?;
    let _warm = open(&target, "/echo", WARM).await?;
    go_on()?;
    let clock = Clock::start();
    let _sockets = open(&target, "/echo", amount.count).await?;
    Ok(clock.stop())
}

/// Opens connections, and keeps them.
pub(crate) async fn idle(target: &Target, amount: Amount) -> Result<Told> {
    let target = target.resolved().await?;
    let _warm = open(&target, "/echo", WARM).await?;
    go_on()?;
    let sockets = open(&target, "/echo", amount.connections).await?;
    go_on()?;
    Ok(vec![("connections", sockets.len() as u64)])
}

async fn open(target: &Target, path: &'static str, connections: usize) -> Result<Vec<Socket>> {
    let mut tasks = JoinSet::new();
    for nth in 0..AT_ONCE {
        let share = connections / AT_ONCE + usize::from(nth < connections % AT_ONCE);
        let target = target.clone();
        tasks.spawn(async move {
            let mut sockets = Vec::with_capacity(share);
            for _ in 0..share {
                sockets.push(target.open(path).await?);
            }
            Result::Ok(sockets)
        });
    }
    Ok(tasks.join_all().await.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Says that all is ready, and waits until the benchmark has seen it.
fn go_on() -> Result<()> {
    println!("ready");
    match std::io::stdin().read_line(&mut String::new())? {
        0 => Err("the benchmark is gone".into()),
        _ => Ok(()),
    }
}

/// How many messages have been received.
struct Received {
    all: AtomicUsize,
    connections: usize,
    /// All connections have received, on the average, one more.
    round: Notify,
}

impl Received {
    fn rounds(&self) -> usize {
        self.all.load(Ordering::Acquire) / self.connections
    }

    fn add(&self, messages: usize) {
        let before = self.all.fetch_add(messages, Ordering::AcqRel);
        if before / self.connections != (before + messages) / self.connections {
            self.round.notify_one();
        }
    }
}

/// A message as it is sent and as it comes, both many times in a row.
struct Messages {
    asked: Vec<u8>,
    asked_size: usize,
    answers: Vec<u8>,
    answer_size: usize,
}

impl Messages {
    fn new(size: usize, ahead: usize) -> Result<Self> {
        let payload = payload(size).concat();
        let (asked, answer) = (frame(&payload, Some(MASK))?, frame(&payload, None)?);
        // Wherever in a message a part begins that is read, all that follows can be compared.
        let answers = answer.repeat(READ / answer.len() + 2);
        Ok(Self { asked_size: asked.len(), asked: asked.repeat(ahead), answers, answer_size: answer.len() })
    }

    async fn echo(self: Arc<Self>, mut stream: Box<dyn Stream>, count: usize) -> Result<Box<dyn Stream>> {
        let mut buffer = vec![0; READ];
        let mut sent = count.min(self.asked.len() / self.asked_size);
        let (mut received, mut bytes) = (0, 0);
        stream.write_all(self.asked(sent)).await?;
        while received < count {
            bytes += self.read(&mut stream, &mut buffer, bytes).await?;
            received = bytes / self.answer_size;
            let more = (count - sent).min(self.asked.len() / self.asked_size + received - sent);
            if more > 0 {
                stream.write_all(self.asked(more)).await?;
                sent += more;
            }
        }
        Ok(stream)
    }

    async fn listen(
        self: Arc<Self>,
        mut stream: Box<dyn Stream>,
        count: usize,
        received: Arc<Received>,
    ) -> Result<Box<dyn Stream>> {
        let mut buffer = vec![0; READ];
        let mut bytes = 0;
        while bytes < count * self.answer_size {
            let before = bytes / self.answer_size;
            bytes += self.read(&mut stream, &mut buffer, bytes).await?;
            received.add(bytes / self.answer_size - before);
        }
        Ok(stream)
    }

    fn asked(&self, messages: usize) -> &[u8] {
        self.asked.get(..messages * self.asked_size).unwrap_or_default()
    }

    /// Reads what comes after so many bytes, and compares it.
    async fn read(&self, stream: &mut Box<dyn Stream>, buffer: &mut [u8], after: usize) -> Result<usize> {
        let read = stream.read(buffer).await?;
        let expected = self.answers.get(after % self.answer_size..).unwrap_or_default();
        match buffer.get(..read) {
            Some([]) | None => Err("the server has closed".into()),
            Some(bytes) if expected.starts_with(bytes) => Ok(read),
            Some(_) => Err("the server sends something else".into()),
        }
    }
}

fn frame(payload: &[u8], mask: Option<[u8; 4]>) -> Result<Vec<u8>> {
    let mut frame = Frame::message(Bytes::copy_from_slice(payload), OpCode::Data(Data::Binary), true);
    frame.header_mut().mask = mask;
    let mut bytes = Vec::new();
    frame.format(&mut bytes)?;
    Ok(bytes)
}
