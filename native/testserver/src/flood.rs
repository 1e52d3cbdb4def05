//! The messages of a flood.

use std::fmt::Write;

use tokio_tungstenite::tungstenite::Message;

/// Different JSON messages hold at least so many bytes together: four times the window of permessage-deflate, so that
/// none is found there again when they are sent in turn.
const TOGETHER: usize = 4 * 32 * 1024;

/// Messages of `size` bytes, to be sent in turn: one that is binary, or text that is JSON.
pub(crate) fn messages(size: usize, json: bool) -> Vec<Message> {
    if !json {
        return vec![Message::binary(vec![b'x'; size])];
    }
    let mut market = Market { state: 1, time: 1_700_000_000_000, price: 4_312_510 };
    (0..TOGETHER.div_ceil(size.max(1)).clamp(8, 1024)).map(|_| Message::text(market.message(size))).collect()
}

/// Market data, as exchanges send it; the same on every run.
struct Market {
    state: u64,
    time: u64,
    price: u64,
}

impl Market {
    /// The changes of an order book, as JSON of `size` bytes. Where that is too little for JSON, it is cut.
    fn message(&mut self, size: usize) -> String {
        self.time += 1 + self.random(250);
        let update = self.time / 3 + self.random(100);
        let mut json = format!(r#"{{"e":"depthUpdate","E":{},"s":"BTCUSDT","u":{update},"b":["#, self.time);
        let mut separator = "";
        loop {
            self.price = self.price + self.random(2001) - 1000;
            let (price, cents) = (self.price / 100, self.price % 100);
            let amount = self.random(500_000_000) / 10_u64.pow(u32::try_from(self.random(5)).unwrap_or(0));
            let change =
                format!(r#"{separator}["{price}.{cents:02}","{}.{:08}"]"#, amount / 100_000_000, amount % 100_000_000);
            if json.len() + change.len() + "]}".len() > size {
                break;
            }
            json.push_str(&change);
            separator = ",";
        }
        // A String takes everything.
        let _ = write!(json, "]{:>1$}", "}", size.saturating_sub(json.len() + 1));
        json.truncate(size);
        json
    }

    /// Below `bound`: Knuth's linear congruential generator, of which the upper half is random enough.
    fn random(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 32) % bound
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn json_messages_have_their_size_and_differ() {
        for size in [1024, 64 * 1024] {
            let messages = messages(size, true);
            assert!(messages.len() * size >= TOGETHER);
            assert!(messages.iter().all(|message| message.is_text() && message.len() == size));
            let different: HashSet<String> = messages.iter().map(Message::to_string).collect();
            assert_eq!(different.len(), messages.len());
        }
    }

    #[test]
    fn a_message_is_whole_json() {
        let message = messages(128, true)[0].to_string();
        assert!(message.starts_with(r#"{"e":"depthUpdate","E":17"#), "{message}");
        assert!(message.trim_end_matches('}').trim_end().ends_with(r#""]]"#) && message.ends_with('}'), "{message}");
        assert_eq!(message.matches('[').count(), message.matches(']').count());
    }

    #[test]
    fn messages_may_be_of_any_size() {
        for size in 0..200 {
            assert!(messages(size, true).iter().all(|message| message.len() == size), "{size}");
        }
    }
}
