//! Which gun's messages a connection sends.

use crate::name::Name;

/// The generation of gun that a program was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// 2.x.
    Gun2,
    /// 1.2 and 1.3.
    Gun1,
    /// The pre-releases of 1.0.
    Gun1Pre,
    /// Everything before those.
    Gun0,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gun2, Self::Gun1, Self::Gun1Pre, Self::Gun0];

    /// The value of the option `dialect` that asks for it.
    #[must_use]
    pub const fn name(self) -> Name {
        match self {
            Self::Gun2 => Name::Gun2,
            Self::Gun1 => Name::Gun1,
            Self::Gun1Pre => Name::Gun1Pre,
            Self::Gun0 => Name::Gun0,
        }
    }

    /// Whether a response that refuses an upgrade is a `gun_ws_upgrade` rather than a `gun_response`.
    #[must_use]
    pub fn has_upgrade_errors(self) -> bool {
        self == Self::Gun0
    }
}
