//! Stopping a process.

use std::{process::Child, time::Duration};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::wait::until;

/// Stops a child process with SIGSTOP, and returns when all of its threads stand still: until then,
/// it may go on for a moment.
///
/// # Panics
///
/// If it has ended, or is stopped already: the system reports a stop only once.
pub fn stop(child: &Child) {
    let pid = Pid::from_child(child);
    kill_process(pid, Signal::STOP).unwrap_or_else(|error| panic!("cannot stop {pid:?}: {error}"));
    until("a stopped process", Duration::from_secs(10), || {
        // This asks only for stops, so it never reaps the child.
        waitid(
            WaitId::Pid(pid),
            WaitIdOptions::STOPPED | WaitIdOptions::NOHANG,
        )
        .expect("a process to stop; it has ended")
        .is_some()
    });
}
