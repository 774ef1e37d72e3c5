//! How the layer is seen from outside.

use std::{fmt, sync::Arc};

use crate::callback::{OnLost, OnRefused};

/// The label of the layer, and the functions that it calls.
#[derive(Clone, Default)]
pub(crate) struct Observing {
    pub(crate) label: Option<&'static str>,
    pub(crate) on_refused: Option<Arc<dyn OnRefused>>,
    pub(crate) on_lost: Option<Arc<dyn OnLost>>,
}

impl fmt::Debug for Observing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observing")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}
