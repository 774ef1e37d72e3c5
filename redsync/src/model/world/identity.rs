//! Which worlds are the same.

use std::{
    array,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{super::setting::NODES, World};

/// Worlds that differ only in the order of their nodes, or of clients that are alike, have the same
/// hash, because nothing depends on these orders.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.time.hash(state);
        self.left.hash(state);
        self.tokens.hash(state);
        self.mistake.hash(state);
        self.digest().hash(state);
    }
}

/// As far as the checker can tell worlds apart: by their hash.
impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        digest_of(|hasher| self.hash(hasher)) == digest_of(|hasher| other.hash(hasher))
    }
}

impl World {
    /// A hash of all leases, nodes and messages: the least of those in all orders of the clients.
    fn digest(&self) -> Option<u64> {
        let leases: Vec<u64> = (self.leases.iter())
            .map(|lease| digest_of(|hasher| lease.hash(hasher)))
            .collect();
        let nodes: [_; NODES] = array::from_fn(|node| self.node(node));
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

    /// What concerns one node.
    fn node(&self, node: usize) -> Node {
        let server = &self.servers[node];
        let holders = server.holders(self.time);
        let mut leases = vec![0; self.leases.len()];
        for (number, lease) in self.leases() {
            leases[number] = digest_of(|hasher| {
                lease.digest(node, hasher);
                let holders = holders.iter().flat_map(|it| &it.holders);
                for holder in holders.filter(|holder| holder.value == lease.value) {
                    holder.remaining.hash(hasher);
                }
                let messages = self.messages.iter();
                for message in messages.filter(|it| (it.lease, it.node) == (number, node)) {
                    message.hash(hasher);
                }
            });
        }
        Node {
            server: digest_of(|hasher| server.digest(self.time, hasher)),
            leases,
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
