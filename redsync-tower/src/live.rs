//! The live state of a layer: what its requests have done so far.

mod inspections;
mod pending;
mod usual_hold;

pub(crate) use self::{inspections::Inspections, pending::PendingPermit};
use self::{pending::Pending, usual_hold::UsualHold};

/// The state that the requests of a layer and of its clones change.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) inspections: Inspections,
    pub(crate) pending: Pending,
    pub(crate) usual_hold: UsualHold,
}
