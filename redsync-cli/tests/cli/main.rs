//! The command line against real servers: real processes, which are signalled, stopped and killed.

mod exits;
mod inspection;
mod killed;
mod losing;
mod options;
mod passing;
mod signals;
mod support;
#[cfg(target_os = "linux")]
mod terminals;
