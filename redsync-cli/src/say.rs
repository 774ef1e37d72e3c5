//! Words for the user, on stderr.
//!
//! The terminal may have been closed, or whatever reads stderr may have ended. That must not end
//! this process, as the macros of the standard library would do: it has a command to stop, and a
//! lock to release.

use std::{
    fmt::Display,
    io::{self, Write},
};

/// Writes a line that begins with the name of this program.
pub(crate) fn say(words: impl Display) {
    write(&format!("redsync: {words}\n"));
}

/// Writes text as it is.
pub(crate) fn write(text: &str) {
    let mut stderr = io::stderr();
    // There is nobody to tell.
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}
