//! `redsync run`: acquires the lock, runs the command, and releases the lock.

mod acquire;
#[cfg(target_os = "linux")]
mod become_command;
mod command;
mod signals;
mod supervise;
mod terminal;

use std::{
    io::{self, IsTerminal},
    process,
    time::Duration,
};

use redsync::{Guard, LockError, Mutex, Redsync, Released};
use tokio::time::timeout;
use tracing_subscriber::filter::LevelFilter;

#[cfg(target_os = "linux")]
pub(crate) use self::become_command::become_command;
use self::{
    acquire::acquire,
    command::Command,
    signals::Signals,
    supervise::{End, supervise},
    terminal::Terminal,
};
use crate::{
    arguments::{Lock, Run},
    exit::{self, Failure, code},
    holders::Holders,
    nodes,
    say::say,
};

/// The expiry, unless the user says otherwise: that of the library, and of go-redsync.
const EXPIRY: Duration = Duration::from_secs(8);

/// After this many attempts in a row that found no quorum of nodes, which take about eight seconds,
/// or longer if nodes hang, waiting ends. So a node that restarts does not end it, and an outage
/// does not keep a job waiting forever.
const OUTAGE_ATTEMPTS: u32 = 12;

/// How long to wait at the end for releases on nodes that do not answer. Their keys expire.
const DRAIN: Duration = Duration::from_secs(1);

/// Runs the command under the lock, and returns the exit code.
pub(crate) async fn run(arguments: &Run) -> Result<u8, Failure> {
    if arguments.conduct.verbose {
        show_events();
    }
    // From here on no signal ends this process, which has to release the lock and to stop the
    // command.
    let mut signals = Signals::listen()?;
    let redsync = arguments.nodes.connect()?;
    let mutex = arguments.lock.mutex(&redsync, &arguments.names);
    let done = match acquire(&mutex, arguments, &mut signals).await {
        Ok(Ok(guard)) => under(guard, arguments, &mut signals).await,
        Ok(Err(signal)) => Ok(exit::of_signal(signal)),
        Err(error) => Err(refused(&error, &mutex, arguments).await),
    };
    // An attempt that a signal has ended is released in the background, and so are slow nodes.
    let _ = timeout(DRAIN, redsync.drain()).await;
    done
}

/// Why there is no lock. If another holder has it, that says who, unless it is not to be printed.
async fn refused(error: &LockError, mutex: &Mutex, arguments: &Run) -> Failure {
    let conflict = arguments.conduct.conflict_exit_code;
    let failure = Failure::lock(error, conflict);
    if !error.is_contention() || conflict == 0 {
        return failure;
    }
    let nodes = mutex.inspect().await.unwrap_or_default();
    let holders = Holders::of(&nodes, arguments.nodes.quorum());
    Failure::new(failure.code, format!("{error}\n{holders}").trim_end())
}

/// Runs the command while the lock is held, and releases the lock.
async fn under(mut guard: Guard, arguments: &Run, signals: &mut Signals) -> Result<u8, Failure> {
    guard.keep_alive();
    let terminal = Terminal::open()?;
    let command = Command::start(&arguments.command, &arguments.names, &guard)?;
    let end = supervise(command, &guard, signals, terminal, arguments.conduct.grace).await;
    let name = guard.name().to_owned();
    let lost = match guard.release().await {
        Ok(Released::AlreadyLost) => true,
        Ok(Released::Held) => false,
        Err(error) => {
            // By this process's clock, the lock was valid to the end.
            say(format_args!("{error}; the lock may stay until it expires"));
            false
        }
    };
    match end {
        End::Stopped => Err(Failure::new(
            code::LOST,
            format!("the lock `{name}` was lost, and the command was stopped"),
        )),
        End::Itself(_) if lost => Err(Failure::new(
            code::LOST,
            format!("the lock `{name}` was lost before the command ended"),
        )),
        End::Itself(code) => Ok(code),
    }
}

impl Lock {
    fn mutex(&self, redsync: &Redsync, names: &[String]) -> Mutex {
        let expiry = self.expiry.unwrap_or_else(|| EXPIRY.max(self.min_hold));
        let label = self.label.clone().unwrap_or_else(label);
        let mutex = nodes::mutex(redsync, names)
            .with_expiry(expiry)
            .with_min_hold(self.min_hold)
            .with_permits(self.permits)
            .with_outage_attempts(OUTAGE_ATTEMPTS)
            .with_owner_label(move || Ok::<_, io::Error>(label.clone()));
        if self.shared {
            return mutex.shared();
        }
        mutex.with_fencing(!self.no_fencing && self.permits == 1)
    }
}

/// The host and the process id, by which a person finds the holder.
fn label() -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{}:{}", host.to_string_lossy(), process::id())
}

fn show_events() {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // They would go to stderr, and end this process if that is closed.
        .log_internal_errors(false)
        .with_target(false)
        .init();
}
