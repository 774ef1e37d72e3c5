//! The example `idempotency`, end to end: its program is started, gets HTTP requests, and is killed.

mod answers;
mod client;
mod copies;
mod crashes;
mod input;
