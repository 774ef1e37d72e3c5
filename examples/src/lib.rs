//! What the programs of the examples share, and what is not the subject of any of them: settings from the
//! environment, a log, a port, and the signals that end a program.

mod settings;
mod shutdown;
mod start;

pub use self::{
    settings::{duration, number, redsync, text},
    shutdown::shutdown_signal,
    start::{listen, log},
};
