//! Where the events of a connection go that a listener has accepted: to the process that owns it, or until there is one,
//! to the listener. Everything here runs on an I/O thread.

use std::convert::Infallible;
use std::sync::Arc;

use gun_rs_engine::event::StreamError;
use gun_rs_engine::server::Peer;
use gun_rs_engine::{Event, Handle, Message, ServedRequest, Sink};
use gun_rs_terms::Served as Events;
use rustler::{Encoder, Env, ResourceArc, Term};

use super::listener::Acceptor;
use super::owner::Owner;
use super::{Served, ServedConn};
use crate::outbox;
use crate::payload::{BinaryPayload, HeldBinary, owned};
use crate::vm::{OwnedTerm, Vm};

/// The sink of a connection.
pub(crate) struct ServedSink {
    served: Arc<Served>,
    /// Until the first request, with which the listener learns of the connection.
    peer: Option<Box<Peer>>,
    /// The name of the next request.
    next: u64,
}

impl ServedSink {
    /// For a connection that this listener has accepted, and whose task is on this I/O thread.
    pub(crate) fn new(handle: Handle<Self>, acceptor: &Acceptor, peer: Peer) -> Self {
        let Acceptor { listener, first, thread } = *acceptor;
        let served = Arc::new(Served { handle, listener, first, owner: Owner::default(), thread: thread() });
        Self { served, peer: Some(Box::new(peer)), next: 0 }
    }

    fn tell(&self, build: impl for<'a> FnOnce(Events<Vm<'a>>, Env<'a>) -> Term<'a>) {
        let owner = &self.served.owner;
        if let Some(pid) = owner.get() {
            return outbox::send_served(pid, |env| build(Events::new(Vm(env)), env));
        }
        // There is nothing to know of a connection that nobody knows of.
        if self.peer.is_none()
            && let Some((pid, message)) = owner.keep(OwnedTerm::build(|env| build(Events::new(Vm(env)), env)))
        {
            outbox::send_served(pid, |env| message.get(env));
        }
    }

    fn frame(&self, message: Message<'_, BinaryPayload>) {
        match (owned(message), self.served.owner.get()) {
            (Ok(frame), Some(pid)) => outbox::hold_served(pid, frame),
            (Ok(frame), None) => self.tell(|events, _| events.frame(frame)),
            (Err(control), _) => self.tell(|events, _| events.frame(control)),
        }
    }

    /// The connection is over, by this.
    fn end(&self, build: impl for<'a> FnOnce(Events<Vm<'a>>, Env<'a>) -> Term<'a>) {
        super::over(&self.served);
        self.tell(build);
    }
}

impl Sink for ServedSink {
    type Stream = u64;
    type StreamId = u64;
    type Caller = ();
    type Receipt = ();
    type Control = Infallible;
    type Payload = BinaryPayload;
    type Source = HeldBinary;

    fn control(&mut self, control: Infallible) {
        match control {}
    }

    fn flush(&mut self) {
        outbox::flush();
    }

    fn request(&mut self, request: ServedRequest<'_>) -> Option<u64> {
        let id = self.next;
        self.next += 1;
        match self.peer.take() {
            Some(peer) => {
                let connection = ResourceArc::new(ServedConn(Arc::clone(&self.served)));
                outbox::send_served(&self.served.listener, |env| {
                    Events::new(Vm(env)).accepted(connection.encode(env), &peer, id, &request)
                });
            }
            None => self.tell(|events, _| events.request(id, &request)),
        }
        Some(id)
    }

    fn event(&mut self, event: Event<'_, Self>) {
        match event {
            Event::Message { message, .. } => self.frame(message),
            Event::Data { stream, fin, data } => self.tell(|events, _| events.data(*stream, fin, &data)),
            Event::Upgraded { .. } => self.tell(|events, _| events.upgraded()),
            Event::FlowCheck { stream, .. } => self.tell(|events, _| events.flow_check(*stream)),
            Event::Settle { stream } => self.tell(|events, _| events.settle(*stream)),
            Event::StreamError { error: StreamError::Protocol(error), .. } => {
                self.tell(|events, _| events.ws_error(error));
            }
            Event::StreamError { stream, error } => self.tell(|events, _| events.stream_error(*stream, &error)),
            Event::Down { reason, .. } => self.end(|events, _| events.down(reason)),
            Event::ShutDown => self.end(|events, _| events.shut_down()),
            Event::Panicked { text, .. } => self.end(|events, _| events.panicked(&text)),
            // What a process sends too late has no stream any more: that it is over is told by itself. The rest is of clients.
            Event::NoStream { .. }
            | Event::Refused { .. }
            | Event::BadState { .. }
            | Event::Sent(())
            | Event::NotSent { .. }
            | Event::Up { .. }
            | Event::ConnectFailed(_)
            | Event::Inform { .. }
            | Event::Response { .. }
            | Event::Trailers { .. }
            | Event::StreamInfo { .. }
            | Event::ConnectionError(_)
            | Event::ConnectionFault { .. }
            | Event::PingEnds { .. }
            | Event::PingAck { .. }
            | Event::Settings(_)
            | Event::GoAway { .. }
            | Event::Switched { .. }
            | Event::TunnelUp { .. }
            | Event::TunnelOver { .. }
            | Event::RelayCheck => {}
        }
    }
}
