//! HTTP on a byte stream, by hyper.

mod head;
pub(crate) mod http1;
mod refusal;
mod upload;
pub(crate) mod waiting;
mod wire;
