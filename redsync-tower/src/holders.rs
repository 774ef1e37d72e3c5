//! The event that says who holds a lock for which a request was refused.

use std::time::Duration;

use redsync::{Fingerprint, Mutex, NameHolder, Printable};
use tokio::runtime::Handle;
use tracing::{Instrument, Span};

use crate::live::Inspections;

/// Asks the nodes who holds the lock, in the background, and logs each holder. It does nothing if
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
        let mut seen: Vec<Fingerprint> = Vec::new();
        let holders = nodes.iter().flat_map(|node| node.holders.iter().flatten());
        for holder in holders {
            if !seen.contains(&holder.fingerprint) {
                seen.push(holder.fingerprint);
                event(holder);
            }
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
