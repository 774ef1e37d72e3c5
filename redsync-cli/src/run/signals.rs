//! The signals that are passed on to the command.

use std::{fs, future::poll_fn, task::Poll};

use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind};

use crate::exit::Failure;

/// What people and programs send to a command to end it, or to tell it something.
const PASSED_ON: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// The signals that this process gets. None of them ends it.
pub(super) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// Receives signals from here on.
    ///
    /// A signal that this process was started to ignore stays ignored, in the command too: for
    /// `nohup`, and for the jobs in the background of a script, which Ctrl-C does not end.
    pub(super) fn listen() -> Result<Self, Failure> {
        let ignored = ignored();
        let heard = PASSED_ON
            .into_iter()
            .filter(|&signal| !contains(ignored, signal));
        heard
            .map(|signal| Ok((signal, listen(signal)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns the next signal.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no signal is lost.
    pub(super) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, received) in &mut self.0 {
                if received.poll_recv(context).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Receives one signal from here on.
pub(super) fn listen(signal: Signal) -> Result<unix::Signal, Failure> {
    unix::signal(SignalKind::from_raw(signal as i32))
        .map_err(|error| Failure::system("signals cannot be received", error))
}

/// The set of the signals that this process ignores, as Linux shows it. Elsewhere it is not known.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or_default()
}

const fn contains(set: u64, signal: Signal) -> bool {
    set & (1 << (signal as i32 - 1)) != 0
}
