//! The options of a mutex: the `with_*` methods of [`Mutex`], in one file for each group.

mod kind;
mod queueing;
mod retry;
mod timing;

// Last in the docs of `Mutex`, too.
mod parity;

use std::sync::Arc;

use super::Mutex;
use crate::options::Options;

impl Mutex {
    fn set(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_docs_list_every_option() {
        let docs = include_str!("../docs/options.md");
        let groups = [
            include_str!("options/kind.rs"),
            include_str!("options/parity.rs"),
            include_str!("options/queueing.rs"),
            include_str!("options/retry.rs"),
            include_str!("options/timing.rs"),
        ];
        let options = groups.iter().flat_map(|code| code.split("pub fn ").skip(1));
        for option in options {
            let name = option.split(['(', '<']).next().unwrap_or_default();
            let link = format!("[`{name}`](Mutex::{name})");
            assert!(docs.contains(&link), "{link}");
        }
    }
}
