//! What the programs of the examples share, and what is not the subject of any of them: settings from the
//! environment, a log, a port, a database, and the signals that end a program.

mod database;
mod settings;
mod shutdown;
mod start;

pub use self::{
    database::{Database, integer},
    settings::{duration, number, redsync, text},
    shutdown::shutdown_signal,
    start::{listen, log},
};
