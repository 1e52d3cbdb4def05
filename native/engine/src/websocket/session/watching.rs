//! What is observed of single frames.

use super::Session;
use crate::command::{Item, Reply};
use crate::event::Event;
use crate::event::step::{FrameSender, Step, Takeover};
use crate::options::Steps;
use crate::payload::Source;
use crate::protocol::Context;
use crate::sink::Sink;
use crate::websocket::deflate::Agreed;
use crate::websocket::frame::{Header, Opcode, mask};
use crate::websocket::role::Role;
use crate::websocket::watched::Seen;

const RECEIVED: Steps = Steps::WS_RECV_FRAME_START.with(Steps::WS_RECV_FRAME_HEADER).with(Steps::WS_RECV_FRAME_END);
const SENT: Steps = Steps::WS_SEND_FRAME_START.with(Steps::WS_SEND_FRAME_END);

/// What the steps of all frames have in common, where they are observed.
pub(super) struct Watch {
    role: Role,
    takeover: Option<Takeover>,
}

/// Frames, by what they carry.
pub(crate) type Frames = Vec<(Opcode, Vec<u8>)>;

impl<K: Sink> Session<K> {
    /// The same, with its frames observed if that is wanted.
    pub(super) fn watching(mut self, role: Role, deflate: Option<&Agreed>, observed: Steps) -> Self {
        if observed.intersects(RECEIVED.with(SENT)) {
            let takeover = deflate.map(|agreed| {
                let (client, server) = (!agreed.client_no_context_takeover, !agreed.server_no_context_takeover);
                let (deflate, inflate) = if role == Role::Client { (client, server) } else { (server, client) };
                Takeover { deflate, inflate }
            });
            self.watch = Some(Watch { role, takeover });
            self.reader.watch();
            self.outbound.watch();
        }
        self
    }

    /// Reports the frames that have been received since it was last called.
    pub(super) fn report_seen(&mut self, context: &mut Context<'_, K>) {
        let Some(Watch { takeover, .. }) = self.watch else { return };
        let stream = &self.stream;
        for seen in self.reader.take_seen() {
            match seen {
                Seen::Header(header, before, now) => {
                    let kinds = Steps::WS_RECV_FRAME_START.with(Steps::WS_RECV_FRAME_HEADER);
                    context.observe(kinds, || Step::FrameHeader { stream, takeover, before, now, header });
                }
                Seen::End(close_code, payload) => {
                    let payload = payload.as_slice();
                    let end = || Step::FrameEnd { stream, takeover, close_code, payload };
                    context.observe(Steps::WS_RECV_FRAME_END, end);
                    // Where frames wait for a relay, what is observed of them does too.
                    if context.sink.relays(stream) {
                        context.relay.spend(payload.len());
                        if context.relay.ask().is_some() {
                            context.sink.event(Event::RelayCheck);
                        }
                    }
                }
            }
        }
    }

    /// The frames that are about to be sent, if they are observed, in the order in which they are.
    pub(super) fn watched(&self, items: &[Item<K::Source>]) -> Frames {
        let mut frames = Frames::new();
        let Some(Watch { role, .. }) = self.watch else { return frames };
        for item in items {
            match item {
                Item::Encoded(_, bytes) | Item::Close(bytes) => decode(role, bytes, &mut frames),
                Item::Shared(shared) => decode(role, &shared.bytes, &mut frames),
                Item::Small(opcode, bytes) => frames.push((*opcode, bytes.clone())),
                Item::Large(opcode, source) => frames.push((*opcode, source.with_bytes(<[u8]>::to_vec))),
            }
            if matches!(item, Item::Close(_)) {
                break;
            }
        }
        frames
    }

    /// Reports frames of the user's.
    pub(super) fn report_frames(&self, reply: &Reply<K>, frames: &Frames, done: bool, context: &mut Context<'_, K>) {
        for (opcode, payload) in frames {
            let sender = match reply {
                Reply::Caller(caller) => FrameSender::Caller(caller),
                Reply::Receipt(receipt) => FrameSender::Receipt(receipt),
            };
            self.report_frame(sender, *opcode, payload, done, context);
        }
    }

    /// Reports the frames of the session's own that are about to be staged: nothing holds them up then.
    pub(super) fn report_own(&mut self, context: &mut Context<'_, K>) {
        if self.watch.is_none() {
            return;
        }
        for (opcode, payload) in self.outbound.take_own() {
            for done in [false, true] {
                self.report_frame(FrameSender::Session, opcode, &payload, done, context);
            }
        }
    }

    fn report_frame(
        &self,
        sender: FrameSender<'_, K>,
        opcode: Opcode,
        payload: &[u8],
        done: bool,
        context: &mut Context<'_, K>,
    ) {
        let Some(Watch { takeover, .. }) = self.watch else { return };
        let kind = if done { Steps::WS_SEND_FRAME_END } else { Steps::WS_SEND_FRAME_START };
        let stream = &self.stream;
        context.observe(kind, || Step::FrameSent { stream, takeover, sender, opcode, payload, done });
    }
}

/// Whole frames of this end, as they were encoded.
fn decode(role: Role, mut bytes: &[u8], frames: &mut Frames) {
    while let Ok(Some((header, size))) = Header::parse(role.peer(), bytes) {
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        let Some(payload) = bytes.get(size..).and_then(|rest| rest.get(..len)) else { return };
        let mut payload = payload.to_vec();
        if let Some(key) = header.key {
            mask(&mut payload, key, 0);
        }
        frames.push((header.opcode, payload));
        bytes = bytes.get(size + len..).unwrap_or_default();
    }
}
