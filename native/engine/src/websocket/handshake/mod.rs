//! The opening handshake (RFC 6455, 4).
//!
//! | module | what it holds |
//! |---|---|
//! | [`client`] | the headers that ask for a WebSocket, and the check of the answer |
//! | [`server`] | what answers the key, and the choice among the extensions that are offered |

pub mod client;
pub mod server;

pub use client::{Asked, check_response, connect_headers, request_headers};

use super::deflate::Agreed;

/// What the server has chosen of what was offered.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The subprotocol.
    pub subprotocol: Option<String>,
    /// permessage-deflate.
    pub deflate: Option<Agreed>,
}
