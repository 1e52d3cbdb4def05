//! What users of gun_rs are sent, and the options that they give, as Erlang terms.
//!
//! The NIF library and a port program share this crate. It does not know what a term is: it builds terms through
//! [`Terms`] and reads them through [`ReadTerm`], which a program implements for the VM's own terms, or for the external
//! term format. Who receives a message, and by which way, is that program's decision.
//!
//! | module | what it holds |
//! |---|---|
//! | [`term`] | the two traits, and the error of a term that does not have the expected shape |
//! | [`name`] | the atoms |
//! | [`messages`] | messages to users, in the [`dialect`] of their connection |
//! | [`reports`] | messages to the process behind ConnPid |
//! | [`served`] | messages of a listener's connections to their processes |
//! | `frame` | a received frame, as both have it |
//! | [`reasons`] | from the engine's errors to the reasons in messages |
//! | [`options`] | from maps of options to the engine's options |

pub mod dialect;
mod frame;
pub mod messages;
pub mod name;
pub mod options;
mod posix;
pub mod reasons;
pub mod reports;
pub mod served;
pub mod term;
#[cfg(test)]
mod tests;

pub use dialect::Dialect;
pub use messages::Messages;
pub use name::Name;
pub use reports::Reports;
pub use served::Served;
pub use term::{InvalidTerm, ReadTerm, Terms};
