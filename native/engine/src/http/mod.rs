//! HTTP, as a protocol spoken on a connection.
//!
//! | module | what it holds |
//! |---|---|
//! | [`http1`] | HTTP/1.x of a client |
//! | [`http2`] | HTTP/2 of a client |
//! | [`served`] | HTTP/1.x of a connection that was accepted |
//! | [`deadline`] | the timers of all |
//! | [`observed`] | what the clients report of requests to observers |
//! | [`queued`] | what the clients' streams have in common before their turn |

pub(crate) mod deadline;
pub mod http1;
pub(crate) mod http2;
pub(crate) mod observed;
pub(crate) mod queued;
pub(crate) mod served;
