//! The example `orders`, end to end: its program is started, gets HTTP requests, and is ended.

mod bad_input;
mod client;
mod counting;
mod crashes;
mod outages;
mod service;
mod shutdown;
mod slow_work;
