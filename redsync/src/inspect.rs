//! Who holds a lock, for people to read.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::try_join_all;

use crate::{NodeError, OwnerValue, node::Mode, wanted::Wanted};

/// What one node says about who holds the names of a mutex. See
/// [`Mutex::inspect`](crate::Mutex::inspect).
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspected {
    /// The node's address, without credentials.
    pub address: Arc<str>,
    /// Who holds the names on this node; empty if nobody does.
    pub holders: Result<Vec<HeldBy>, NodeError>,
}

/// One holder of one name on one node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HeldBy {
    /// The name, with its prefix.
    pub name: Arc<str>,
    /// Exclusive or shared.
    pub mode: Mode,
    /// Which holder: the same on every node, and that of [`OwnerValue::fingerprint`].
    pub fingerprint: Fingerprint,
    /// How long the node will keep it, if that is known.
    pub remaining: Option<Duration>,
}

/// What tells one [`OwnerValue`] from others, and does not give it away.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 6]);

impl OwnerValue {
    /// A short hash of the value, for logs.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = sha1_smol::Sha1::from(self.as_str()).digest().bytes();
        let mut fingerprint = [0; 6];
        fingerprint.copy_from_slice(&hash[..6]);
        Fingerprint(fingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

pub(crate) async fn inspect(wanted: &Wanted) -> Vec<Inspected> {
    let nodes = wanted.redsync.nodes();
    let answers = wanted.redsync.ask(wanted.options.node_timeout(), |node| {
        let names = wanted.names.iter().map(move |name| async move {
            let found = nodes[node].get().inspect(name).await?;
            let (mode, holders) =
                found.map_or_else(Default::default, |found| (found.mode, found.holders));
            let holders = holders.into_iter().map(move |holder| HeldBy {
                name: Arc::clone(name),
                mode,
                fingerprint: holder.value.fingerprint(),
                remaining: holder.remaining,
            });
            Ok(holders.collect::<Vec<_>>())
        });
        try_join_all(names)
    });
    let answers = answers.await.into_iter().zip(nodes);
    answers
        .map(|(answer, node)| Inspected {
            address: node.get().address().into(),
            holders: answer.map(|names| names.into_iter().flatten().collect()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_stable_and_not_the_value() {
        let value = OwnerValue::from("abc");
        assert_eq!(value.fingerprint().to_string(), "a9993e364706");
        assert_ne!(value.fingerprint(), OwnerValue::from("abd").fingerprint());
    }
}
