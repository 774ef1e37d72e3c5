//! The event that says who holds a lock for which a request was refused.

use std::{collections::HashSet, time::Duration};

use redsync::{Fingerprint, Mutex, NameHolder, Printable};
use tokio::runtime::Handle;
use tracing::{Instrument, Span};

use crate::live::Inspections;

/// The most holders of a lock that are logged one by one. A shared lock can have thousands.
const MOST: usize = 8;

/// Asks the nodes who holds the lock, in the background, and logs the holders. It does nothing if
/// the nodes are being asked for that already, or for too many other locks.
pub(crate) fn log(mutex: Mutex, inspections: &Inspections, span: Span) {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    let Some(inspection) = inspections.begin(&mutex) else {
        return;
    };
    let asks = async move {
        let _under_way = inspection;
        // The names and options are valid: an attempt has been made.
        let Ok(nodes) = mutex.inspect().await else {
            return;
        };
        let mut seen: HashSet<Fingerprint> = HashSet::new();
        let holders = nodes.iter().flat_map(|node| node.holders.iter().flatten());
        for holder in holders {
            if seen.insert(holder.fingerprint) && seen.len() <= MOST {
                event(holder);
            }
        }
        let others = seen.len().saturating_sub(MOST);
        if others > 0 {
            tracing::info!(
                others,
                "a request was refused because of other holders, too"
            );
        }
    };
    runtime.spawn(asks.instrument(span));
}

fn event(holder: &NameHolder) {
    let NameHolder {
        name,
        label,
        fingerprint,
        remaining,
        ..
    } = holder;
    tracing::info!(
        name = %Printable(name),
        holder = label.as_deref().map(Printable).map(display),
        %fingerprint,
        remaining = ?remaining.unwrap_or(Duration::ZERO),
        "a request was refused because of this holder"
    );
}
