//! The offer, the answer, and the check of the answer (RFC 7692, 7.1).

use crate::error::HandshakeError;
use crate::options::DeflateOptions;
use crate::websocket::role::Role;

/// The extension's name.
const NAME: &str = "permessage-deflate";

/// The largest window, and the one that counts where none was agreed on.
const MAX_BITS: u8 = 15;

/// What was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// The client does.
    pub client_no_context_takeover: bool,
    /// The server's window, in bits.
    pub server_max_window_bits: u8,
    /// The client's window, in bits.
    pub client_max_window_bits: u8,
    pub(super) level: u8,
    pub(super) mem_level: u8,
}

impl Agreed {
    /// The window, in bits, of the messages that this end sends, and whether it keeps its context from one to the next.
    pub(super) fn of_sender(&self, role: Role) -> (u8, bool) {
        match role {
            Role::Client => (self.client_max_window_bits, !self.client_no_context_takeover),
            Role::Server => (self.server_max_window_bits, !self.server_no_context_takeover),
        }
    }
}

impl DeflateOptions {
    /// The value of the sec-websocket-extensions header.
    #[must_use]
    pub fn offer(&self) -> String {
        let mut offer = String::from(NAME);
        if self.server_no_context_takeover {
            offer.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            offer.push_str("; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            offer.push_str(&format!("; server_max_window_bits={bits}"));
        }
        if self.offers_client_window {
            offer.push_str("; client_max_window_bits");
            if let Some(bits) = self.client_max_window_bits {
                offer.push_str(&format!("={bits}"));
            }
        }
        offer
    }

    /// Reads one extension of the answer (RFC 7692, 7.1).
    ///
    /// # Errors
    /// An extension or a parameter that the offer does not allow, or that is missing where the offer demands it.
    pub fn accept(&self, answer: &str) -> Result<Agreed, HandshakeError> {
        let mut parts = answer.split(';').map(str::trim);
        if parts.next() != Some(NAME) {
            return Err(HandshakeError::Extension(answer.to_owned()));
        }
        let mut found = Parameters::default();
        for parameter in parts {
            found.read(parameter).map_err(|()| HandshakeError::ExtensionParameter(parameter.to_owned()))?;
        }
        let refuse = |name: &str| Err(HandshakeError::ExtensionParameter(name.to_owned()));
        // A server that accepts an offer with one of these must say so (RFC 7692, 7.1.1.1 and 7.1.2.1).
        if self.server_no_context_takeover && !found.server_no_context_takeover {
            return refuse("server_no_context_takeover");
        }
        let server_bits = found.server_max_window_bits.unwrap_or(MAX_BITS);
        if self.server_max_window_bits.is_some_and(|most| server_bits > most) {
            return refuse("server_max_window_bits");
        }
        // It may not ask for what it was not offered (RFC 7692, 7.1.2.2).
        if !self.offers_client_window && found.client_max_window_bits.is_some() {
            return refuse("client_max_window_bits");
        }
        // A value of ours is a hint: the server may answer with a greater one, or with none, and we keep to ours in any
        // case (RFC 7692, 7.1.2.2).
        let client_bits =
            found.client_max_window_bits.unwrap_or(MAX_BITS).min(self.client_max_window_bits.unwrap_or(MAX_BITS));
        Ok(Agreed {
            server_no_context_takeover: found.server_no_context_takeover,
            // The server may ask for it, and we may do it without being asked.
            client_no_context_takeover: found.client_no_context_takeover || self.client_no_context_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
            level: self.level,
            mem_level: self.mem_level,
        })
    }
}

impl DeflateOptions {
    /// Takes one extension of a client's offer, if it is this one and can be had: what is agreed on, and the answer.
    pub(crate) fn answer(&self, offer: &str) -> Option<(Agreed, String)> {
        let mut parts = offer.split(';').map(str::trim);
        if parts.next() != Some(NAME) {
            return None;
        }
        let mut found = Parameters::default();
        for parameter in parts {
            found.read_offered(parameter).ok()?;
        }
        let at_most = |bits: Option<u8>| bits.unwrap_or(MAX_BITS);
        let client_most = at_most(self.client_max_window_bits);
        // A client that does not offer it knows no smaller window (RFC 7692, 7.1.2.2).
        if client_most < MAX_BITS && found.client_max_window_bits.is_none() {
            return None;
        }
        let agreed = Agreed {
            // The server may ask for these where the client has not (RFC 7692, 7.1.1).
            server_no_context_takeover: found.server_no_context_takeover || self.server_no_context_takeover,
            client_no_context_takeover: found.client_no_context_takeover || self.client_no_context_takeover,
            server_max_window_bits: at_most(found.server_max_window_bits).min(at_most(self.server_max_window_bits)),
            client_max_window_bits: at_most(found.client_max_window_bits).min(client_most),
            level: self.level,
            mem_level: self.mem_level,
        };
        let answer = agreed.answer(&found);
        Some((agreed, answer))
    }
}

impl Agreed {
    /// The answer to an offer with these parameters.
    fn answer(&self, found: &Parameters) -> String {
        let mut answer = String::from(NAME);
        if self.server_no_context_takeover {
            answer.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            answer.push_str("; client_no_context_takeover");
        }
        if found.server_max_window_bits.is_some() || self.server_max_window_bits < MAX_BITS {
            answer.push_str(&format!("; server_max_window_bits={}", self.server_max_window_bits));
        }
        if found.client_max_window_bits.is_some() {
            answer.push_str(&format!("; client_max_window_bits={}", self.client_max_window_bits));
        }
        answer
    }
}

#[derive(Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<u8>,
}

impl Parameters {
    /// One parameter of an offer, in which the client's window may stand without a value: any will do.
    fn read_offered(&mut self, parameter: &str) -> Result<(), ()> {
        match (parameter, self.client_max_window_bits) {
            ("client_max_window_bits", None) => self.client_max_window_bits = Some(MAX_BITS),
            _ => self.read(parameter)?,
        }
        Ok(())
    }

    /// One parameter: known, once, and with a value or without as it must be.
    fn read(&mut self, parameter: &str) -> Result<(), ()> {
        let (name, value) = match parameter.split_once('=') {
            None => (parameter, None),
            Some((name, value)) => (name.trim_end(), Some(unquote(value.trim_start()))),
        };
        let flag = |flag: &mut bool| {
            let first = !std::mem::replace(flag, true);
            if first && value.is_none() { Ok(()) } else { Err(()) }
        };
        let bits = |bits: &mut Option<u8>| match (value.and_then(window_bits), &bits) {
            (Some(value), None) => {
                *bits = Some(value);
                Ok(())
            }
            _ => Err(()),
        };
        match name {
            "server_no_context_takeover" => flag(&mut self.server_no_context_takeover),
            "client_no_context_takeover" => flag(&mut self.client_no_context_takeover),
            "server_max_window_bits" => bits(&mut self.server_max_window_bits),
            "client_max_window_bits" => bits(&mut self.client_max_window_bits),
            _ => Err(()),
        }
    }
}

fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// 8 to 15, in decimal and without leading zeros (RFC 7692, 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" | "9" => value.parse().ok(),
        _ if value.len() == 2 && value.starts_with('1') => value.parse().ok().filter(|bits| *bits <= MAX_BITS),
        _ => None,
    }
}
