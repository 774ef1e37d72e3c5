//! Waiting for the lock, with a line of progress on a terminal, and with a word about an outage
//! elsewhere.

use std::{
    convert::Infallible,
    future::pending,
    io::{self, IsTerminal},
    time::Duration,
};

use nix::sys::signal::Signal;
use redsync::{Guard, LockError, Mutex, Printable};
use tokio::time::{Instant, sleep};

use super::signals::Signals;
use crate::{
    arguments::Run,
    holders::Holders,
    say::{say, write},
};

/// A wait that is shorter is not worth a line.
const SOON: Duration = Duration::from_millis(500);

/// How often the line is renewed, and the nodes are asked who holds the lock.
const PACE: Duration = Duration::from_secs(1);

/// How often the nodes are asked where there is no line. Very many jobs may wait at the same time.
const LOOK: Duration = Duration::from_secs(2);

/// Acquires the lock, unless a signal comes that would end the command.
pub(super) async fn acquire(
    mutex: &Mutex,
    arguments: &Run,
    signals: &mut Signals,
) -> Result<Result<Guard, Signal>, LockError> {
    let lock = match arguments.lock.wait {
        _ if arguments.lock.no_wait => mutex.try_lock(),
        Some(wait) => mutex.lock_within(wait),
        None => mutex.lock_within(Duration::MAX),
    };
    let progress = async {
        match &arguments.conduct {
            conduct if conduct.quiet => pending().await,
            _ if io::stderr().is_terminal() => show(mutex, arguments).await,
            // Its events say it, too.
            conduct if conduct.verbose => pending().await,
            _ => report_outages(mutex, arguments).await,
        }
    };
    tokio::select! {
        biased;
        signal = ending(signals) => Ok(Err(signal)),
        guard = lock => guard.map(Ok),
        never = progress => match never {},
    }
}

/// Returns the first signal that ends a command that does not handle it. The others are for a
/// command that handles them, and there is none yet.
async fn ending(signals: &mut Signals) -> Signal {
    loop {
        match signals.next().await {
            Signal::SIGUSR1 | Signal::SIGUSR2 => {}
            signal => return signal,
        }
    }
}

/// Shows on a line how long this process has waited, and for whom.
async fn show(mutex: &Mutex, arguments: &Run) -> Infallible {
    let start = Instant::now();
    let mut line = Line { is_shown: false };
    sleep(SOON).await;
    loop {
        let nodes = mutex.inspect().await.unwrap_or_default();
        let holders = Holders::of(&nodes, arguments.nodes.quorum());
        let names = arguments.names.join(", ");
        line.show(&format!(
            "waiting for `{}`{} ({} s){}",
            Printable(names),
            holders.briefly(),
            start.elapsed().as_secs(),
            holders.failures_briefly()
        ));
        sleep(PACE).await;
    }
}

/// Says when too few nodes answer, and when enough of them answer again.
async fn report_outages(mutex: &Mutex, arguments: &Run) -> Infallible {
    let mut is_on = false;
    loop {
        sleep(LOOK).await;
        let nodes = mutex.inspect().await.unwrap_or_default();
        let holders = Holders::of(&nodes, arguments.nodes.quorum());
        match (is_on, holders.is_known()) {
            (false, false) => {
                let failures: Vec<_> = holders.failures().collect();
                say(format_args!(
                    "waiting, because too few nodes answer: {}",
                    failures.join("; ")
                ));
            }
            (true, true) => say("enough nodes answer again"),
            _ => {}
        }
        is_on = !holders.is_known();
    }
}

/// A line on a terminal, which replaces itself, and is removed at the end.
struct Line {
    is_shown: bool,
}

impl Line {
    fn show(&mut self, text: &str) {
        self.is_shown = true;
        write(&format!("\r\x1b[Kredsync: {text}"));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_shown {
            write("\r\x1b[K");
        }
    }
}
