//! `redsync release`: takes a lock from its holder.

use std::io::{self, BufRead, IsTerminal};

use crate::{
    arguments::Release,
    exit::{Failure, code},
    holders::Holders,
    nodes,
    say::{say, write},
};

const WARNING: &str = "\
The holder does not know at once that it has lost the lock. It goes on until its next extension, and
meanwhile the next holder works at the same time.";

/// Releases the lock, and returns the exit code.
pub(crate) async fn release(arguments: &Release) -> Result<u8, Failure> {
    let redsync = arguments.nodes.connect()?;
    let mutex = nodes::mutex(&redsync, &arguments.names).with_permits(arguments.permits);
    let quorum = arguments.nodes.quorum();
    let mut holders = Holders::of(&mutex.inspect().await?, quorum);
    if holders.is_known() && holders.are_no_locks() {
        write(&holders.to_string());
        return Err(Failure::new(
            code::NOT_A_LOCK,
            "nothing was released; if the key is in the way, delete it",
        ));
    }
    if !arguments.yes {
        loop {
            if holders.is_empty() && holders.is_known() {
                say("nobody holds it");
                return Ok(0);
            }
            ask(&holders)?;
            // The answer may take minutes, and is about the holders that were shown.
            let now = Holders::of(&mutex.inspect().await?, quorum);
            if now.are_among(&holders) {
                break;
            }
            say("the holder has changed");
            holders = now;
        }
    }
    let released = Holders::of(&mutex.force_release().await?, quorum);
    if released.is_empty() {
        say("nothing was released");
    } else {
        write(&format!("Released:\n{released}"));
    }
    for failure in released.failures() {
        say(failure);
    }
    if released.is_known() {
        return Ok(0);
    }
    Err(Failure::new(
        code::UNAVAILABLE,
        "too few nodes answered; the holder may keep the lock on the others",
    ))
}

/// Asks on the terminal whether to release the lock.
fn ask(holders: &Holders) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(
            code::USAGE,
            "stdin is not a terminal, so nobody can be asked; --yes releases the lock without a question",
        ));
    }
    write(&format!("{holders}\n{WARNING}\n\nRelease it? [y/N] "));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::system("stdin", error))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(code::DECLINED, "nothing was released"))
}
