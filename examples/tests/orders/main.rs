//! The example `orders`, end to end: its program is started, gets HTTP requests, and is ended.

mod bad_input;
mod browser;
mod client;
mod compose;
mod counting;
mod crashes;
mod fencing;
mod outages;
mod page;
mod runs;
mod service;
mod shutdown;
mod slow_work;
mod webdriver;
