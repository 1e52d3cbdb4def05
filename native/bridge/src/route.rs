//! Who gets a message, and by which way.
//!
//! A NIF can send to processes of this node alone. What is for another node, or for a fun, goes to the process behind
//! ConnPid, which delivers it.

use rustler::LocalPid;

use crate::receiver::Receiver;
use crate::stream::{Stream, StreamId};

/// Where a message goes.
#[derive(Clone)]
pub(crate) enum Destination<R> {
    /// Straight to a process of this node.
    Direct(LocalPid),
    /// To the process behind ConnPid, which delivers it to this receiver.
    Forwarded(R),
    /// To the process behind ConnPid itself, for a module of the user's: for frames alone.
    Module,
}

impl Destination<&Receiver> {
    /// The same, with a receiver of its own.
    pub(crate) fn cloned(self) -> Destination<Receiver> {
        match self {
            Self::Direct(pid) => Destination::Direct(pid),
            Self::Forwarded(receiver) => Destination::Forwarded(receiver.clone()),
            Self::Module => Destination::Module,
        }
    }
}

/// By which way messages reach the processes of this node. Messages that take different ways may overtake each other,
/// so that one that takes the longer way makes all that follow take it too.
///
/// ```text
///            a receiver is elsewhere, or a module takes frames
///   Direct ----------------------------------------------------> Relayed
///          <----------------------------------------------------
///                          the connection is down
///
///   Processed, from the beginning to the end
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Straight from the I/O thread.
    Direct,
    /// Through the process behind ConnPid, which has delivered something on this connection already. That process
    /// connects again only when it has delivered all of it.
    Relayed,
    /// Through the process behind ConnPid, which runs modules of the user's on all messages.
    Processed,
}

/// Decides where the messages of one connection go.
pub(crate) struct Router {
    route: Route,
    /// The WebSockets whose frames a module of the user's takes: few at a time, and on most connections none.
    modules: Vec<StreamId>,
}

impl Router {
    /// For a connection that is not up yet. With `processed`, the process behind ConnPid runs modules on all messages.
    pub(crate) fn new(processed: bool) -> Self {
        let route = if processed { Route::Processed } else { Route::Direct };
        Self { route, modules: Vec::new() }
    }

    /// Whether the process behind ConnPid takes part in all messages.
    pub(crate) fn is_processed(&self) -> bool {
        self.route == Route::Processed
    }

    /// Whether what is sent to a stream's receiver goes through the process behind ConnPid.
    pub(crate) fn relays(&self, receiver: &Receiver) -> bool {
        self.route != Route::Direct || receiver.is_elsewhere()
    }

    /// The destination of a message for the owner, or for a caller.
    pub(crate) fn destination<'r>(&self, receiver: &'r Receiver) -> Destination<&'r Receiver> {
        match receiver {
            Receiver::Local(pid) if self.route == Route::Direct => Destination::Direct(*pid),
            receiver => Destination::Forwarded(receiver),
        }
    }

    /// The destination of a message about a stream. All that follow do not overtake it.
    pub(crate) fn stream_destination<'r>(&mut self, receiver: &'r Receiver) -> Destination<&'r Receiver> {
        if receiver.is_elsewhere() {
            self.relay();
        }
        self.destination(receiver)
    }

    /// The destination of a stream's frames.
    pub(crate) fn frame_destination<'r>(&mut self, stream: &'r Stream) -> Destination<&'r Receiver> {
        let destination = self.stream_destination(&stream.reply_to);
        if self.modules.contains(&stream.id) { Destination::Module } else { destination }
    }

    /// From now on a module of the user's takes the stream's frames.
    pub(crate) fn start_module(&mut self, stream: &Stream) {
        self.relay();
        if !self.modules.contains(&stream.id) {
            self.modules.push(stream.id.clone());
        }
    }

    /// Nothing more comes of this stream: whether a module of the user's took its frames.
    pub(crate) fn end_module(&mut self, stream: &StreamId) -> bool {
        let place = self.modules.iter().position(|module| module == stream);
        place.map(|place| self.modules.swap_remove(place)).is_some()
    }

    /// The connection is down, and so are all its streams.
    pub(crate) fn reset(&mut self) {
        self.modules.clear();
        if self.route == Route::Relayed {
            self.route = Route::Direct;
        }
    }

    fn relay(&mut self) {
        if self.route == Route::Direct {
            self.route = Route::Relayed;
        }
    }
}
