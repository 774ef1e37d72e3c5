//! Which server each node is, so that no server has two votes.

use crate::sync::Mutex;

/// The identities of the admitted nodes, as far as they are known.
#[derive(Default)]
pub(super) struct Identities(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The last identity of each admitted node.
    servers: Vec<(String, usize)>,
    /// The nodes that were refused, each with the admitted node that is the same server.
    twins: Vec<(usize, usize)>,
}

impl Identities {
    /// Takes the identity of a node that is to be admitted. If an admitted node has the same,
    /// returns that one.
    pub(super) fn claim(&self, node: usize, identity: String) -> Result<(), usize> {
        let mut known = self.0.lock();
        match known.servers.iter().find(|(other, _)| *other == identity) {
            Some(&(_, other)) if other != node => {
                known.twins.retain(|(twin, _)| *twin != node);
                known.twins.push((node, other));
                Err(other)
            }
            Some(_) => Ok(()),
            None => {
                known.servers.push((identity, node));
                Ok(())
            }
        }
    }

    /// The admitted node that was the same server as this one when this one was last refused.
    pub(super) fn twin(&self, node: usize) -> Option<usize> {
        let known = self.0.lock();
        let twin = known.twins.iter().find(|(twin, _)| *twin == node);
        twin.map(|(_, other)| *other)
    }

    /// Replaces the identity of an admitted node, whose server may have restarted.
    pub(super) fn renew(&self, node: usize, identity: String) {
        for (known, owner) in &mut self.0.lock().servers {
            if *owner == node {
                *known = identity;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_one_node_also_when_it_has_another_identity() {
        let identities = Identities::default();
        assert_eq!(identities.claim(0, "one".into()), Ok(()));
        assert_eq!(identities.claim(0, "one".into()), Ok(()));
        assert_eq!(identities.claim(1, "another".into()), Ok(()));
        assert_eq!(identities.twin(2), None);
        assert_eq!(identities.claim(2, "one".into()), Err(0));
        assert_eq!(identities.twin(2), Some(0));
        identities.renew(0, "restarted".into());
        assert_eq!(identities.claim(2, "restarted".into()), Err(0));
        assert_eq!(identities.claim(2, "a third".into()), Ok(()));
    }
}
