//! Connections that are accepted: real sockets, and clients that write bytes.

// The helpers of the tests fail as the tests do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bodies;
mod ends;
mod harness;
mod limits;
mod listener;
mod noise;
mod pages;
mod tls;
mod upgrades;
