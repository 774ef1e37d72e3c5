//! Pages for those who run, judge or move to this crate.
//!
//! * [`promises`]: what is promised, and under which conditions.
//! * [`proven`]: what is proven, and how.
//! * [`deployment`]: how many nodes, and how they have to be configured.
//! * [`operators`]: each warning and error, with what to do; alerts.
//! * [`speed`] and [`scale`]: measured figures.
//! * [`from_go_redsync`] and [`from_rslock`]: for users of these libraries.
//!
//! Two more pages stand with what they are about: [waiting for a
//! lock](crate::future::Lock#waiting-for-a-lock), and the [servers](crate::node::redis).

// So that the links of the pages lead somewhere.
#[cfg(doc)]
use crate::*;

#[doc = include_str!("docs/deployment.md")]
pub mod deployment {}

#[doc = include_str!("docs/go-redsync.md")]
pub mod from_go_redsync {}

#[doc = include_str!("docs/rslock.md")]
pub mod from_rslock {}

#[doc = include_str!("docs/operators.md")]
pub mod operators {}

#[doc = include_str!("docs/promises.md")]
pub mod promises {}

#[doc = include_str!("docs/proven.md")]
pub mod proven {}

#[doc = include_str!("docs/scale.md")]
///
#[doc = include_str!("docs/scale.svg")]
///
#[doc = include_str!("docs/scale-figures.md")]
pub mod scale {}

#[doc = include_str!("docs/speed.md")]
pub mod speed {}
