//! `redsync`: runs a command under a distributed lock, and shows or releases such locks.
//!
//! The [README](https://docs.rs/crate/redsync-cli) says how to use it.

#[cfg(not(unix))]
compile_error!("redsync-cli forwards signals and stops process groups, so it needs Unix");

mod arguments;
mod exit;
mod holders;
mod inspect;
mod nodes;
mod release;
mod run;
mod say;

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime;

use self::{
    arguments::{Action, Arguments},
    exit::{Failure, code},
    say::say,
};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return arguments::refused(&error),
    };
    match perform(arguments.action) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            // With `--conflict-exit-code 0`, the user has said that this is no failure. cron would
            // send a mail.
            if failure.code != 0 {
                say(&failure);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn perform(action: Action) -> Result<u8, Failure> {
    // Replaces this process, so it needs no runtime.
    #[cfg(target_os = "linux")]
    if let Action::Become(command) = action {
        return Err(run::become_command(&command));
    }
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(code::SYSTEM, format!("no runtime: {error}")))?;
    let done = runtime.block_on(async {
        match action {
            Action::Run(arguments) => run::run(&arguments).await,
            Action::Inspect(arguments) => inspect::inspect(&arguments).await,
            Action::Release(arguments) => release::release(&arguments).await,
            #[cfg(target_os = "linux")]
            Action::Become(_) => unreachable!("it has replaced this process, or failed"),
        }
    });
    // Work in the background has been waited for as long as it is worth.
    runtime.shutdown_background();
    done
}
