//! Whether the peer is alive: whether bytes come from it, or are taken by it, between one ping and the next.

use crate::websocket::outbound::Taken;

/// How many times as long as usual a peer counts as alive on weak signs alone.
const PATIENCE: u32 = 3;

/// The signs of life since the last ping.
///
/// Bytes that come are one, and so are bytes that the socket takes after it had refused more, because room is made there
/// by the peer alone. That the socket takes bytes while it has room says little: the system would take them for a peer
/// that is long gone. But they go out before a ping that is written behind them, and so does what a socket holds that
/// was full: such signs are weak, and count for some time alone.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// The peer has sent or taken something.
    strong: bool,
    /// The socket has taken something.
    weak: bool,
    /// The socket takes no more for now.
    blocked: bool,
    /// It took no more at some time since the peer was last heard.
    backlog: bool,
    /// The pings without a sign since the last strong one.
    silent: u32,
    /// Those with weak signs alone.
    doubtful: u32,
    /// A ping has been sent, and no pong has come since.
    awaits_pong: bool,
}

impl Life {
    /// A ping is sent.
    pub(crate) fn pinged(&mut self) {
        self.awaits_pong = true;
    }

    /// Whether a pong with this payload answers a ping that was sent: once for each.
    pub(crate) fn is_answer(&mut self, payload: &[u8]) -> bool {
        payload.is_empty() && std::mem::take(&mut self.awaits_pong)
    }

    /// Bytes have come.
    pub(crate) fn received(&mut self) {
        self.strong = true;
        self.backlog = self.blocked;
    }

    /// The socket has taken these, and takes no more for now or is content.
    pub(crate) fn wrote(&mut self, taken: Taken, blocked: bool) {
        self.strong |= self.blocked && (taken.any || !blocked);
        self.weak |= taken.data;
        self.blocked = blocked;
        self.backlog |= blocked;
    }

    /// A ping is due: whether more pings than the tolerance went unanswered.
    pub(crate) fn is_over(&mut self, tolerance: Option<u32>, may_read: bool) -> bool {
        let (strong, weak) = (std::mem::take(&mut self.strong), std::mem::take(&mut self.weak));
        let weak = weak || self.backlog && !self.blocked;
        let limit = tolerance.map_or(u32::MAX, |tolerance| tolerance.saturating_add(1).saturating_mul(PATIENCE));
        if strong {
            (self.silent, self.doubtful) = (0, 0);
        } else if !may_read {
            return false;
        } else if weak && self.doubtful < limit {
            self.doubtful = self.doubtful.saturating_add(1);
            return false;
        }
        let dead = tolerance.is_some_and(|tolerance| self.silent > tolerance);
        self.silent = self.silent.saturating_add(1);
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ping_has_one_answer_which_has_no_payload() {
        let mut life = Life::default();
        assert!(!life.is_answer(b""));
        life.pinged();
        assert!(!life.is_answer(b"another"));
        assert!(life.is_answer(b""));
        assert!(!life.is_answer(b""));
    }

    const DATA: Taken = Taken { any: true, data: true };
    const PING: Taken = Taken { any: true, data: false };

    /// How many pings are sent before the peer counts as dead, with these signs between each and the next.
    fn pings(tolerance: u32, mut signs: impl FnMut(u32, &mut Life)) -> Option<u32> {
        let mut life = Life::default();
        (0..1000).find(|ping| {
            signs(*ping, &mut life);
            life.is_over(Some(tolerance), true)
        })
    }

    #[test]
    fn without_a_sign_the_peer_is_dead_one_ping_after_the_tolerance() {
        for tolerance in [0, 1, 5] {
            assert_eq!(pings(tolerance, |_, life| life.wrote(PING, false)), Some(tolerance + 1));
        }
    }

    #[test]
    fn bytes_that_come_or_that_make_room_are_life_for_ever() {
        assert_eq!(pings(0, |_, life| life.received()), None);
        assert_eq!(pings(0, |_, life| life.wrote(DATA, true)), None);
    }

    #[test]
    fn bytes_that_find_room_are_life_for_a_while() {
        for tolerance in [0, 2] {
            let expected = (tolerance + 1) * (PATIENCE + 1);
            assert_eq!(pings(tolerance, |_, life| life.wrote(DATA, false)), Some(expected));
        }
    }

    #[test]
    fn a_socket_that_takes_nothing_is_no_life_and_what_it_holds_is_for_a_while() {
        assert_eq!(pings(1, |_, life| life.wrote(Taken::default(), true)), Some(2));
        let held = |ping, life: &mut Life| life.wrote(Taken::default(), ping == 0);
        assert_eq!(pings(1, held), Some(1 + 2 + 2 * PATIENCE));
    }

    #[test]
    fn what_cannot_be_heard_is_no_sign_against_it() {
        let mut life = Life::default();
        assert!(!(0..100).any(|_| life.is_over(Some(0), false)));
        assert!(!life.is_over(Some(0), true));
        assert!(life.is_over(Some(0), true));
    }
}
