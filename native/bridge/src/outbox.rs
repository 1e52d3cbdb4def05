//! Sends messages from an I/O thread, frames several at once.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gun_rs_engine::Message;
use gun_rs_terms::{Dialect, Messages, Reports, Served};
use rustler::{Encoder, Env, LocalPid, OwnedEnv, Term};

use crate::payload::BinaryPayload;
use crate::receiver::Receiver;
use crate::route::Destination;
use crate::stream::StreamId;
use crate::vm::Vm;

/// How many frames of a WebSocket are sent to its user at once: if each were sent as soon as it is built, the user's
/// process would go to sleep after each, and would have to be woken for the next.
const MAX_HELD: usize = 32;

thread_local! {
    static OUTBOX: RefCell<Outbox> = RefCell::new(Outbox::new());
}

/// The connection that messages come from.
pub(crate) struct Origin {
    /// The process behind ConnPid.
    pub(crate) process: LocalPid,
    /// Which gun's messages it sends.
    pub(crate) dialect: Dialect,
    silent: AtomicBool,
}

impl Origin {
    /// The connection of this process.
    pub(crate) fn new(process: LocalPid, dialect: Dialect) -> Self {
        Self { process, dialect, silent: AtomicBool::new(false) }
    }

    /// From now on no message of the connection is sent. The task may still run for a moment when its process is gone.
    pub(crate) fn silence(&self) {
        self.silent.store(true, Ordering::Release);
    }

    /// What messages to users are built with.
    pub(crate) fn messages<'a>(&self, env: Env<'a>) -> Messages<Vm<'a>> {
        Messages::new(Vm(env), self.dialect, self.process.encode(env))
    }

    /// A frame as its destination takes it.
    fn frame<'a, R: Borrow<Receiver>>(
        &self,
        env: Env<'a>,
        to: &Destination<R>,
        stream_ref: Term<'a>,
        message: Message<'_, BinaryPayload>,
    ) -> Term<'a> {
        match to {
            Destination::Direct(_) => self.messages(env).frame(stream_ref, message),
            Destination::Forwarded(receiver) => {
                let message = self.messages(env).frame(stream_ref, message);
                Reports::new(Vm(env)).deliver(receiver.borrow().get(env), message)
            }
            Destination::Module => Reports::new(Vm(env)).frame(stream_ref, message),
        }
    }

    /// The process that a message is sent to.
    fn process_of<'d, R>(&'d self, to: &'d Destination<R>) -> &'d LocalPid {
        match to {
            Destination::Direct(pid) => pid,
            Destination::Forwarded(_) | Destination::Module => &self.process,
        }
    }

    /// Sends a message, unless the connection is silent. A receiver that has died misses nothing.
    fn send(&self, to: &LocalPid, message: Term<'_>) {
        if !self.silent.load(Ordering::Acquire) {
            // As a copy: the environment itself would take its own room, some 2 KB, along to the mailbox.
            let _ = message.get_env().send(to, message);
        }
    }
}

/// What messages are built in, and frames that wait for others to follow them. When it is not in use, it holds nothing.
struct Outbox {
    env: OwnedEnv,
    /// They become terms only when they are sent: a term that is kept costs atomic operations, which take a tenth of the
    /// time that a frame of 1 KiB takes.
    frames: Vec<Message<'static, BinaryPayload>>,
    /// The WebSocket that all of them are of.
    websocket: Option<Websocket>,
}

/// A WebSocket whose frames are held back.
enum Websocket {
    /// Of a client's connection.
    Client { origin: Arc<Origin>, stream: StreamId, to: Destination<Receiver> },
    /// Of a connection that a listener has accepted, with this process.
    Served(LocalPid),
}

impl Outbox {
    fn new() -> Self {
        Self { env: OwnedEnv::new(), frames: Vec::new(), websocket: None }
    }

    fn holds_for(&self, origin: &Arc<Origin>, stream: &StreamId) -> bool {
        match &self.websocket {
            Some(Websocket::Client { origin: held, stream: name, .. }) => Arc::ptr_eq(held, origin) && name == stream,
            Some(Websocket::Served(_)) | None => false,
        }
    }

    fn holds_for_process(&self, pid: &LocalPid) -> bool {
        matches!(&self.websocket, Some(Websocket::Served(held)) if held == pid)
    }

    fn push(&mut self, frame: Message<'static, BinaryPayload>) {
        self.frames.push(frame);
        if self.frames.len() >= MAX_HELD {
            self.flush();
        }
    }

    /// Sends the frames that wait.
    fn flush(&mut self) {
        let Some(websocket) = self.websocket.take() else { return };
        // All are built before the first is sent, which wakes the receiver.
        self.env.run(|env| match websocket {
            Websocket::Client { origin, stream, to } => {
                let stream_ref = stream.get(env);
                let build = |frame| origin.frame(env, &to, stream_ref, frame);
                let messages: Vec<_> = self.frames.drain(..).map(build).collect();
                for message in messages {
                    origin.send(origin.process_of(&to), message);
                }
            }
            Websocket::Served(pid) => {
                let build = |frame| Served::new(Vm(env)).frame(frame);
                let messages: Vec<_> = self.frames.drain(..).map(build).collect();
                for message in messages {
                    let _ = env.send(&pid, message);
                }
            }
        });
        self.env.clear();
    }
}

/// Sends a message to a process, behind the frames that wait.
pub(crate) fn send(origin: &Origin, to: &LocalPid, build: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
    OUTBOX.with_borrow_mut(|outbox| {
        outbox.flush();
        outbox.env.run(|env| origin.send(to, build(env)));
        outbox.env.clear();
    });
}

/// Sends a message to a user, behind the frames that wait.
pub(crate) fn deliver(
    origin: &Origin,
    to: Destination<&Receiver>,
    build: impl for<'a> FnOnce(&Messages<Vm<'a>>, Env<'a>) -> Term<'a>,
) {
    send(origin, origin.process_of(&to), |env| {
        let message = build(&origin.messages(env), env);
        match to {
            Destination::Forwarded(receiver) => Reports::new(Vm(env)).deliver(receiver.get(env), message),
            Destination::Direct(_) | Destination::Module => message,
        }
    });
}

/// Sends a frame at once, behind the frames that wait.
pub(crate) fn send_frame(
    origin: &Origin,
    stream: &StreamId,
    to: Destination<&Receiver>,
    frame: Message<'_, BinaryPayload>,
) {
    send(origin, origin.process_of(&to), |env| origin.frame(env, &to, stream.get(env), frame));
}

/// Holds a frame back until others have followed it. Those that wait are sent first if they are of another WebSocket.
pub(crate) fn hold(
    origin: &Arc<Origin>,
    stream: &StreamId,
    to: Destination<&Receiver>,
    frame: Message<'static, BinaryPayload>,
) {
    OUTBOX.with_borrow_mut(|outbox| {
        if !outbox.holds_for(origin, stream) {
            outbox.flush();
            let (origin, stream, to) = (Arc::clone(origin), stream.clone(), to.cloned());
            outbox.websocket = Some(Websocket::Client { origin, stream, to });
        }
        outbox.push(frame);
    });
}

/// Sends a message to a process of a listener's, behind the frames that wait. One that has died misses nothing.
pub(crate) fn send_served(to: &LocalPid, build: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
    OUTBOX.with_borrow_mut(|outbox| {
        outbox.flush();
        outbox.env.run(|env| {
            let _ = env.send(to, build(env));
        });
        outbox.env.clear();
    });
}

/// Holds a frame back for the process of a connection, as [`hold`] does.
pub(crate) fn hold_served(to: &LocalPid, frame: Message<'static, BinaryPayload>) {
    OUTBOX.with_borrow_mut(|outbox| {
        if !outbox.holds_for_process(to) {
            outbox.flush();
            outbox.websocket = Some(Websocket::Served(*to));
        }
        outbox.push(frame);
    });
}

/// Sends the frames that wait.
pub(crate) fn flush() {
    OUTBOX.with_borrow_mut(Outbox::flush);
}
