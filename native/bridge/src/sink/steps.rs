//! The steps that are observed: the engine's own, and those that an event shows by itself. The process behind ConnPid
//! receives them in order with what it delivers.

use gun_rs_engine::event::StreamError;
use gun_rs_engine::event::step::{FrameSender, RequestHead, Step};
use gun_rs_engine::options::Steps;
use gun_rs_engine::websocket::frame::Header;
use gun_rs_engine::{Event, Promise, ProtocolName};
use gun_rs_terms::reports::{End, Stepping};
use gun_rs_terms::{Name, reasons};
use http::{HeaderMap, StatusCode};
use rustler::{Env, Term};

use super::{BeamSink, http2_fault};
use crate::stream::{Stream, StreamId};
use crate::vm::Vm;

impl BeamSink {
    /// Takes a step of the engine's.
    pub(super) fn take_step(&self, step: Step<'_, Self>) {
        match step {
            Step::Dial(step) => self.report(|reports, _| reports.dial_step(&step)),
            Step::Upgrade { stream } => self.stream_step(Steps::WS_UPGRADE, Name::WsUpgrade, stream),
            Step::Request { stream, head } => self.request_steps(stream, head),
            Step::RequestEnd { stream } => self.stream_step(Steps::REQUEST_END, Name::RequestEnd, stream),
            Step::SilentResponse { stream } => self.response_start(stream),
            Step::SilentResponseEnd { stream } => self.response_end(stream),
            Step::Cancel { stream, caller } => {
                self.report(|reports, env| {
                    let stream = Stepping { stream: stream.id.get(env), reply_to: caller.get(env) };
                    reports.cancel_step(stream, End::Local, "cancel")
                });
            }
            Step::WebsocketEnd { stream, close_code, stats } => {
                self.report(|reports, env| reports.websocket_end_step(names(stream, env), close_code, stats));
            }
            Step::PromiseRefused { parent, promise } => {
                self.promise_start(parent);
                self.promise_end(parent, None, &promise);
            }
            Step::FrameHeader { stream, takeover, before, now, header } => {
                if self.observed.contains(Steps::WS_RECV_FRAME_START) {
                    self.report(|reports, env| reports.frame_start_step(names(stream, env), takeover, before));
                }
                if self.observed.contains(Steps::WS_RECV_FRAME_HEADER) {
                    let header: &Header = &header;
                    self.report(|reports, env| reports.frame_header_step(names(stream, env), takeover, now, header));
                }
            }
            Step::FrameEnd { stream, takeover, close_code, payload } => {
                self.report(|reports, env| reports.frame_end_step(names(stream, env), takeover, close_code, payload));
            }
            Step::FrameSent { stream, takeover, sender, opcode, payload, done } => {
                let name = if done { Name::WsSendFrameEnd } else { Name::WsSendFrameStart };
                self.report(|reports, env| {
                    let reply_to = match sender {
                        FrameSender::Caller(caller) => caller.get(env),
                        FrameSender::Receipt(receipt) => receipt.get(env),
                        FrameSender::Session => stream.reply_to.get(env),
                    };
                    let stream = Stepping { stream: stream.id.get(env), reply_to };
                    reports.frame_sent_step(name, stream, takeover, opcode, payload)
                });
            }
        }
    }

    /// Takes an event, with the steps that it shows.
    pub(super) fn take_observed(&mut self, event: Event<'_, Self>) {
        match event {
            Event::Inform { stream, status, headers } => {
                self.response_start(stream);
                self.response_step(Steps::RESPONSE_INFORM, Name::ResponseInform, stream, status, headers);
                self.take(event);
            }
            Event::Response { stream, fin, status, headers } => {
                self.response_start(stream);
                self.take(event);
                self.response_step(Steps::RESPONSE_HEADERS, Name::ResponseHeaders, stream, status, headers);
                if fin {
                    self.response_end(stream);
                }
            }
            Event::Data { stream, fin: true, .. } => {
                self.take(event);
                self.response_end(stream);
            }
            Event::Trailers { stream, trailers } => {
                self.take(event);
                if self.observed.contains(Steps::RESPONSE_TRAILERS) {
                    self.report(|reports, env| reports.trailers_step(names(stream, env), trailers));
                }
                self.response_end(stream);
            }
            Event::Upgraded { stream, status, headers, .. } => self.upgraded_steps(stream, status, headers, event),
            // It has no other end: what follows is no response.
            Event::Switched { stream, headers } => {
                self.response_start(stream);
                let (step, name) = (Steps::RESPONSE_INFORM, Name::ResponseInform);
                self.response_step(step, name, stream, StatusCode::SWITCHING_PROTOCOLS, headers);
                self.take(event);
                self.protocol_changed(ProtocolName::Raw, stream);
            }
            Event::StreamError { stream, error } => {
                self.take(event);
                self.error_steps(stream, &error);
            }
            event => self.take(event),
        }
    }

    /// A response that the peer promises: whether it is refused is not known yet.
    pub(super) fn promise_start(&self, parent: &Stream) {
        self.stream_step(Steps::PUSH_PROMISE_START, Name::PushPromiseStart, parent);
    }

    pub(super) fn promise_end(&self, parent: &Stream, promised: Option<&StreamId>, promise: &Promise<'_>) {
        if self.observed.contains(Steps::PUSH_PROMISE_END) {
            self.report(|reports, env| {
                reports.promise_step(names(parent, env), promised.map(|promised| promised.get(env)), promise)
            });
        }
    }

    /// Over HTTP/2 the answer to an upgrade is a response; over HTTP/1.1 an informational one.
    fn upgraded_steps(&mut self, stream: &Stream, status: StatusCode, headers: &HeaderMap, event: Event<'_, Self>) {
        self.response_start(stream);
        if status != StatusCode::SWITCHING_PROTOCOLS {
            self.response_step(Steps::RESPONSE_HEADERS, Name::ResponseHeaders, stream, status, headers);
            self.response_end(stream);
        } else {
            self.response_step(Steps::RESPONSE_INFORM, Name::ResponseInform, stream, status, headers);
        }
        self.take(event);
        self.protocol_changed(ProtocolName::Ws, stream);
    }

    fn protocol_changed(&self, protocol: ProtocolName, stream: &Stream) {
        if self.observed.contains(Steps::PROTOCOL_CHANGED) {
            self.report(|reports, env| reports.protocol_step(protocol, Some(stream.id.get(env))));
        }
    }

    fn request_steps(&self, stream: &Stream, head: RequestHead<'_>) {
        let steps = [(Steps::REQUEST_START, Name::RequestStart), (Steps::REQUEST_HEADERS, Name::RequestHeaders)];
        for (step, name) in steps {
            if self.observed.contains(step) {
                self.report(|reports, env| reports.request_step(name, names(stream, env), head));
            }
        }
    }

    fn response_start(&self, stream: &Stream) {
        self.stream_step(Steps::RESPONSE_START, Name::ResponseStart, stream);
    }

    fn response_end(&self, stream: &Stream) {
        self.stream_step(Steps::RESPONSE_END, Name::ResponseEnd, stream);
    }

    fn stream_step(&self, step: Steps, name: Name, stream: &Stream) {
        if self.observed.contains(step) {
            self.report(|reports, env| reports.stream_step(name, names(stream, env)));
        }
    }

    fn response_step(&self, step: Steps, name: Name, stream: &Stream, status: StatusCode, headers: &HeaderMap) {
        if self.observed.contains(step) {
            self.report(|reports, env| reports.response_step(name, names(stream, env), status, headers));
        }
    }

    fn error_steps(&self, stream: &Stream, error: &StreamError<'_>) {
        if self.observed.contains(Steps::STREAM_ERROR) {
            let (cause, ping) = (self.shutdown_cause, self.pinged_by.clone());
            self.report(|reports, env| {
                let ping = ping.map(|ping| ping.get(env));
                let reason = reasons::stream_error(Vm(env), error, cause.to_term(env), ping);
                reports.stream_error_step(names(stream, env), reason)
            });
        }
        if !self.is_http2 || !self.observed.contains(Steps::CANCEL) {
            return;
        }
        let cancelled = match error {
            StreamError::Reset(code) | StreamError::GoAway(code) => Some((End::Remote, code.name())),
            StreamError::Handshake(_) => Some((End::Local, "cancel")),
            error => http2_fault(error).map(|fault| (End::Local, fault.code.name())),
        };
        if let Some((end, code)) = cancelled {
            self.report(|reports, env| reports.cancel_step(names(stream, env), end, code));
        }
    }
}

fn names<'a>(stream: &Stream, env: Env<'a>) -> Stepping<Term<'a>> {
    Stepping { stream: stream.id.get(env), reply_to: stream.reply_to.get(env) }
}
