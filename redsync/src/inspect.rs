//! The holders of a name, for people to read.

use std::{sync::Arc, time::Duration};

use crate::{Fingerprint, Mode, NodeError, nodes::Nodes, request::Request};

/// The holders that one node reports for the names of a mutex: an item of
/// [`Mutex::inspect`](crate::Mutex::inspect).
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The node's address, without credentials.
    pub address: Arc<str>,
    /// The holders of the names on this node; empty if all names are free.
    pub holders: Result<Vec<NameHolder>, NodeError>,
}

/// One holder of one name on one node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NameHolder {
    /// The name, with its prefix.
    pub name: Arc<str>,
    /// Exclusive or shared.
    pub mode: Mode,
    /// The [fingerprint](crate::OwnerValue::fingerprint) of the owner value. It is the same on
    /// every node.
    pub fingerprint: Fingerprint,
    /// How long the node will keep the name for this holder, if that is known.
    pub remaining: Option<Duration>,
}

pub(crate) async fn inspect(request: &Request, nodes: &Nodes) -> Vec<Inspection> {
    let limit = request.options.timing.node_timeout();
    let names: Vec<Arc<str>> = (request.permits())
        .flat_map(|names| names.iter().cloned())
        .collect();
    let answers = nodes.ask_all(limit, async |node| {
        let found = nodes.inspect(node, &names).await?;
        let mut holders = Vec::new();
        for (name, found) in names.iter().zip(found) {
            let Some(found) = found else {
                continue;
            };
            holders.extend(found.holders.into_iter().map(|holder| NameHolder {
                name: Arc::clone(name),
                mode: found.mode,
                fingerprint: holder.value.fingerprint(),
                remaining: holder.remaining,
            }));
        }
        Ok(holders)
    });
    let answers = answers.await.into_iter().enumerate();
    answers
        .map(|(node, holders)| Inspection {
            address: Arc::clone(nodes.address(node)),
            holders,
        })
        .collect()
}
