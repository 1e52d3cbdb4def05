//! How much may be received before the receiver must ask for more, or prove that it keeps up.

use crate::options::Flow;

/// How many messages may be under way to a receiver that has not shown that it keeps up.
const WINDOW_MESSAGES: i64 = 4096;

/// The same for a relay: few enough that it soon answers whatever else it is asked.
const RELAY_MESSAGES: i64 = 128;

/// And how many bytes.
const WINDOW_BYTES: i64 = 4 * 1024 * 1024;

/// How much may be reported to a receiver that is asked, now and then, whether it has caught up. Each message spends some of
/// it, and nothing is reported beyond it but the message that spends its last bytes.
#[derive(Debug)]
pub(crate) struct Window {
    size: i64,
    messages: i64,
    bytes: i64,
    /// Whether the receiver has been asked, and has not answered.
    asked: bool,
}

impl Window {
    fn new(size: i64) -> Self {
        Self { size, messages: size, bytes: WINDOW_BYTES, asked: false }
    }

    /// For a relay.
    pub(crate) fn for_relay() -> Self {
        Self::new(RELAY_MESSAGES)
    }

    /// Whether nothing more may be reported.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.messages <= 0 || self.bytes <= 0
    }

    /// A message of `len` bytes is reported.
    pub(crate) fn spend(&mut self, len: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(i64::try_from(len).unwrap_or(i64::MAX));
    }

    /// How many messages, and bytes, have been reported since the last answer, if it is time to ask again: while half of the
    /// window is left, so that a receiver that keeps up never waits.
    pub(crate) fn ask(&mut self) -> Option<(u64, u64)> {
        let half_spent = self.messages <= self.size / 2 || self.bytes <= WINDOW_BYTES / 2;
        if self.asked || !half_spent {
            return None;
        }
        self.asked = true;
        let spent = |window: i64, left: i64| u64::try_from(window.saturating_sub(left)).unwrap_or_default();
        Some((spent(self.size, self.messages), spent(WINDOW_BYTES, self.bytes)))
    }

    /// The receiver keeps up.
    pub(crate) fn grant(&mut self) {
        *self = Self::new(self.size);
    }
}

/// What is left of a stream's flow: of the number that the user has set, and of the receiver's window, where it has one.
/// The number is looked at between reads and turns, so that it may fall below zero.
#[derive(Debug)]
pub(crate) struct Credit {
    /// What it began with.
    flow: Flow,
    number: Option<i64>,
    window: Option<Window>,
}

impl Credit {
    /// A receiver on another node is asked whatever the user has set: what it doesn't take would pile up here.
    pub(crate) fn new(flow: Flow, remote: bool) -> Self {
        let number = if let Flow::Messages(number) = flow { Some(number) } else { None };
        let window = (remote || flow == Flow::Auto).then(|| Window::new(WINDOW_MESSAGES));
        Self { flow, number, window }
    }

    /// What it began with.
    pub(crate) fn flow(&self) -> Flow {
        self.flow
    }

    /// Whether the receiver must ask for more.
    pub(crate) fn is_spent(&self) -> bool {
        self.number.is_some_and(|number| number <= 0)
    }

    /// Whether the receiver must first show that it keeps up.
    pub(crate) fn awaits_grant(&self) -> bool {
        self.window.as_ref().is_some_and(Window::is_exhausted)
    }

    /// Whether nothing more may be reported for now, for whichever reason.
    pub(crate) fn is_held_up(&self) -> bool {
        self.is_spent() || self.awaits_grant()
    }

    /// A message of `len` bytes is reported.
    pub(crate) fn spend(&mut self, len: usize) {
        if let Some(number) = &mut self.number {
            *number = number.saturating_sub(1);
        }
        if let Some(window) = &mut self.window {
            window.spend(len);
        }
    }

    /// The receiver asks for more messages.
    pub(crate) fn update(&mut self, messages: i64) {
        if let Some(number) = &mut self.number {
            *number = number.saturating_add(messages);
        }
    }

    /// See [`Window::ask`].
    pub(crate) fn ask(&mut self) -> Option<(u64, u64)> {
        self.window.as_mut().and_then(Window::ask)
    }

    /// The receiver keeps up.
    pub(crate) fn grant(&mut self) {
        if let Some(window) = &mut self.window {
            window.grant();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_messages_may_fall_below_zero_and_must_be_repaid() {
        let mut credit = Credit::new(Flow::Messages(1), false);
        credit.spend(10);
        credit.spend(10);
        assert!(credit.is_spent());
        credit.update(1);
        assert!(credit.is_spent());
        credit.update(1);
        assert!(!credit.is_spent());
        assert_eq!(credit.ask(), None);
    }

    #[test]
    fn auto_asks_once_when_half_of_the_window_is_spent_and_pauses_at_its_end() {
        let mut credit = Credit::new(Flow::Auto, false);
        let mut asked = Vec::new();
        for _ in 0..WINDOW_MESSAGES {
            assert!(!credit.awaits_grant());
            credit.spend(1);
            asked.extend(credit.ask());
        }
        let half = WINDOW_MESSAGES as u64 / 2;
        assert_eq!(asked, [(half, half)]);
        assert!(credit.awaits_grant());
        credit.grant();
        assert!(!credit.awaits_grant());
        credit.spend(WINDOW_BYTES as usize);
        assert!(credit.awaits_grant() && credit.ask() == Some((1, WINDOW_BYTES as u64)));
    }

    #[test]
    fn unlimited_is_never_exhausted() {
        let mut credit = Credit::new(Flow::Unlimited, false);
        credit.spend(usize::MAX);
        credit.update(-1);
        assert!(!credit.is_spent() && !credit.awaits_grant() && credit.ask().is_none());
    }

    #[test]
    fn a_receiver_on_another_node_is_asked_beside_any_number() {
        for flow in [Flow::Unlimited, Flow::Messages(1)] {
            let mut credit = Credit::new(flow, true);
            credit.spend(WINDOW_BYTES as usize);
            assert_eq!(credit.ask(), Some((1, WINDOW_BYTES as u64)));
            assert!(credit.awaits_grant());
            assert_eq!(credit.is_spent(), flow != Flow::Unlimited);
            credit.grant();
            assert!(!credit.awaits_grant());
        }
    }
}
