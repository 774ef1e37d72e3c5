//! Which worlds are the same.

use std::{
    array,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{super::setting::NODES, World};

/// Worlds that differ only in the order of their nodes, or of clients that are alike, have the same
/// hash, because nothing depends on these orders. So have worlds that differ only in what is over:
/// in votes that have been counted, and in what leases have known that have ended.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.time.hash(state);
        self.left.hash(state);
        self.tokens.hash(state);
        (self.mistake, self.has_extended_late).hash(state);
        if self.is_plain {
            self.hash_plainly(state);
        } else {
            let lease = |number: usize| digest_of(|hasher| self.leases[number].hash(hasher));
            let at_node = |number, node| digest_of(|hasher| self.digest(number, node, hasher));
            self.least_digest(lease, at_node).hash(state);
        }
    }
}

/// As far as the checker can tell worlds apart: by their hash.
impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        digest_of(|hasher| self.hash(hasher)) == digest_of(|hasher| other.hash(hasher))
    }
}

impl World {
    /// A hash of all that can be seen from outside: what each client believes, and what each node
    /// keeps. The reductions may not change which of these can be reached.
    pub(super) fn appearance(&self) -> u64 {
        digest_of(|hasher| {
            (self.time, self.left, &self.tokens, self.mistake).hash(hasher);
            let lease = |number: usize| {
                let lease = self.leases[number].as_ref();
                digest_of(|hasher| lease.map(|lease| lease.appearance()).hash(hasher))
            };
            let at_node = |number, node| digest_of(|hasher| self.hash_holder(number, node, hasher));
            self.least_digest(lease, at_node).hash(hasher);
        })
    }

    /// A hash of everything, as it is.
    fn hash_plainly<H: Hasher>(&self, state: &mut H) {
        for (node, server) in self.servers.iter().enumerate() {
            server.digest(self.time, state);
            for (number, _) in self.leases() {
                self.hash_holder(number, node, state);
            }
        }
        for (number, lease) in self.leases() {
            number.hash(state);
            lease.hash_plainly(state);
        }
        for message in &self.messages {
            (message, message.node).hash(state);
        }
    }

    /// A hash of all leases and nodes: the least of those in all orders of the clients. `lease` and
    /// `at_node` hash a lease, and what concerns it on one node.
    fn least_digest(
        &self,
        lease: impl Fn(usize) -> u64,
        at_node: impl Fn(usize, usize) -> u64,
    ) -> Option<u64> {
        let numbers = 0..self.leases.len();
        let leases: Vec<u64> = numbers.clone().map(lease).collect();
        let nodes: [Node; NODES] = array::from_fn(|node| Node {
            server: digest_of(|hasher| self.servers[node].digest(self.time, hasher)),
            leases: (numbers.clone())
                .map(|number| at_node(number, node))
                .collect(),
        });
        let digests = self.orders.iter().map(|order| {
            let mut nodes: [u64; NODES] = array::from_fn(|node| nodes[node].digest(order));
            nodes.sort_unstable();
            digest_of(|hasher| {
                order.iter().for_each(|lease| leases[*lease].hash(hasher));
                nodes.hash(hasher);
            })
        });
        digests.min()
    }

    /// What concerns a lease on one node.
    fn digest<H: Hasher>(&self, number: usize, node: usize, hasher: &mut H) {
        let Some(lease) = &self.leases[number] else {
            return;
        };
        lease.digest(node, hasher);
        self.hash_holder(number, node, hasher);
        for message in (self.messages.iter()).filter(|it| (it.lease, it.node) == (number, node)) {
            lease.hash_message(message, hasher);
        }
    }

    /// Whether a node keeps the key for a lease, and for how long.
    fn hash_holder<H: Hasher>(&self, number: usize, node: usize, hasher: &mut H) {
        let Some(lease) = &self.leases[number] else {
            return;
        };
        let holders = self.servers[node].holders(self.time);
        let holders = holders.iter().flat_map(|it| &it.holders);
        for holder in holders.filter(|holder| holder.value == *lease.value()) {
            holder.remaining.hash(hasher);
        }
    }
}

/// Hashes of what concerns one node.
struct Node {
    server: u64,
    /// For each lease.
    leases: Vec<u64>,
}

impl Node {
    /// A hash of all that concerns the node, with the leases in this order.
    fn digest(&self, order: &[usize]) -> u64 {
        digest_of(|hasher| {
            self.server.hash(hasher);
            order
                .iter()
                .for_each(|lease| self.leases[*lease].hash(hasher));
        })
    }
}

fn digest_of(hash: impl FnOnce(&mut DefaultHasher)) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash(&mut hasher);
    hasher.finish()
}
