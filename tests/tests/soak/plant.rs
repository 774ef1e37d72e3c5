//! What can be broken on purpose.

use serde::{Deserialize, Serialize};

use crate::{Error, Outcome};

/// A mistake that a run has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Plant {
    /// One of the processes takes no locks.
    Unlocked,
    /// A majority of nodes loses its keys and is back at once.
    EarlyRestart,
    /// The ledger accepts late writes, while processes are stopped for longer than the expiry.
    Unfenced,
    /// One of the processes keeps memory and connections that it no longer needs.
    Leak,
}

impl Plant {
    pub(crate) fn named(name: &str) -> Outcome<Self> {
        match name {
            "unlocked" => Ok(Self::Unlocked),
            "early-restart" => Ok(Self::EarlyRestart),
            "unfenced" => Ok(Self::Unfenced),
            "leak" => Ok(Self::Leak),
            _ => Err(Error::from(format!("nothing to plant is named {name}"))),
        }
    }
}
