//! The queue from those who use a connection to its task.
//!
//! Senders append to one batch, and the task takes the whole of it at once. Nobody waits for the task, which holds the
//! lock no longer than it takes to put an empty batch in the place of the full one. The task waits for no sender: where
//! it finds the lock held, there is nothing for it yet, and the sender wakes it afterwards. Small frames that wait
//! together become one piece of bytes, so that a burst of them costs no memory of their own for each, and leaves in few
//! writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, ready};

use futures_util::task::AtomicWaker;
use tokio::task::coop::poll_proceed;

use super::batch::{Batch, Costed};
use crate::account::{Account, Charge, Reservation};
use crate::command::{COMMAND, Command, Frames, ITEM, Item, Outgoing, Reply, StreamCommand};
use crate::sink::Sink;

/// How many bytes of small frames become one piece. It is what one write takes.
const PIECE: usize = 64 * 1024;

/// The most calls whose frames become one piece: if they are refused, each call gets an error.
const MAX_CALLS: u32 = 1000;

/// How many of the calls whose frames are in one piece take as much of the task's budget as a command.
const CALLS_LIKE_A_COMMAND: u32 = 8;

/// A command that waits, with what it counts for.
pub(crate) type Queued<K> = (Command<K>, Charge);

struct Queue<K: Sink> {
    /// The account of the connection, on which most commands are counted.
    account: Arc<Account>,
    batch: Mutex<Batch<K>>,
    /// Whether the task knows already that there is something to take.
    woken: AtomicBool,
    task: AtomicWaker,
    /// No sender is left.
    abandoned: AtomicBool,
    /// The task has ended: what is sent is dropped.
    closed: AtomicBool,
}

/// Makes a queue for a connection with this account.
pub(crate) fn queue<K: Sink>(account: Arc<Account>) -> (Sender<K>, Receiver<K>) {
    let queue = Arc::new(Queue {
        account,
        batch: Mutex::new(Batch::default()),
        woken: AtomicBool::new(false),
        task: AtomicWaker::new(),
        abandoned: AtomicBool::new(false),
        closed: AtomicBool::new(false),
    });
    (Sender(Arc::clone(&queue)), Receiver { queue, taken: Vec::new().into_iter() })
}

/// The sending end.
pub(crate) struct Sender<K: Sink>(Arc<Queue<K>>);

impl<K: Sink> Sender<K> {
    /// Wakes the task, after [`Sender::broadcast`].
    pub(crate) fn wake(&self) {
        self.0.task.wake();
    }

    /// Whether the task has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Appends a command.
    pub(crate) fn send(&self, command: Command<K>, reservation: Reservation<'_>) {
        let cost = reservation.into_cost(0, &self.0.account);
        self.append(|batch| batch.push((command, cost)));
    }

    /// Appends data and control frames that are encoded already: to those that wait, if the same caller sent them on the
    /// same stream. Those that join others take no memory of their own beside their bytes.
    pub(crate) fn send_frames(
        &self,
        stream: Option<&K::StreamId>,
        caller: K::Caller,
        frames: u32,
        bytes: &[u8],
        reservation: Reservation<'_>,
    ) {
        let alone = |caller| {
            let items = vec![Item::Encoded(frames, bytes.to_vec())];
            StreamCommand::Send(Box::new(Outgoing::new(stream.cloned(), Reply::Caller(caller), items))).into()
        };
        // They are copied before the lock is taken where that takes long.
        let usual = &self.0.account;
        if bytes.len() > PIECE {
            let alone = (alone(caller), reservation.into_cost(COMMAND + ITEM, usual));
            return self.append(|batch| batch.push(alone));
        }
        self.append(|batch| {
            if let Some((Command::Stream(StreamCommand::Send(outgoing)), cost)) = batch.last_mut()
                && let Outgoing { stream: other, reply: Reply::Caller(last), items, calls } = &mut **outgoing
                && *last == caller
                && other.as_ref() == stream
                && reservation.fits(cost, usual)
                && *calls < MAX_CALLS
                && let Some(Item::Encoded(count, piece)) = items.last_mut()
                && piece.len() + bytes.len() <= PIECE
            {
                reservation.join(cost);
                piece.extend_from_slice(bytes);
                *count += frames;
                *calls += 1;
            } else {
                batch.push((alone(caller), reservation.into_cost(COMMAND + ITEM, usual)));
            }
        });
    }

    /// Appends frames that many connections are sent, and leaves it to the caller to wake the task: whether that is to be
    /// done. Until then nobody else does.
    #[must_use]
    pub(crate) fn broadcast(&self, frames: &Arc<Frames>, reservation: Reservation<'_>) -> bool {
        let command = StreamCommand::Broadcast(Arc::clone(frames)).into();
        let cost = reservation.into_cost(COMMAND + ITEM, &self.0.account);
        self.append_only(|batch| batch.push((command, cost)))
    }

    fn append(&self, append: impl FnOnce(&mut Batch<K>)) {
        if self.append_only(append) {
            self.0.task.wake();
        }
    }

    /// Whether the task is to be woken: it was not, since it last looked.
    fn append_only(&self, append: impl FnOnce(&mut Batch<K>)) -> bool {
        let queue = &*self.0;
        append(&mut queue.lock());
        if queue.closed.load(Ordering::Acquire) {
            queue.clear();
            return false;
        }
        !queue.woken.swap(true, Ordering::AcqRel)
    }
}

impl<K: Sink> Drop for Sender<K> {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::Release);
        self.0.wake();
    }
}

impl<K: Sink> Queue<K> {
    fn lock(&self) -> MutexGuard<'_, Batch<K>> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is dropped is dropped without the lock.
    fn clear(&self) {
        let batch = std::mem::take(&mut *self.lock());
        let (first, rest) = batch.into_parts();
        self.discard(first.into_iter().chain(rest));
    }

    /// Gives back what these commands count for.
    fn discard(&self, commands: impl Iterator<Item = Costed<K>>) {
        for (command, cost) in commands {
            drop(cost.into_charge(&self.account));
            drop(command);
        }
    }

    /// What there is, unless a sender is just appending to it.
    fn try_take(&self) -> Batch<K> {
        match self.batch.try_lock() {
            Ok(mut batch) => std::mem::take(&mut *batch),
            Err(TryLockError::Poisoned(batch)) => std::mem::take(&mut *batch.into_inner()),
            Err(TryLockError::WouldBlock) => Batch::default(),
        }
    }

    /// Wakes the task, unless it has been woken since it last looked.
    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.task.wake();
        }
    }
}

/// The receiving end.
pub(crate) struct Receiver<K: Sink> {
    queue: Arc<Queue<K>>,
    taken: std::vec::IntoIter<Costed<K>>,
}

impl<K: Sink> Receiver<K> {
    /// The next command, in the order in which they were sent, if there is one. The senders still take the task to be
    /// awake: it must call `poll_recv` before it rests.
    pub(crate) fn try_recv(&mut self) -> Option<Queued<K>> {
        let next = self.taken.next().or_else(|| {
            // An idle connection holds no batch, not an empty one either.
            let (first, rest) = self.queue.try_take().into_parts();
            self.taken = rest;
            first
        });
        next.map(|(command, cost)| (command, cost.into_charge(&self.queue.account)))
    }

    /// The same, waiting for it; `None` when there is none and no sender is left. It counts against tokio's budget: a
    /// task that only takes commands would else keep its thread from all others.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Queued<K>>> {
        let budget = ready!(poll_proceed(cx));
        let command = self.poll_next(cx);
        if let Poll::Ready(command) = &command {
            budget.made_progress();
            if let Some((Command::Stream(StreamCommand::Send(outgoing)), _)) = command {
                for _ in 0..outgoing.calls / CALLS_LIKE_A_COMMAND {
                    let Poll::Ready(budget) = poll_proceed(cx) else { break };
                    budget.made_progress();
                }
            }
        }
        command
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Queued<K>>> {
        if let Some(command) = self.try_recv() {
            return Poll::Ready(Some(command));
        }
        self.queue.task.register(cx.waker());
        // Before the batch is looked at: a sender who is appending to it just now wakes the task when it is done.
        self.queue.woken.swap(false, Ordering::AcqRel);
        // Before, too: nothing is sent after this.
        let abandoned = self.queue.abandoned.load(Ordering::Acquire);
        match self.try_recv() {
            Some(command) => Poll::Ready(Some(command)),
            None if abandoned => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<K: Sink> Drop for Receiver<K> {
    fn drop(&mut self) {
        self.queue.closed.store(true, Ordering::Release);
        self.queue.clear();
        self.queue.discard(std::mem::take(&mut self.taken));
        // A waker keeps its task, and that its runtime: senders that are left must not.
        drop(self.queue.task.take());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::future::poll_fn;
    use std::thread;

    use tokio::runtime::Builder;

    use super::*;
    use crate::testing::Recorder;

    /// Sends as a handle does, on an account without a limit.
    fn send(
        sender: &Sender<Recorder>,
        stream: Option<u32>,
        caller: u32,
        frames: u32,
        bytes: &[u8],
        account: &Arc<Account>,
    ) {
        sender.send_frames(stream.as_ref(), caller, frames, bytes, account.reserve(bytes.len(), 0).unwrap());
    }

    fn account() -> Arc<Account> {
        Arc::new(Account::new(None, false))
    }

    /// The stream, the caller, the calls and the frames of one piece, and its bytes.
    type Piece = (Option<u32>, u32, u32, u32, Vec<u8>);

    fn waiting(receiver: &mut Receiver<Recorder>) -> Vec<Piece> {
        let mut commands = Vec::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some((command, _))) = receiver.poll_recv(&mut cx) {
            let Command::Stream(StreamCommand::Send(outgoing)) = command else { panic!("no frames") };
            let Outgoing { stream, reply: Reply::Caller(caller), items, calls } = *outgoing else {
                panic!("a receipt")
            };
            let [Item::Encoded(frames, bytes)] = &items[..] else { panic!("not one piece") };
            commands.push((stream, caller, calls, *frames, bytes.clone()));
        }
        commands
    }

    #[test]
    fn frames_of_one_caller_that_wait_are_one_piece_up_to_its_size() {
        let (sender, mut receiver) = queue::<Recorder>(account());
        let account = Arc::clone(&sender.0.account);
        let send = |caller, frames, bytes: &[u8]| send(&sender, None, caller, frames, bytes, &account);
        send(1, 1, b"a");
        send(1, 2, b"bc");
        send(2, 1, b"d");
        send(1, 1, b"e");
        send(1, 1, &[b'f'; PIECE]);
        assert_eq!(account.queued(), 5 + PIECE + 4 * (COMMAND + ITEM));
        let mut expected =
            vec![(None, 1, 2, 3, b"abc".to_vec()), (None, 2, 1, 1, b"d".to_vec()), (None, 1, 1, 1, b"e".to_vec())];
        expected.push((None, 1, 1, 1, vec![b'f'; PIECE]));
        assert_eq!(waiting(&mut receiver), expected);
        send(1, 1, b"g");
        assert_eq!(waiting(&mut receiver), [(None, 1, 1, 1, b"g".to_vec())], "what was taken is not appended to");
        assert_eq!(account.queued(), 0);
    }

    #[test]
    fn frames_of_two_streams_or_of_two_accounts_are_never_one_piece() {
        let (one, two) = (account(), account());
        let (sender, mut receiver) = queue::<Recorder>(Arc::clone(&one));
        for (stream, account) in [(Some(1), &one), (Some(2), &two), (Some(2), &two), (Some(1), &one), (Some(1), &two)] {
            send(&sender, stream, 7, 1, b"x", account);
        }
        let pieces: Vec<_> = waiting(&mut receiver).into_iter().map(|(stream, _, calls, ..)| (stream, calls)).collect();
        assert_eq!(pieces, [(Some(1), 1), (Some(2), 2), (Some(1), 1), (Some(1), 1)]);
        assert_eq!((one.queued(), two.queued()), (0, 0));
    }

    #[test]
    fn a_broadcast_keeps_its_place_and_asks_once_to_wake_the_task() {
        let (sender, mut receiver) = queue::<Recorder>(account());
        let account = Arc::clone(&sender.0.account);
        let frames = Arc::new(Frames { count: 2, bytes: b"all".to_vec() });
        let broadcast = || sender.broadcast(&frames, account.reserve(3, 0).unwrap());
        assert!(broadcast() && !broadcast());
        send(&sender, None, 1, 1, b"own", &account);
        assert!(!broadcast());
        let (mut cx, mut sent) = (Context::from_waker(std::task::Waker::noop()), Vec::new());
        while let Poll::Ready(Some((command, _))) = receiver.poll_recv(&mut cx) {
            match command {
                Command::Stream(StreamCommand::Broadcast(frames)) => sent.push(frames.bytes.clone()),
                Command::Stream(StreamCommand::Send(outgoing)) => {
                    let [Item::Encoded(1, bytes)] = &outgoing.items[..] else { panic!("not one piece") };
                    sent.push(bytes.clone());
                }
                _ => panic!("no frames"),
            }
        }
        assert_eq!(sent, [b"all", b"all", b"own", b"all"]);
        assert_eq!(account.queued(), 0);
        assert!(broadcast(), "the task rests again");
    }

    #[test]
    fn many_senders_at_once_lose_nothing_and_keep_their_own_order() {
        const SENDERS: u32 = 4;
        const EACH: u32 = 20_000;
        let (sender, mut receiver) = queue::<Recorder>(account());
        let account = Arc::clone(&sender.0.account);
        let sender = Arc::new(sender);
        let threads: Vec<_> = (0..SENDERS)
            .map(|caller| {
                let (sender, account) = (Arc::clone(&sender), Arc::clone(&account));
                thread::spawn(move || {
                    for n in 0..EACH {
                        // Now and then something that is not put together with the rest.
                        if n % 100 == 0 {
                            let update = StreamCommand::UpdateFlow(Some(Box::new(caller)), i64::from(n));
                            sender.send(update.into(), account.count(0));
                        } else {
                            send(&sender, None, caller, 1, &n.to_ne_bytes(), &account);
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let received = Builder::new_current_thread().build().unwrap().block_on(async move {
            let mut received: HashMap<u32, Vec<u32>> = HashMap::new();
            // It ends when the last sender is gone.
            while let Some((command, _)) = poll_fn(|cx| receiver.poll_recv(cx)).await {
                match command {
                    Command::Stream(StreamCommand::Send(outgoing)) => {
                        let Outgoing { reply: Reply::Caller(caller), items, .. } = *outgoing else { panic!() };
                        let [Item::Encoded(_, bytes)] = &items[..] else { panic!("not one piece") };
                        let numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_ne_bytes(*bytes));
                        received.entry(caller).or_default().extend(numbers);
                    }
                    Command::Stream(StreamCommand::UpdateFlow(Some(caller), n)) => {
                        received.entry(*caller).or_default().push(u32::try_from(n).unwrap());
                    }
                    _ => panic!("nobody has sent it"),
                }
            }
            received
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(received.len(), SENDERS as usize);
        assert!(received.into_values().all(|numbers| numbers == (0..EACH).collect::<Vec<_>>()));
        assert_eq!(account.queued(), 0);
    }

    #[test]
    fn what_comes_after_the_task_has_ended_is_dropped_as_is_what_it_had_not_taken() {
        let (sender, receiver) = queue::<Recorder>(account());
        let account = Arc::clone(&sender.0.account);
        send(&sender, None, 1, 1, b"a", &account);
        let queue = Arc::clone(&receiver.queue);
        drop(receiver);
        assert!(queue.lock().last_mut().is_none());
        send(&sender, None, 1, 1, b"b", &account);
        assert!(queue.lock().last_mut().is_none());
        assert_eq!(account.queued(), 0);
    }
}
