//! What the user changes of a session that is under way.

use super::Session;
use crate::command::Tune;
use crate::protocol::Context;
use crate::sink::Sink;

impl<K: Sink> Session<K> {
    /// Behaves in this way from now on. What is received already may be reported in any case.
    pub fn tune(&mut self, tune: &Tune<K>) {
        let Tune { active, deflate, idle_timeout, max_frame_size, max_message_size, .. } = tune;
        if let Some(active) = active {
            self.settings.active = *active;
        }
        if let Some(deflate) = deflate {
            self.outbound.set_deflates(*deflate);
        }
        if let Some(idle_timeout) = idle_timeout {
            self.settings.idle_timeout = *idle_timeout;
            if self.is_open() {
                self.timers.idle = (*idle_timeout).into();
            }
        }
        self.reader.limit(*max_frame_size, *max_message_size);
    }

    /// Sends a close frame with this code, as the user's own, unless one is sent already.
    pub fn close_with(&mut self, code: u16, context: &Context<'_, K>) {
        if self.may_send() {
            self.outbound.push_close(code);
            self.close_by_user(context);
        }
    }
}
