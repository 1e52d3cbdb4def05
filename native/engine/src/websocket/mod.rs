//! WebSocket (RFC 6455) on any byte stream.
//!
//! | module | what it holds |
//! |---|---|
//! | [`role`] | which end this is: who masks, and what masks are refused |
//! | [`frame`] | one frame: its header, its masking, the codes of a close frame |
//! | [`handshake`] | the headers that ask for a WebSocket, and the check of the answer |
//! | [`deflate`] | permessage-deflate: what is agreed on, and the two contexts |
//! | [`inbound`], `assembly` | from bytes to messages, and the message under way |
//! | `watched` | the frames of either, where they are observed |
//! | [`outbound`] | from messages to bytes |
//! | `life` | whether the peer is alive |
//! | [`timers`], `clock` | the timers that a session asks for, and what keeps them |
//! | [`session`] | all of these, and the closing handshake, without a byte stream |
//! | `carrier` | a session on a byte stream, with a clock |

mod assembly;
pub(crate) mod carrier;
pub(crate) mod clock;
pub mod deflate;
pub mod frame;
pub mod handshake;
pub mod inbound;
mod life;
pub mod outbound;
pub mod role;
pub mod session;
pub mod timers;
mod watched;
