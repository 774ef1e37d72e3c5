//! The holders of a lock, put together from what each node reports.

use std::{fmt, sync::Arc, time::Duration};

use redsync::{Fingerprint, Inspection, Mode, NameHolder, Printable};
use serde_json::{Value, json};

/// What the nodes report.
pub(crate) struct Holders {
    holders: Vec<HolderOnNodes>,
    failures: Vec<(Arc<str>, String)>,
    nodes: usize,
    quorum: usize,
}

/// A holder of a name, with the number of nodes that report it.
struct HolderOnNodes {
    holder: NameHolder,
    nodes: usize,
    /// The longest time for which one of these nodes will keep the name, if it is known.
    remaining: Option<Duration>,
}

impl HolderOnNodes {
    fn is(&self, holder: &NameHolder) -> bool {
        self.holder.fingerprint == holder.fingerprint && self.holder.name == holder.name
    }
}

impl Holders {
    /// Puts together what the nodes report.
    pub(crate) fn of(nodes: &[Inspection], quorum: usize) -> Self {
        let mut found = Self {
            holders: Vec::new(),
            failures: Vec::new(),
            nodes: nodes.len(),
            quorum,
        };
        for node in nodes {
            match &node.holders {
                Ok(holders) => holders.iter().for_each(|holder| found.add(holder)),
                Err(error) => {
                    let failure = (Arc::clone(&node.address), error.to_string());
                    found.failures.push(failure);
                }
            }
        }
        found
    }

    fn add(&mut self, holder: &NameHolder) {
        if let Some(known) = self.holders.iter_mut().find(|it| it.is(holder)) {
            known.nodes += 1;
            known.remaining = known.remaining.max(holder.remaining);
        } else {
            self.holders.push(HolderOnNodes {
                holder: holder.clone(),
                nodes: 1,
                remaining: holder.remaining,
            });
        }
    }

    /// Whether enough nodes answered to know who holds the lock.
    pub(crate) const fn is_known(&self) -> bool {
        self.nodes - self.failures.len() >= self.quorum
    }

    /// Whether no node that answered has a holder.
    pub(crate) const fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// Whether there are keys with the names, but none that is a lock.
    pub(crate) fn are_no_locks(&self) -> bool {
        !self.is_empty() && self.holders.iter().all(|it| it.remaining.is_none())
    }

    /// Whether all of these are among the others.
    pub(crate) fn are_among(&self, others: &Self) -> bool {
        self.holders
            .iter()
            .all(|it| others.holders.iter().any(|other| other.is(&it.holder)))
    }

    /// The nodes that did not answer, with the reason of each.
    pub(crate) fn failures(&self) -> impl Iterator<Item = String> {
        (self.failures.iter()).map(|(address, reason)| format!("{} {reason}", Printable(address)))
    }

    /// Who holds the lock, for the middle of a line; nothing if that is not known.
    pub(crate) fn briefly(&self) -> String {
        let holds = |it: &&HolderOnNodes| it.nodes >= self.quorum && it.holder.label.is_some();
        let labels: Vec<_> = (self.holders.iter().filter(holds))
            .filter_map(|it| it.holder.label.as_deref())
            .map(|label| Printable(label).to_string())
            .collect();
        match &*labels {
            [] => String::new(),
            [one] => format!(", held by {one}"),
            [one, others @ ..] => format!(", held by {one} and {} others", others.len()),
        }
    }

    /// Which nodes did not answer, for the end of a line; nothing if all did.
    pub(crate) fn failures_briefly(&self) -> String {
        match &*self.failures {
            [] => String::new(),
            [(one, _)] => format!("; no answer from {}", Printable(one)),
            [(one, _), others @ ..] => {
                let (one, others) = (Printable(one), others.len());
                format!("; no answer from {one} and {others} more")
            }
        }
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let holders = self.holders.iter().map(|it| {
            json!({
                "name": &*it.holder.name,
                "mode": it.holder.mode.as_str(),
                "label": it.holder.label,
                "fingerprint": it.holder.fingerprint.to_string(),
                "nodes": it.nodes,
                "has_quorum": it.nodes >= self.quorum,
                "is_lock": it.remaining.is_some(),
                "remaining_ms": it.remaining.map(|it| it.as_millis() as u64),
            })
        });
        let failures = (self.failures.iter())
            .map(|(node, reason)| json!({ "node": &**node, "reason": reason }));
        json!({
            "holders": holders.collect::<Vec<_>>(),
            "failures": failures.collect::<Vec<_>>(),
            "nodes": self.nodes,
            "quorum": self.quorum,
        })
    }
}

/// A line for each holder.
impl fmt::Display for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for HolderOnNodes {
            holder,
            nodes,
            remaining,
        } in &self.holders
        {
            let name = Printable(&holder.name);
            let holds = match remaining {
                None => {
                    "is not a lock (it has no expiry or is of another type). The fingerprint of its value is"
                }
                Some(_) if *nodes < self.quorum => "is on too few nodes to be locked, by",
                Some(_) if holder.mode == Mode::Shared => "is shared by",
                Some(_) => "is held by",
            };
            let who = Who(holder.label.as_deref(), holder.fingerprint);
            write!(
                f,
                "`{name}` {holds} {who}, on {nodes} of {} nodes",
                self.nodes
            )?;
            if let Some(remaining) = remaining {
                write!(f, ", for another {:.1} s", remaining.as_secs_f64())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The label and the fingerprint of a holder.
struct Who<'a>(Option<&'a str>, Fingerprint);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(label, fingerprint) = self;
        match label {
            Some(label) => write!(f, "{} ({fingerprint})", Printable(label)),
            None => write!(f, "{fingerprint}"),
        }
    }
}
