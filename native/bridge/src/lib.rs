//! The bridge of gun_rs: Erlang terms on one side, the engine on the other. It knows no protocol.
//!
//! | module | what it holds |
//! |---|---|
//! | `nifs` | what Erlang calls: decode, enqueue, return |
//! | `frames` | from the frames of ws_send to what the engine sends |
//! | `sink` | from the engine's events to messages |
//! | `route` | who gets a message, and by which way |
//! | `outbox` | sends messages, frames several at once |
//! | `vm` | the VM's terms, for `gun_rs_terms`, which gives messages their shape and reads options |
//! | `receiver` | who a message is for |
//! | `stream` | streams, and the references that name them |
//! | `lease` | how many streams a connection has, for pools |
//! | `no_proxy` | the rules of the variable of that name |
//! | `payload` | Erlang binaries as the engine's payloads |
//! | `registry` | from a ConnPid to its connection |
//! | `runtime` | the I/O threads |
//! | `served` | listeners, and the connections that they accept |
//! | `suffixes` | the public suffix list, for cookies |
//! | `tls` | configurations of TLS, which connections share |

mod frames;
mod lease;
mod nifs;
mod no_proxy;
mod outbox;
mod payload;
mod receiver;
mod registry;
mod route;
mod runtime;
mod served;
mod sink;
mod stream;
mod suffixes;
mod tls;
mod vm;

rustler::init!("gun_rs_native");
