//! How much may be received before the receiver must ask for more, or prove that it keeps up.

use crate::options::Flow;

/// How many messages may be under way to a receiver that has not shown that it keeps up.
const WINDOW_MESSAGES: i64 = 4096;

/// And how many bytes.
const WINDOW_BYTES: i64 = 4 * 1024 * 1024;

/// What is left. It is spent message by message. A number of messages is looked at between reads and turns, so that it
/// may fall below zero; a receiver that is asked is given nothing beyond it, but the message that spends its last bytes.
#[derive(Debug)]
pub(crate) struct Credit {
    kind: Flow,
    messages: i64,
    bytes: i64,
    /// Whether the receiver has been asked, and has not answered.
    asked: bool,
}

impl Credit {
    pub(crate) fn new(kind: Flow) -> Self {
        match kind {
            Flow::Unlimited => Self { kind, messages: 0, bytes: 0, asked: false },
            Flow::Messages(messages) => Self { kind, messages, bytes: 0, asked: false },
            Flow::Auto => Self { kind, messages: WINDOW_MESSAGES, bytes: WINDOW_BYTES, asked: false },
        }
    }

    /// Whether reading must pause.
    pub(crate) fn is_exhausted(&self) -> bool {
        match self.kind {
            Flow::Unlimited => false,
            Flow::Messages(_) => self.messages <= 0,
            Flow::Auto => self.messages <= 0 || self.bytes <= 0,
        }
    }

    /// A message of `len` bytes is told.
    pub(crate) fn spend(&mut self, len: usize) {
        if self.kind != Flow::Unlimited {
            self.messages = self.messages.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(i64::try_from(len).unwrap_or(i64::MAX));
        }
    }

    /// The receiver asks for more messages.
    pub(crate) fn update(&mut self, messages: i64) {
        if let Flow::Messages(_) = self.kind {
            self.messages = self.messages.saturating_add(messages);
        }
    }

    /// Whether it is the receiver that is asked for more.
    pub(crate) fn asks(&self) -> bool {
        self.kind == Flow::Auto
    }

    /// How many messages, and bytes, have been told since the receiver last answered, if it is time to ask it again:
    /// while half of the window is left, so that a receiver that keeps up is not kept waiting.
    pub(crate) fn ask(&mut self) -> Option<(u64, u64)> {
        let half_spent = self.messages <= WINDOW_MESSAGES / 2 || self.bytes <= WINDOW_BYTES / 2;
        if self.kind != Flow::Auto || self.asked || !half_spent {
            return None;
        }
        self.asked = true;
        let told = |window: i64, left: i64| u64::try_from(window.saturating_sub(left)).unwrap_or_default();
        Some((told(WINDOW_MESSAGES, self.messages), told(WINDOW_BYTES, self.bytes)))
    }

    /// The receiver keeps up.
    pub(crate) fn grant(&mut self) {
        if self.kind == Flow::Auto {
            *self = Self::new(Flow::Auto);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_messages_may_fall_below_zero_and_must_be_repaid() {
        let mut credit = Credit::new(Flow::Messages(1));
        credit.spend(10);
        credit.spend(10);
        assert!(credit.is_exhausted());
        credit.update(1);
        assert!(credit.is_exhausted());
        credit.update(1);
        assert!(!credit.is_exhausted());
        assert_eq!(credit.ask(), None);
    }

    #[test]
    fn auto_asks_once_when_half_of_the_window_is_spent_and_pauses_at_its_end() {
        let mut credit = Credit::new(Flow::Auto);
        let mut asked = Vec::new();
        for _ in 0..WINDOW_MESSAGES {
            assert!(!credit.is_exhausted());
            credit.spend(1);
            asked.extend(credit.ask());
        }
        let half = WINDOW_MESSAGES as u64 / 2;
        assert_eq!(asked, [(half, half)]);
        assert!(credit.is_exhausted());
        credit.grant();
        assert!(!credit.is_exhausted());
        credit.spend(WINDOW_BYTES as usize);
        assert!(credit.is_exhausted() && credit.ask() == Some((1, WINDOW_BYTES as u64)));
    }

    #[test]
    fn unlimited_is_never_exhausted() {
        let mut credit = Credit::new(Flow::Unlimited);
        credit.spend(usize::MAX);
        credit.update(-1);
        assert!(!credit.is_exhausted() && credit.ask().is_none());
    }
}
