//! `redsync inspect`: shows who holds a lock.

use std::io::{self, Write};

use crate::{
    arguments::Inspect,
    exit::{Failure, code},
    holders::Holders,
    nodes,
    say::say,
};

/// Shows who holds the lock, and returns the exit code.
pub(crate) async fn inspect(arguments: &Inspect) -> Result<u8, Failure> {
    let redsync = arguments.nodes.connect()?;
    let mutex = nodes::mutex(&redsync, &arguments.names).with_permits(arguments.permits);
    let holders = Holders::of(&mutex.inspect().await?, arguments.nodes.quorum());
    if arguments.json {
        print(&format!("{:#}\n", holders.to_json()))?;
    } else {
        if holders.is_empty() && holders.is_known() {
            print("free\n")?;
        }
        print(&holders.to_string())?;
        for failure in holders.failures() {
            say(failure);
        }
    }
    if holders.is_known() {
        return Ok(0);
    }
    Err(Failure::new(
        code::UNAVAILABLE,
        "too few nodes answered to know who holds the lock",
    ))
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::system("stdout", error))
}
