//! WebSocket (RFC 6455) on any byte stream.
//!
//! | module | what it holds |
//! |---|---|
//! | [`frame`] | one frame: its header, its masking, the codes of a close frame |
//! | [`handshake`] | the headers that ask for a WebSocket, and the check of the answer |
//! | [`inbound`] | from bytes to messages |
//! | [`outbound`] | from messages to bytes |
//! | `session` | the two, their timers and the closing handshake, on one byte stream |

pub mod frame;
pub mod handshake;
pub mod inbound;
pub mod outbound;
pub(crate) mod session;
