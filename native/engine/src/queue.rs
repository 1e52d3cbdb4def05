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

use crate::command::{Command, Item, Outgoing, Reply};
use crate::sink::Sink;

/// How many bytes of small frames become one piece. It is what one write takes.
const PIECE: usize = 64 * 1024;

/// In how many calls the frames of one piece may have been given: if they are refused, as many callers are told at once.
const MAX_CALLS: u32 = 1000;

/// How many of the calls whose frames are in one piece take as much of the task's budget as a command.
const CALLS_LIKE_A_COMMAND: u32 = 8;

type Batch<K> = Vec<Command<K>>;

struct Queue<K: Sink> {
    batch: Mutex<Batch<K>>,
    /// Whether the task knows already that there is something to take.
    woken: AtomicBool,
    task: AtomicWaker,
    /// No sender is left.
    abandoned: AtomicBool,
    /// The task has ended: what is sent is dropped.
    closed: AtomicBool,
}

/// Makes a queue.
pub(crate) fn queue<K: Sink>() -> (Sender<K>, Receiver<K>) {
    let queue = Arc::new(Queue {
        batch: Mutex::new(Vec::new()),
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
    /// Appends a command.
    pub(crate) fn send(&self, command: Command<K>) {
        self.append(|batch| batch.push(command));
    }

    /// Appends data and control frames that are encoded already: to those that wait, if the same caller sent them. If
    /// they become a command of their own, `charge` is called before the task can take it.
    pub(crate) fn send_frames(&self, caller: K::Caller, frames: u32, bytes: &[u8], charge: impl FnOnce()) {
        let alone = |caller| {
            let items = vec![Item::Encoded(frames, bytes.to_vec())];
            Command::Send(Box::new(Outgoing::new(Reply::Caller(caller), items)))
        };
        // They are copied before the lock is taken where that takes long.
        if bytes.len() > PIECE {
            charge();
            return self.send(alone(caller));
        }
        self.append(|batch| {
            if let Some(Command::Send(outgoing)) = batch.last_mut()
                && let Outgoing { reply: Reply::Caller(last), items, calls } = &mut **outgoing
                && *last == caller
                && *calls < MAX_CALLS
                && let Some(Item::Encoded(count, piece)) = items.last_mut()
                && piece.len() + bytes.len() <= PIECE
            {
                piece.extend_from_slice(bytes);
                *count += frames;
                *calls += 1;
            } else {
                charge();
                batch.push(alone(caller));
            }
        });
    }

    fn append(&self, append: impl FnOnce(&mut Batch<K>)) {
        let queue = &*self.0;
        append(&mut queue.lock());
        if queue.closed.load(Ordering::Acquire) {
            queue.clear();
        } else {
            queue.wake();
        }
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
        drop(batch);
    }

    /// What there is, unless a sender is just appending to it.
    fn try_take(&self) -> Batch<K> {
        match self.batch.try_lock() {
            Ok(mut batch) => std::mem::take(&mut *batch),
            Err(TryLockError::Poisoned(batch)) => std::mem::take(&mut *batch.into_inner()),
            Err(TryLockError::WouldBlock) => Vec::new(),
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
    taken: std::vec::IntoIter<Command<K>>,
}

impl<K: Sink> Receiver<K> {
    /// The next command, in the order in which they were sent, if there is one. The senders still take the task to be
    /// awake: it must call `poll_recv` before it rests.
    pub(crate) fn try_recv(&mut self) -> Option<Command<K>> {
        if let Some(command) = self.taken.next() {
            return Some(command);
        }
        // An idle connection holds no batch, not an empty one either.
        self.taken = self.queue.try_take().into_iter();
        self.taken.next()
    }

    /// The same, waiting for it; `None` when there is none and no sender is left. It counts against tokio's budget: a
    /// task that only takes commands would else keep its thread from all others.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Command<K>>> {
        let budget = ready!(poll_proceed(cx));
        let command = self.poll_next(cx);
        if let Poll::Ready(command) = &command {
            budget.made_progress();
            if let Some(Command::Send(outgoing)) = command {
                for _ in 0..outgoing.calls / CALLS_LIKE_A_COMMAND {
                    let Poll::Ready(budget) = poll_proceed(cx) else { break };
                    budget.made_progress();
                }
            }
        }
        command
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Command<K>>> {
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

    /// The callers, calls and frames of what waits, and its bytes.
    fn waiting(receiver: &mut Receiver<Recorder>) -> Vec<(u32, u32, u32, Vec<u8>)> {
        let mut commands = Vec::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(command)) = receiver.poll_recv(&mut cx) {
            let Command::Send(outgoing) = command else { panic!("no frames") };
            let Outgoing { reply: Reply::Caller(caller), items, calls } = *outgoing else { panic!("a receipt") };
            let [Item::Encoded(frames, bytes)] = &items[..] else { panic!("not one piece") };
            commands.push((caller, calls, *frames, bytes.clone()));
        }
        commands
    }

    #[test]
    fn frames_of_one_caller_that_wait_are_one_piece_up_to_its_size() {
        let (sender, mut receiver) = queue::<Recorder>();
        sender.send_frames(1, 1, b"a", || ());
        sender.send_frames(1, 2, b"bc", || ());
        sender.send_frames(2, 1, b"d", || ());
        sender.send_frames(1, 1, b"e", || ());
        sender.send_frames(1, 1, &[b'f'; PIECE], || ());
        let mut expected = vec![(1, 2, 3, b"abc".to_vec()), (2, 1, 1, b"d".to_vec()), (1, 1, 1, b"e".to_vec())];
        expected.push((1, 1, 1, vec![b'f'; PIECE]));
        assert_eq!(waiting(&mut receiver), expected);
        sender.send_frames(1, 1, b"g", || ());
        assert_eq!(waiting(&mut receiver), [(1, 1, 1, b"g".to_vec())], "what was taken is not appended to");
    }

    #[test]
    fn many_senders_at_once_lose_nothing_and_keep_their_own_order() {
        const SENDERS: u32 = 4;
        const EACH: u32 = 20_000;
        let (sender, mut receiver) = queue::<Recorder>();
        let sender = Arc::new(sender);
        let threads: Vec<_> = (0..SENDERS)
            .map(|caller| {
                let sender = Arc::clone(&sender);
                thread::spawn(move || {
                    for n in 0..EACH {
                        // Now and then something that is not put together with the rest.
                        if n % 100 == 0 {
                            sender.send(Command::UpdateFlow(Some(Box::new(caller)), i64::from(n)));
                        } else {
                            sender.send_frames(caller, 1, &n.to_ne_bytes(), || ());
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let received = Builder::new_current_thread().build().unwrap().block_on(async move {
            let mut received: HashMap<u32, Vec<u32>> = HashMap::new();
            // It ends when the last sender is gone.
            while let Some(command) = poll_fn(|cx| receiver.poll_recv(cx)).await {
                match command {
                    Command::Send(outgoing) => {
                        let Outgoing { reply: Reply::Caller(caller), items, .. } = *outgoing else { panic!() };
                        let [Item::Encoded(_, bytes)] = &items[..] else { panic!("not one piece") };
                        let numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_ne_bytes(*bytes));
                        received.entry(caller).or_default().extend(numbers);
                    }
                    Command::UpdateFlow(Some(caller), n) => {
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
    }

    #[test]
    fn what_comes_after_the_task_has_ended_is_dropped_as_is_what_it_had_not_taken() {
        let (sender, receiver) = queue::<Recorder>();
        sender.send_frames(1, 1, b"a", || ());
        let queue = Arc::clone(&receiver.queue);
        drop(receiver);
        assert!(queue.lock().is_empty());
        sender.send_frames(1, 1, b"b", || ());
        assert!(queue.lock().is_empty());
    }
}
