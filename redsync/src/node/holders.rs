//! The holders of a name on a node.

use std::time::Duration;

use crate::{Mode, OwnerValue};

/// The holders of a name on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holders {
    /// Exclusive or shared.
    pub mode: Mode,
    /// The holders. There is one if the mode is exclusive.
    pub holders: Vec<Holder>,
}

/// One holder of a name on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The owner value.
    pub value: OwnerValue,
    /// How long the node will keep the name for this holder, if that is known.
    pub remaining: Option<Duration>,
}
