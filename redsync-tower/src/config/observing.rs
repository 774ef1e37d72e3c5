//! How the layer is seen from outside.

use std::{fmt, sync::Arc};

use crate::callback::{OnLost, OnRefused};

/// The label of the layer, and the functions that it calls.
#[derive(Clone, Default)]
pub(crate) struct Observing {
    pub(crate) label: Option<&'static str>,
    /// Whether an event says who holds a lock for which a request was refused.
    pub(crate) logs_holders: bool,
    pub(crate) on_refused: Option<Arc<dyn OnRefused>>,
    pub(crate) on_lost: Option<Arc<dyn OnLost>>,
}

impl fmt::Debug for Observing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observing")
            .field("label", &self.label)
            .field("logs_holders", &self.logs_holders)
            .finish_non_exhaustive()
    }
}
