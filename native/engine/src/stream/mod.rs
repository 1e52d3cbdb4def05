//! The streams of a connection, whatever protocol carries them.
//!
//! | module | what it holds |
//! |---|---|
//! | `credit` | how much may be received before the receiver must ask for more |
//! | `receipts` | who waits until a part of a body is sent |
//! | `reupgrade` | an upgrade that is repeated from one connection to the next |
//! | `table` | the streams that there are: those that wait for their turn, and those under way |
//! | `upload` | the body of a request, between the task and the protocol that sends it |

pub(crate) mod credit;
pub(crate) mod receipts;
pub(crate) mod reupgrade;
pub(crate) mod table;
pub(crate) mod upload;
