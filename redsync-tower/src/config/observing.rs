//! How the layer is seen from outside.

use std::{fmt, sync::Arc, time::Duration};

use tracing::Span;

use crate::rejection::LockRejection;

/// The label of the layer, and the functions of the service that it calls.
#[derive(Clone, Default)]
pub(crate) struct Observing {
    pub(crate) label: Option<&'static str>,
    /// Whether an event says who holds a lock for which a request was refused.
    pub(crate) logs_holders: bool,
    pub(crate) on_refused: Option<Arc<dyn Fn(&LockRejection, Duration, &Span) + Send + Sync>>,
    pub(crate) on_lost: Option<Arc<dyn Fn(&str, Duration, &Span) + Send + Sync>>,
}

impl fmt::Debug for Observing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observing")
            .field("label", &self.label)
            .field("logs_holders", &self.logs_holders)
            .finish_non_exhaustive()
    }
}
