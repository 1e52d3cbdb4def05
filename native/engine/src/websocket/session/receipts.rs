//! Who waits for frames to be sent learns when they are, or why they never will be.

use super::super::outbound::Written;
use super::Session;
use crate::command::Reply;
use crate::error::DownReason;
use crate::event::{Event, NotSent};
use crate::protocol::Context;
use crate::sink::Sink;

impl<K: Sink> Session<K> {
    /// What has been written waits in a buffer on its way: receipts wait until it has left that.
    pub(crate) fn is_buffered(&mut self) {
        self.buffered = true;
    }

    /// What has been written has left the buffer.
    pub(crate) fn has_left(&mut self, context: &mut Context<'_, K>) {
        self.buffered = false;
        self.report_sent(context);
    }

    /// Whether a receipt waits for that, and holds up what follows it.
    pub(crate) fn awaits_leave(&self) -> bool {
        self.buffered && self.outbound.is_at_receipt()
    }

    /// Reports the receipts of what has been written.
    pub(super) fn report_sent(&mut self, context: &mut Context<'_, K>) {
        if self.buffered {
            return;
        }
        let sent: Vec<_> = std::iter::from_fn(|| self.outbound.next_sent()).collect();
        for Written { reply, frames } in &sent {
            self.report_frames(reply, frames, true, context);
        }
        if !sent.is_empty() {
            // The receiver of a receipt may send again, and must find the room.
            self.publish(context.status);
        }
        for written in &sent {
            if let Reply::Receipt(receipt) = &written.reply {
                context.sink.event(Event::Sent(receipt));
            }
        }
    }

    /// What has not been written never will be: reports the receipts that wait for it. Some may wait for nothing but what
    /// has been written just before.
    pub(super) fn report_unsent(&mut self, error: NotSent<'_>, context: &mut Context<'_, K>) {
        self.report_sent(context);
        let receipts = self.outbound.clear();
        self.publish(context.status);
        for receipt in &receipts {
            context.sink.event(Event::NotSent { receipt, error });
        }
    }

    /// The peer takes nothing any more: what waits to be sent never will be. What the peer has sent is still received.
    pub fn drop_unsent(&mut self, context: &mut Context<'_, K>) {
        self.report_unsent(NotSent::Down(&DownReason::Closed), context);
    }
}
