//! One exchange: a request under way, and its response.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;

use super::reader::Asked;
use crate::account::Charge;
use crate::command::tunnel::Destination;
use crate::options::WsOptions;
use crate::stream::reupgrade::UpgradeRequest;
use crate::websocket::handshake;

/// What HTTP/1.1 has of a stream under way.
pub(super) struct Exchange {
    /// How its response ends.
    pub(super) asked: Asked,
    /// Where it asks for an upgrade.
    pub(super) upgrade: Option<Asking>,
    /// The protocols that it asks to switch to, where it is not an upgrade to WebSocket.
    pub(super) offers: Option<Box<HeaderValue>>,
    /// Where it leads, where it is a CONNECT.
    pub(super) destination: Option<Arc<Destination>>,
    /// How many bytes were to be written before it, and with it once it is complete.
    pub(super) start: u64,
    pub(super) end: Option<u64>,
    /// How many bytes had been received when it was made: none of them answers it.
    pub(super) asked_at: u64,
    /// What it counts for while others are answered first.
    pub(super) charge: Charge,
    pub(super) stage: Stage,
    /// What came of the body and is not reported yet, since more of the same read may follow.
    pub(super) part: Option<Part>,
    /// It is at fault itself, and was told so.
    pub(super) told: bool,
}

/// An upgrade under way.
pub(super) struct Asking {
    pub(super) asked: handshake::Asked,
    pub(super) options: Box<WsOptions>,
    /// What it takes to repeat it, where that is wanted and it is not repeated already.
    pub(super) request: Option<UpgradeRequest>,
}

/// What comes next of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Head,
    Body,
}

/// What one read has brought of a body. As in gun, it is reported at once, and costs one of the flow.
pub(super) struct Part {
    first: Bytes,
    /// The first too, once there is more than that.
    joint: BytesMut,
    /// Whether it is the last.
    pub(super) fin: bool,
}

impl Part {
    pub(super) fn new(first: Bytes, fin: bool) -> Self {
        Self { first, joint: BytesMut::new(), fin }
    }

    pub(super) fn append(&mut self, data: &Bytes) {
        if data.is_empty() {
            return;
        }
        if self.joint.is_empty() {
            self.joint.extend_from_slice(&self.first);
        }
        self.joint.extend_from_slice(data);
    }

    pub(super) fn into_data(self) -> Bytes {
        if self.joint.is_empty() { self.first } else { self.joint.freeze() }
    }
}
