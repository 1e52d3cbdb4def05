//! The bridge of gun_rs: Erlang terms on one side, the engine on the other. It knows no protocol.
//!
//! | module | what it holds |
//! |---|---|
//! | [`nifs`] | what Erlang calls: decode, enqueue, return |
//! | [`frames`] | from the frames of ws_send to what the engine sends |
//! | [`messages`] | from the engine's events to the messages that users receive |
//! | [`reasons`] | from the engine's errors to Erlang terms |
//! | [`options`] | from option maps, checked by Erlang, to the engine's options |
//! | [`payload`] | Erlang binaries as the engine's payloads |
//! | [`registry`] | from a ConnPid to its connection |
//! | [`runtime`] | the I/O threads |
//! | [`stream_id`] | what a user calls a stream |
//! | [`suffixes`] | the public suffix list, for cookies |
//! | [`tls`] | from TLS options, checked by Erlang, to a configuration that connections share |

mod frames;
mod messages;
mod nifs;
mod options;
mod payload;
mod reasons;
mod registry;
mod runtime;
mod stream_id;
mod suffixes;
mod tls;

rustler::init!("gun_rs_native");
