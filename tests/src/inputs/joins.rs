//! Keys of several names, and their names on the nodes.

use std::collections::BTreeSet;

use redsync::Redsync;
use redsync_tower::{
    RedlockLayer,
    key::{self, LockKey},
};

/// Checks that two lists of names make the same lock only if they have the same names, in whatever
/// order, and that all names but the empty one can be locked.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check(prefix: &str, hashed: bool, one: &[String], other: &[String]) {
    let redsync = Redsync::in_memory(1);
    let layer = RedlockLayer::new(redsync, key::header("unused")).with_prefix(prefix);
    let layer = layer.with_hashed_names(hashed);
    let lock = |names: &[String]| {
        let mut names = names.iter().cloned();
        let first = names.next().map(LockKey::from);
        layer.mutex(first.map_or_else(
            || Vec::<String>::new().into_iter().collect(),
            |first| names.fold(first, LockKey::and),
        ))
    };
    let on_nodes = |names| lock(names).keys().collect::<BTreeSet<_>>();
    let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    // What names are on the nodes could be the names of others.
    let keys = on_nodes(one).into_iter();
    let keys = keys.map(|key| key.strip_prefix(prefix).unwrap_or(&key).to_owned());
    for other in [other, &keys.collect::<Vec<_>>()] {
        assert_eq!(
            on_nodes(one) == on_nodes(other),
            set(one) == set(other),
            "{one:?} and {other:?}"
        );
    }
    for names in [one, other] {
        let can_be_locked = !names.is_empty() && !names.iter().any(String::is_empty);
        let checked = lock(names).check();
        assert_eq!(checked.is_ok(), can_be_locked, "{names:?}: {checked:?}");
    }
}
