//! What the answers of several nodes amount to: [votes], their [tally], and [rounds](round).

pub(crate) mod round;
pub(crate) mod tally;
pub(crate) mod votes;

/// How many nodes a record has room for without an allocation of its own.
pub(crate) const USUAL_NODES: usize = 5;

/// The smallest number of nodes of which any two sets of that size share a node.
pub(crate) const fn majority(nodes: usize) -> usize {
    nodes / 2 + 1
}
