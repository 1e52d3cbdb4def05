//! What the frames of the peer say that h2 does not tell, and what h2 lets pass: it is looked at before h2 has it.

use std::time::Duration;

use tokio::time::Instant;

use super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEAD, HEADERS, Head, NO_TYPE, PING, PRIORITY,
    PUSH_PROMISE, Piece, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use crate::error::http2::{Http2Code, Http2Fault};
use crate::event::PeerSettings;

/// The most bytes of a GOAWAY's debug data that are told.
const MAX_DEBUG: usize = 16 * 1024;

/// How many frames that carry nothing of a message may come at once.
const BURST: u32 = 10_000;

/// How many more of them may come in each second.
const PER_SECOND: u128 = 500;

/// And for each frame of a request that was sent: windows are opened and streams reset in answer to those.
pub(super) const PER_FRAME: u32 = 8;

const NO_SETTINGS: &str = "Invalid connection preface received. (RFC7540 3.5)";
const HTTP1: &str = "Invalid connection preface received. Appears to be an HTTP/1 response? (RFC7540 3.5)";
const FRAME_SIZE: &str = "A frame has a size that its type cannot have. (RFC7540 4.2)";
const WINDOW_SIZE: &str = "SETTINGS_INITIAL_WINDOW_SIZE is larger than a window can be. (RFC7540 6.5.2)";
const SETTING: &str = "A setting has a value that it cannot have. (RFC7540 6.5.2)";
const HEADER_BLOCK: &str = "A fragmented header block is larger than max_fragmented_header_block_size.";
const FLOOD: &str = "The peer floods the connection with frames that carry nothing.";

/// What the frames have said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// These are the peer's settings now.
    Settings(PeerSettings),
    /// Our settings hold for the peer.
    Acknowledged,
    /// The answer to the ping of this payload.
    Pong([u8; 8]),
    /// The peer ends the connection.
    GoAway { code: Http2Code, debug: Vec<u8> },
}

/// Looks at what the peer sends.
#[derive(Debug)]
pub(super) struct Watch {
    frames: Frames,
    /// The head of the frame whose payload is under way.
    head: Head,
    /// Its payload, as far as it matters.
    payload: Vec<u8>,
    settings: PeerSettings,
    /// Whether the first frame has come.
    pub(super) begun: bool,
    /// The bytes of the header block under way.
    block: usize,
    max_block: usize,
    quota: Quota,
}

/// How many frames that carry nothing may still come.
#[derive(Debug)]
struct Quota {
    left: u32,
    at: Instant,
}

impl Quota {
    /// One has come; whether it was one too many.
    fn spend(&mut self) -> bool {
        if self.left == 0 {
            let now = Instant::now();
            let more = now.duration_since(self.at).as_millis() * PER_SECOND / Duration::from_secs(1).as_millis();
            if more > 0 {
                (self.left, self.at) = (u32::try_from(more).unwrap_or(BURST).min(BURST), now);
            }
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                false
            }
            None => true,
        }
    }
}

impl Watch {
    pub(super) fn new(max_block: u32) -> Self {
        Self {
            frames: Frames::default(),
            head: Head { len: 0, kind: NO_TYPE, flags: 0, stream: 0 },
            payload: Vec::new(),
            settings: PeerSettings::default(),
            begun: false,
            block: 0,
            max_block: max_block as usize,
            quota: Quota { left: BURST, at: Instant::now() },
        }
    }

    /// So many frames of requests were sent.
    pub(super) fn sent(&mut self, frames: u32) {
        self.quota.left = self.quota.left.saturating_add(frames.saturating_mul(PER_FRAME)).min(BURST);
    }

    /// Looks at what was received.
    ///
    /// # Errors
    /// What is wrong with it, and from which byte on.
    pub(super) fn take(&mut self, bytes: &mut [u8], news: &mut impl FnMut(News)) -> Result<(), (usize, Http2Fault)> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (taken, piece) = self.frames.next(rest);
            let result = match piece {
                Piece::Partial => self.partial(),
                Piece::Head(head) => {
                    if is_empty_data(&head) {
                        hide(bytes, at + taken);
                    }
                    self.head(head, news)
                }
                Piece::Payload(_, last) => self.payload(rest.get(..taken).unwrap_or_default(), last, news),
            };
            result.map_err(|fault| (at, fault))?;
            at += taken;
        }
        Ok(())
    }

    /// The bytes end within the head of a frame. What is no HTTP/2 may be too short for more.
    fn partial(&self) -> Result<(), Http2Fault> {
        let is_http1 = !self.begun && self.frames.partial().starts_with(b"HTTP/1");
        if is_http1 { Err(fault(Http2Code::ProtocolError, HTTP1)) } else { Ok(()) }
    }

    fn head(&mut self, head: Head, news: &mut impl FnMut(News)) -> Result<(), Http2Fault> {
        if !self.begun {
            if head.kind != SETTINGS || head.has(ACK) {
                // "HTT" is the length that it would have.
                let text = if head.len == 0x0048_5454 && head.kind == b'P' { HTTP1 } else { NO_SETTINGS };
                return Err(fault(Http2Code::ProtocolError, text));
            }
            self.begun = true;
        }
        if !has_its_size(&head) {
            return Err(fault(Http2Code::FrameSizeError, FRAME_SIZE));
        }
        self.count_block(&head)?;
        // A response has its head in the quota that its request has brought.
        let carries = matches!(head.kind, DATA | CONTINUATION) && (head.len > 0 || head.has(END_STREAM));
        if !carries && self.quota.spend() {
            return Err(fault(Http2Code::EnhanceYourCalm, FLOOD));
        }
        self.head = head;
        self.payload.clear();
        if head.len == 0 { self.payload(&[], true, news) } else { Ok(()) }
    }

    /// Counts the bytes of a header block that comes in several frames.
    fn count_block(&mut self, head: &Head) -> Result<(), Http2Fault> {
        self.block = match head.kind {
            HEADERS | PUSH_PROMISE => head.len,
            CONTINUATION => self.block.saturating_add(head.len),
            _ => return Ok(()),
        };
        let fragmented = head.kind == CONTINUATION || !head.has(END_HEADERS);
        if fragmented && self.block > self.max_block {
            return Err(fault(Http2Code::EnhanceYourCalm, HEADER_BLOCK));
        }
        Ok(())
    }

    fn payload(&mut self, piece: &[u8], last: bool, news: &mut impl FnMut(News)) -> Result<(), Http2Fault> {
        if !matches!(self.head.kind, SETTINGS | PING | GOAWAY) {
            return Ok(());
        }
        let room = (8 + MAX_DEBUG).saturating_sub(self.payload.len());
        self.payload.extend_from_slice(piece.get(..room).unwrap_or(piece));
        if !last {
            return Ok(());
        }
        let payload = std::mem::take(&mut self.payload);
        match self.head.kind {
            SETTINGS if self.head.has(ACK) => news(News::Acknowledged),
            SETTINGS => {
                for setting in payload.chunks_exact(6) {
                    self.setting(setting)?;
                }
                news(News::Settings(self.settings));
            }
            PING if self.head.has(ACK) => {
                if let Ok(payload) = payload.try_into() {
                    news(News::Pong(payload));
                }
            }
            GOAWAY => {
                let number = payload.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
                let debug = payload.get(8..).unwrap_or_default().to_vec();
                news(News::GoAway { code: Http2Code::from(number), debug });
            }
            _ => {}
        }
        Ok(())
    }

    fn setting(&mut self, setting: &[u8]) -> Result<(), Http2Fault> {
        let &[i0, i1, v0, v1, v2, v3] = setting else { return Ok(()) };
        let value = u32::from_be_bytes([v0, v1, v2, v3]);
        let settings = &mut self.settings;
        match u16::from_be_bytes([i0, i1]) {
            1 => settings.header_table_size = value,
            2 if value > 1 => return Err(fault(Http2Code::ProtocolError, SETTING)),
            2 => settings.enable_push = value == 1,
            3 => settings.max_concurrent_streams = Some(value),
            4 if value > i32::MAX as u32 => return Err(fault(Http2Code::FlowControlError, WINDOW_SIZE)),
            4 => settings.initial_window_size = value,
            5 if !(16_384..=16_777_215).contains(&value) => return Err(fault(Http2Code::ProtocolError, SETTING)),
            5 => settings.max_frame_size = value,
            6 => settings.max_header_list_size = Some(value),
            8 if value > 1 => return Err(fault(Http2Code::ProtocolError, SETTING)),
            8 => settings.enable_connect_protocol = Some(value == 1),
            _ => {}
        }
        Ok(())
    }
}

fn fault(code: Http2Code, text: &'static str) -> Http2Fault {
    Http2Fault { code, text }
}

/// Whether the frame has a size that its type allows (RFC 9113, 6).
fn has_its_size(head: &Head) -> bool {
    match head.kind {
        SETTINGS if head.has(ACK) => head.len == 0,
        SETTINGS => head.len.is_multiple_of(6),
        PING => head.len == 8,
        GOAWAY => head.len >= 8,
        RST_STREAM | WINDOW_UPDATE => head.len == 4,
        PRIORITY => head.len == 5,
        _ => true,
    }
}

fn is_empty_data(head: &Head) -> bool {
    head.kind == DATA && head.len == 0 && head.flags == 0
}

/// Takes its meaning from the empty DATA whose head ends here. h2 takes a hundred of them in the life of a connection, and
/// then ends it: how many there may be is counted here.
fn hide(bytes: &mut [u8], end: usize) {
    /// Where the type stands in a head.
    const TYPE: usize = 3;
    if let Some(kind) = end.checked_sub(HEAD - TYPE).and_then(|at| bytes.get_mut(at)) {
        *kind = NO_TYPE;
    }
}
