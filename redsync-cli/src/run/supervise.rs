//! Watching the command and its lock, up to the end of the command.

use std::time::Duration;

use nix::sys::signal::Signal;
use redsync::{Guard, Printable};
use tokio::time::{Instant, sleep_until};

use super::{
    command::{Change, Command},
    signals::Signals,
    terminal::Terminal,
};
use crate::{exit, say::say};

/// Practically without an end, and still within the range of the clock: the user can choose any
/// grace.
const LONGEST_GRACE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How the command has ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// By itself, or by a signal that was passed on, with this exit code.
    Itself(u8),
    /// It was stopped, because the lock was lost.
    Stopped,
}

/// Passes signals on to the command, and stops it if the lock is lost. Returns when the command has
/// ended.
pub(super) async fn supervise(
    mut command: Command,
    guard: &Guard,
    signals: &mut Signals,
    mut terminal: Terminal,
    grace: Duration,
) -> End {
    let mut lost = std::pin::pin!(guard.lost());
    // When it is killed, once it has been asked to end.
    let mut deadline: Option<Instant> = None;
    let mut is_killed = false;
    let code = loop {
        tokio::select! {
            change = command.changed() => match change {
                Change::Exited(code) => break code,
                Change::Killed(signal) => break exit::of_signal(signal),
                Change::Stopped(signal) => terminal.stopped(signal, &command),
            },
            signal = signals.next() => command.signal(signal),
            request = terminal.request() => terminal.handle(request, &command),
            () = &mut lost, if deadline.is_none() => {
                let name = Printable(guard.name());
                say(format_args!("the lock `{name}` is lost; stopping the command"));
                deadline = Some(Instant::now() + grace.min(LONGEST_GRACE));
                command.signal(Signal::SIGTERM);
                // A stopped process does not notice that.
                command.signal(Signal::SIGCONT);
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)),
                if deadline.is_some() && !is_killed =>
            {
                command.signal(Signal::SIGKILL);
                is_killed = true;
            }
        }
    };
    terminal.take_back();
    let Some(deadline) = deadline else {
        return End::Itself(code);
    };
    command.all_ended(deadline).await;
    command.signal(Signal::SIGKILL);
    End::Stopped
}
