//! The timers of a session. It knows no clock: it says which timers to set, and learns when one is due.

use std::time::Duration;

/// A timer of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// A close, from whatever side, has waited long enough.
    Closing,
    /// A ping is due.
    Keepalive,
    /// The peer has sent nothing for too long.
    Idle,
}

/// What is to be done to a timer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// It stays as it is.
    #[default]
    Kept,
    /// It is due after this time, and not when it was before.
    Set(Duration),
    /// It is never due.
    Cleared,
}

impl From<Option<Duration>> for Setting {
    fn from(after: Option<Duration>) -> Self {
        after.map_or(Self::Cleared, Self::Set)
    }
}

/// What is to be done to each timer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// To [`Timer::Closing`].
    pub closing: Setting,
    /// To [`Timer::Keepalive`].
    pub keepalive: Setting,
    /// To [`Timer::Idle`]. Its time begins anew whenever the peer sends something.
    pub idle: Setting,
}
