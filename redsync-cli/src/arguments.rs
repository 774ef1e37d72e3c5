//! The arguments of the command line.

mod refusal;
mod time;

use std::{ffi::OsString, time::Duration};

use clap::{Args, Parser, Subcommand};

pub(crate) use self::refusal::refused;
use crate::exit::{CODES, code};

/// Runs a command under a distributed lock on Redis or Valkey nodes, and shows or releases such
/// locks.
#[derive(Debug, Parser)]
#[command(name = "redsync", version, after_help = CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    Run(Run),
    Inspect(Inspect),
    Release(Release),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Become(Become),
}

/// The nodes, which all subcommands need.
#[derive(Args, Debug)]
#[command(next_help_heading = "Nodes")]
pub(crate) struct Nodes {
    /// The URL of a node, such as redis://user:password@10.0.0.1:6379, or rediss:// for TLS. Repeat
    /// it, or separate the URLs by commas (and write %2C for a comma in a password). Use an odd
    /// number of independent nodes, none of them a replica of another.
    ///
    /// Other users of the machine can see arguments, but not the environment: put URLs with
    /// passwords there.
    #[arg(
        long = "node",
        value_name = "URL",
        env = "REDSYNC_NODES",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub(crate) urls: Vec<String>,

    /// How long to wait for one node's answer.
    #[arg(long, value_name = "TIME", value_parser = time::parse, default_value = "400ms")]
    pub(crate) node_timeout: Duration,
}

/// Runs a command while it holds a lock.
///
/// The lock is extended for as long as the command runs. If it is lost nevertheless, the command
/// and its process group are stopped: first with TERM, then with KILL. TERM, INT, HUP, QUIT, USR1
/// and USR2 are passed on to them.
///
/// The command finds in its environment REDSYNC_NAME, the name (several are separated by line
/// breaks), REDSYNC_FENCING_TOKEN, a number that grows with every acquisition, and REDSYNC_UNTIL,
/// the time up to which the lock is valid if it is never extended, in seconds since 1970.
#[derive(Args, Debug)]
#[command(after_help = CODES)]
pub(crate) struct Run {
    /// The name of the lock. With several names, all of them are locked, or none.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,

    /// The command and its arguments.
    #[arg(value_name = "COMMAND", required = true, last = true)]
    pub(crate) command: Vec<OsString>,

    #[command(flatten)]
    pub(crate) nodes: Nodes,

    #[command(flatten)]
    pub(crate) lock: Lock,

    #[command(flatten)]
    pub(crate) conduct: Conduct,
}

/// How the lock is acquired and held.
#[derive(Args, Debug)]
#[command(next_help_heading = "Lock")]
pub(crate) struct Lock {
    /// How long to wait while another holder has the lock, such as 10, 500ms or "1h 30m". A number
    /// without a unit is in seconds. Without this, redsync waits for as long as it takes.
    #[arg(short, long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) wait: Option<Duration>,

    /// Do not wait: the same as --wait 0.
    #[arg(short, long, conflicts_with = "wait")]
    pub(crate) no_wait: bool,

    /// How long the nodes keep the lock if redsync no longer extends it, because it was killed or
    /// the network is down. 8s by default, or the --min-hold if that is longer.
    #[arg(short, long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) expiry: Option<Duration>,

    /// How long the lock stays, even if the command ends before, so that a job that several
    /// machines start at about the same time runs once.
    #[arg(long, value_name = "TIME", value_parser = time::parse, default_value = "0")]
    pub(crate) min_hold: Duration,

    /// Share the lock with other shared holders. Shared locks have no fencing token.
    #[arg(short, long)]
    pub(crate) shared: bool,

    /// How many holders there may be at the same time. All of them have to give the same number.
    /// With more than one, there is no fencing token.
    #[arg(
        short,
        long,
        value_name = "K",
        default_value_t = 1,
        conflicts_with = "shared"
    )]
    pub(crate) permits: usize,

    /// Acquire no fencing token.
    #[arg(long)]
    pub(crate) no_fencing: bool,

    /// What `redsync inspect` shows of this holder. [default: the host and the process id]
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
}

/// What redsync does besides.
#[derive(Args, Debug)]
#[command(next_help_heading = "Conduct")]
pub(crate) struct Conduct {
    /// The exit code if another holder has the lock. With 0, redsync says nothing about it.
    #[arg(short = 'E', long, value_name = "N", default_value_t = code::CONTENTION)]
    pub(crate) conflict_exit_code: u8,

    /// When the lock is lost: the time from TERM to KILL.
    #[arg(long, value_name = "TIME", value_parser = time::parse, default_value = "5s")]
    pub(crate) grace: Duration,

    /// While it waits, show no progress on a terminal, and say nothing of an outage.
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Show what happens to the nodes and the lock, on stderr.
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
}

/// Shows who holds a lock.
#[derive(Args, Debug)]
#[command(after_help = CODES)]
pub(crate) struct Inspect {
    /// The name of the lock.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,

    /// How many holders there may be at the same time, as it was given to `redsync run`.
    #[arg(short, long, value_name = "K", default_value_t = 1)]
    pub(crate) permits: usize,

    /// Show it as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) nodes: Nodes,
}

/// Takes a lock from its holder.
///
/// The holder does not know it at once. It goes on until its next extension, and meanwhile the next
/// holder works at the same time. A lock whose holder has crashed expires by itself.
#[derive(Args, Debug)]
#[command(after_help = CODES)]
pub(crate) struct Release {
    /// The name of the lock.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,

    /// How many holders there may be at the same time, as it was given to `redsync run`. The locks
    /// of all of them are released.
    #[arg(short, long, value_name = "K", default_value_t = 1)]
    pub(crate) permits: usize,

    /// Release the lock although another process holds it. There is no other way.
    #[arg(long, required = true)]
    pub(crate) force: bool,

    /// Do not ask. It is needed if stdin is not a terminal.
    #[arg(short, long)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) nodes: Nodes,
}

/// Becomes the command, once it is sure that the command ends if `redsync run` is killed.
#[cfg(target_os = "linux")]
#[derive(Args, Debug)]
pub(crate) struct Become {
    /// The process id of `redsync run`.
    pub(crate) parent: i32,

    #[arg(required = true, last = true)]
    pub(crate) command: Vec<OsString>,
}
