//! The holders of a name, for people to read, or to take the name from them.

use std::{sync::Arc, time::Duration};

use crate::{
    Fingerprint, Mode, NodeError, Printable,
    node::{Entry, Holder, Holders, ReleaseVote},
    nodes::Nodes,
    request::Request,
};

/// The holders that one node reports for the names of a mutex: an item of
/// [`Mutex::inspect`](crate::Mutex::inspect), and of
/// [`Mutex::force_release`](crate::Mutex::force_release).
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
    /// The [label](crate::Mutex::with_owner_label) that the holder has chosen, if it has. It comes
    /// from another process: show it as [`Printable`](crate::Printable).
    pub label: Option<Box<str>>,
    /// How long the node will keep the name for this holder, if that is known.
    pub remaining: Option<Duration>,
}

/// Asks every node who holds the names.
///
/// # Cancel safety
///
/// Dropping the future changes nothing.
pub(crate) async fn inspect(request: &Request, nodes: &Nodes) -> Vec<Inspection> {
    let keys = keys(request);
    let limit = request.options.timing.node_timeout();
    let answers = nodes.ask_all(limit, async |node| {
        let reported = reported_by(nodes, node, &keys).await?;
        Ok(reported.iter().map(NameHolder::from).collect())
    });
    by_address(answers.await, nodes)
}

/// Releases the names on every node for those who hold them, whoever they are. Returns the holders
/// that each node has released.
///
/// Each holder is released by the owner value that the node has just reported, so one that has
/// acquired a name in between keeps it. A key without an expiry is not a lock, and stays.
///
/// # Cancel safety
///
/// If the future is dropped, some nodes have released the names, and others have not.
pub(crate) async fn force_release(request: &Request, nodes: &Nodes) -> Vec<Inspection> {
    let keys = keys(request);
    let timing = &request.options.timing;
    let answers = nodes.ask_all(timing.node_timeout(), async |node| {
        let mut released = Vec::new();
        for reported in reported_by(nodes, node, &keys).await? {
            if reported.holder.remaining.is_none() {
                continue;
            }
            let value = reported.holder.value.clone();
            let entry = Entry::new(&reported.key, value, timing.expiry()).with_mode(reported.mode);
            if nodes.release(node, &entry).await? == ReleaseVote::Released {
                let holder = NameHolder::from(&reported);
                // At once: if the node fails at the next holder, or the caller leaves, only the log
                // has it.
                log_forced(&holder, nodes.address(node));
                released.push(holder);
            }
        }
        Ok(released)
    });
    by_address(answers.await, nodes)
}

fn log_forced(holder: &NameHolder, address: &str) {
    tracing::warn!(
        name = %Printable(&holder.name),
        node = %Printable(address),
        holder = %holder.fingerprint,
        label = holder.label.as_deref().map(Printable).map(tracing::field::display),
        "a lock was taken from its holder by force"
    );
}

/// The keys of all permits.
fn keys(request: &Request) -> Vec<Arc<str>> {
    let keys = request.permits().flat_map(|permit| permit.iter());
    keys.cloned().collect()
}

/// A holder that a node has reported, with its owner value.
struct Reported {
    key: Arc<str>,
    mode: Mode,
    holder: Holder,
}

/// Asks one node for all holders of the keys.
async fn reported_by(
    nodes: &Nodes,
    node: usize,
    keys: &[Arc<str>],
) -> Result<Vec<Reported>, NodeError> {
    let answers = nodes.inspect(node, keys).await?;
    let mut reported = Vec::new();
    for (key, answer) in keys.iter().zip(answers) {
        let Some(Holders { mode, holders }) = answer else {
            continue;
        };
        reported.extend(holders.into_iter().map(|holder| Reported {
            key: Arc::clone(key),
            mode,
            holder,
        }));
    }
    Ok(reported)
}

/// The answers of all nodes, each with the address of its node.
fn by_address(answers: Vec<Result<Vec<NameHolder>, NodeError>>, nodes: &Nodes) -> Vec<Inspection> {
    let answers = answers.into_iter().enumerate();
    answers
        .map(|(node, holders)| Inspection {
            address: Arc::clone(nodes.address(node)),
            holders,
        })
        .collect()
}

impl From<&Reported> for NameHolder {
    fn from(reported: &Reported) -> Self {
        let Reported { key, mode, holder } = reported;
        Self {
            name: Arc::clone(key),
            mode: *mode,
            fingerprint: holder.value.fingerprint(),
            label: holder.value.label().map(Into::into),
            remaining: holder.remaining,
        }
    }
}
