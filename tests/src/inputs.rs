//! What has to hold of input from outside, whatever it is: one function for each kind.
//!
//! The test program `inputs` calls them with input that is made by chance, and the targets in
//! `fuzz/` with input that a fuzzer finds by the code that it reaches.

mod answering;
pub mod fence;
pub mod header;
pub mod joins;
pub mod locks;
pub mod parts;
pub mod path;
pub mod prefer;
pub mod refusals;
pub mod replies;
pub mod urls;

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

/// Runs a future to its end, on a runtime that stays: one for each input would take most of the
/// time.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local!(static RUNTIME: Runtime = {
        let runtime = Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime")
    });
    RUNTIME.with(|runtime| runtime.block_on(future))
}
