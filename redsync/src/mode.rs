//! The mode of a lock: exclusive or shared.

/// Whether a lock can have several holders at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mode {
    /// A single holder.
    #[default]
    Exclusive,
    /// Any number of shared holders, and no exclusive holder.
    Shared,
}

impl Mode {
    /// Returns the mode in one word, as metrics, spans and Redis scripts use it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        }
    }
}
