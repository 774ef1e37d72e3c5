//! Figures that are recorded, with the feature `metrics`.

mod labels;
mod locks;
mod nodes;

pub(crate) use self::{
    locks::{Acquisition, LockMetrics},
    nodes::NodeMetrics,
};

/// Registers the descriptions of the figures. It does no harm to do this more than once per
/// recorder.
pub(crate) fn describe() {
    locks::describe();
    nodes::describe();
}
