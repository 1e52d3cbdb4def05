//! WebSocket (RFC 6455) on any byte stream.
//!
//! | module | what it holds |
//! |---|---|
//! | `credit` | how much may be received before the receiver must ask for more |
//! | [`frame`] | one frame: its header, its masking, the codes of a close frame |
//! | [`handshake`] | the headers that ask for a WebSocket, and the check of the answer |
//! | [`deflate`] | permessage-deflate: what is agreed on, and the two contexts |
//! | [`inbound`] | from bytes to messages |
//! | `life` | whether the peer is alive |
//! | [`outbound`] | from messages to bytes |
//! | `session` | the two, their timers and the closing handshake, on one byte stream |

pub(crate) mod credit;
pub mod deflate;
pub mod frame;
pub mod handshake;
pub mod inbound;
pub(crate) mod life;
pub mod outbound;
pub(crate) mod session;
