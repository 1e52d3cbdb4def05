//! HTTP, as a protocol spoken on a connection.

pub(crate) mod http1;
