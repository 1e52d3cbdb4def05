//! A frame for many connections that listeners have accepted.

use std::collections::HashMap;
use std::sync::Arc;

use gun_rs_engine::command::Item;
use gun_rs_engine::websocket::deflate::Alone;
use gun_rs_engine::websocket::role::Role;
use gun_rs_engine::{Frames, QueueFull};
use rustler::{Encoder, Env, LocalPid, Term};

use super::served::outgoing;
use crate::frames::{Encoded, Scheduler, encode_frames};
use crate::runtime;
use crate::served::{self, Served};

/// Sends a frame, encoded once, to the WebSockets of all these processes: how many it was queued for, how many had no
/// room, and how many were no WebSockets.
#[rustler::nif]
fn served_broadcast<'a>(env: Env<'a>, pids: Vec<LocalPid>, frame: Term<'a>) -> Term<'a> {
    let websockets: Vec<_> = pids.iter().filter_map(served::get).filter(|served| served.is_websocket()).collect();
    let gone = pids.len() - websockets.len();
    let (compressing, plain): (Vec<_>, Vec<_>) =
        websockets.into_iter().partition(|served| served.handle.compresses(None));
    let mut asleep = Asleep::default();
    // All hold a small frame together; what is large is an item of its own for each.
    let small = encode_frames(Role::Server, frame, Scheduler::Dirty, false, |encoded| match encoded {
        Encoded::Frames(count, bytes) => {
            let frames = Arc::new(Frames { count, bytes: bytes.to_vec() });
            Some(count_queued(&plain, |served| asleep.broadcast(served, &frames)))
        }
        Encoded::Items(_) => None,
    });
    let queued = match small {
        Ok(Some(queued)) => queued,
        Ok(None) => count_queued(&plain, |served| send_items(served, frame, false)),
        Err(refused) => return super::refused_term(env, refused),
    };
    let queued = queued + broadcast_compressed(&compressing, frame, &mut asleep);
    asleep.wake();
    (queued, pids.len() - gone - queued, gone).encode(env)
}

/// A message that has nothing to do with those before it is compressed once for all who have agreed on the same; for the
/// others each connection does it.
fn broadcast_compressed(compressing: &[Arc<Served>], frame: Term<'_>, asleep: &mut Asleep) -> usize {
    let mut encoded: HashMap<Alone, Option<Arc<Frames>>> = HashMap::new();
    count_queued(compressing, |served| {
        let alone = served.handle.compresses_alone(None);
        let frames = alone.and_then(|alone| encoded.entry(alone).or_insert_with(|| compress(alone, frame)).as_ref());
        match frames {
            Some(frames) => asleep.broadcast(served, frames),
            None => send_items(served, frame, true),
        }
    })
}

/// The frame with its message compressed, if it has one that is small.
fn compress(alone: Alone, frame: Term<'_>) -> Option<Arc<Frames>> {
    let encoded = encode_frames(Role::Server, frame, Scheduler::Dirty, true, |encoded| encoded.into_items());
    match encoded.ok()?.as_slice() {
        [Item::Small(opcode, message)] => {
            let bytes = alone.frame(Role::Server, *opcode, message).ok()?;
            Some(Arc::new(Frames { count: 1, bytes }))
        }
        _ => None,
    }
}

fn count_queued(all: &[Arc<Served>], mut send: impl FnMut(&Arc<Served>) -> Result<(), QueueFull>) -> usize {
    all.iter().filter(|served| send(served).is_ok()).count()
}

fn send_items(served: &Served, frame: Term<'_>, compresses: bool) -> Result<(), QueueFull> {
    let items = encode_frames(Role::Server, frame, Scheduler::Dirty, compresses, |encoded| encoded.into_items());
    served.handle.try_send(outgoing(items.unwrap_or_default()))
}

/// Connections whose tasks are to be woken, by the I/O threads that they are on. A task that is woken from another thread
/// costs a system call, and one from its own costs next to nothing: so each thread is woken once.
#[derive(Default)]
struct Asleep(HashMap<usize, Vec<Arc<Served>>>);

impl Asleep {
    fn broadcast(&mut self, served: &Arc<Served>, frames: &Arc<Frames>) -> Result<(), QueueFull> {
        if served.handle.try_broadcast(frames)? {
            self.0.entry(served.thread).or_default().push(Arc::clone(served));
        }
        Ok(())
    }

    fn wake(self) {
        for (thread, sleepers) in self.0 {
            runtime::run_on(thread, move || sleepers.iter().for_each(|served| served.handle.wake()));
        }
    }
}
