//! HTTP on a byte stream, by hyper.

pub(crate) mod http1;
mod upload;
mod wire;
