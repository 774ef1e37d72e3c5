//! Input from outside, of every shape, made by chance: nothing panics, and what is known of the
//! result holds.
//!
//! [`redsync_tests::inputs`] says what has to hold. The targets in `fuzz/` check the same.

mod layer;
mod nodes;

use proptest::prelude::*;

/// A setting of proptest with this number of cases.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
