//! What the user sends on a session.

use std::sync::Arc;

use super::super::outbound::Written;
use super::{Phase, Session};
use crate::account::Charge;
use crate::command::{COMMAND, Frames, ITEM, Item, Outgoing, Reply};
use crate::error::BadState;
use crate::event::step::Step;
use crate::options::Steps;
use crate::protocol::Context;
use crate::sink::Sink;

impl<K: Sink> Session<K> {
    /// Sends frames, which count for `charge` until they are written; whether it does. After a close frame, from whatever
    /// side, they are refused.
    pub fn send(&mut self, outgoing: Outgoing<K>, charge: Charge, context: &mut Context<'_, K>) -> bool {
        if !self.may_send() {
            drop(charge);
            if self.alone {
                outgoing.refuse(context.sink, BadState::Closing);
            } else {
                outgoing.refuse_on_stream(context.sink, BadState::Closing);
            }
            return false;
        }
        self.outbound.charge(charge);
        let frames = self.watched(&outgoing.items);
        self.report_frames(&outgoing.reply, &frames, false, context);
        let mut items = outgoing.items.into_iter();
        for item in items.by_ref() {
            let (cost, closes) = (item.cost(), matches!(item, Item::Close(_)));
            self.outbound.push(item, cost);
            if closes {
                self.close_by_user(context);
                break;
            }
        }
        // Nothing follows a close frame.
        self.outbound.release(items.map(|item| item.cost()).sum());
        match outgoing.reply {
            Reply::Caller(_) if frames.is_empty() => self.outbound.release(COMMAND),
            reply => self.outbound.push_receipt(Written { reply, frames }),
        }
        true
    }

    /// Sends frames that have waited for the session, and were counted elsewhere.
    pub(crate) fn send_held(&mut self, outgoing: Outgoing<K>, mut charge: Charge, context: &mut Context<'_, K>) {
        context.status.with_account(self.account(), |account| charge.move_to(account));
        self.send(outgoing, charge, context);
    }

    /// The session is over.
    pub(super) fn observe_end(&mut self, context: &mut Context<'_, K>) {
        if context.observed.contains(Steps::WS_END) {
            self.publish(context.status);
            let (stats, close_code) = (self.stats(context.status), self.close_code);
            context.sink.step(Step::WebsocketEnd { stream: &self.stream, close_code, stats });
        }
    }

    /// Whether the user may send frames.
    pub(super) fn may_send(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Settling(_))
    }

    /// Sends frames that other sessions send too.
    pub(crate) fn broadcast(&mut self, frames: Arc<Frames>, charge: Charge) {
        if self.may_send() {
            let cost = ITEM + frames.bytes.len();
            self.outbound.charge(charge);
            self.outbound.push(Item::Shared(frames), cost);
            self.outbound.release(COMMAND);
        }
    }
}
