//! Decisions of a majority of nodes: [votes], their [tally], those that were [cast] in one round, and
//! the [count](count) of a round that is under way.

pub(crate) mod cast;
pub(crate) mod count;
pub(crate) mod tally;
pub(crate) mod votes;

/// Up to this number of nodes, the state of a lease is stored inline, without an allocation.
pub(crate) const USUAL_NODES: usize = 5;

/// The quorum of this many nodes: the smallest size such that any two sets of that size share a
/// node.
pub(crate) const fn majority(nodes: usize) -> usize {
    nodes / 2 + 1
}
