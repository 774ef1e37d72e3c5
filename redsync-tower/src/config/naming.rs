//! From the names of a key to the names on the nodes: prefix, hash, length.
//!
//! The text `#sha256:` marks the short form of a name. A name has it if names are to be hashed, if
//! it is long, if it is reserved for the counters of fencing tokens or the permits of semaphores,
//! or if a Cluster could keep no counter beside it. A name that contains the mark from the start has a short form too, so that no name
//! can equal the short form of another.

use std::{fmt::Write, sync::Arc};

use redsync::{ConfigError, Mutex, Redsync};
use sha2::{Digest, Sha256};

use crate::key::LockKey;

const MARK: &str = "#sha256:";

/// The greatest length of a name, in bytes and with its prefix, that is not shortened.
const MAX_UNSHORTENED_LEN: usize = 200;

/// The suffix of the keys of counters, and that of the keys of permits, which a number follows. The
/// core refuses names with either ending.
const FENCE: &str = ":fence";
const PERMIT: &str = ":permit-";

/// The number of bytes that stay readable before the mark.
const READABLE_LEN: usize = 64;

/// How a layer changes the names of its keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naming {
    pub(crate) prefix: Arc<str>,
    pub(crate) hashed: bool,
}

impl Naming {
    /// Makes the mutex for a key.
    pub(crate) fn mutex(&self, redsync: &Redsync, key: &LockKey) -> Mutex {
        let mut names = key.names();
        let mutex = match (names.len(), names.next()) {
            (1, Some(only)) => redsync.mutex(self.name(redsync, only)),
            _ => redsync.mutex_many(key.names().map(|name| self.name(redsync, name))),
        };
        mutex.with_mode(key.mode())
    }

    fn name(&self, redsync: &Redsync, name: &str) -> Arc<str> {
        // An empty name stays empty, so that the core refuses it.
        if name.is_empty() {
            return "".into();
        }
        let prefix = &*self.prefix;
        let whole: Arc<str> = if prefix.is_empty() {
            name.into()
        } else {
            format!("{prefix}{name}").into()
        };
        if self.hashed {
            short_form(prefix, &whole)
        } else if whole.len() > MAX_UNSHORTENED_LEN
            || whole.contains(MARK)
            || !can_have_counter(&whole)
            || is_reserved(redsync, &whole)
        {
            short_form(&whole, &whole)
        } else {
            whole
        }
    }
}

/// Whether the counter of a name can be in its slot of a Cluster: if the name has `{...}` in it, or
/// can be put between these.
fn can_have_counter(name: &str) -> bool {
    let tagged = name
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    tagged.map_or(!name.contains('}'), |(tag, _)| !tag.is_empty())
}

/// Whether the core refuses the name as reserved, after it has put its own prefix before it.
fn is_reserved(redsync: &Redsync, name: &Arc<str>) -> bool {
    // Cheap, and false for nearly all names.
    let may_end_in = |name: &str, suffix: &str| name.ends_with(suffix) || suffix.ends_with(name);
    let unnumbered = name.trim_end_matches(|last: char| last.is_ascii_digit());
    let may_be = may_end_in(name, FENCE) || may_end_in(unnumbered, PERMIT);
    let check = || redsync.mutex(Arc::clone(name)).check();
    may_be && matches!(check(), Err(ConfigError::ReservedName { .. }))
}

/// The start of `readable`, the mark, and the hash of the whole name.
fn short_form(readable: &str, name: &str) -> Arc<str> {
    let end = (0..=READABLE_LEN).rfind(|end| readable.is_char_boundary(*end));
    let mut short = readable[..end.unwrap_or_default()].to_owned();
    if !can_have_counter(&short) {
        short = short.replace('}', "_");
    }
    short.push_str(MARK);
    for byte in Sha256::digest(name) {
        write!(short, "{byte:02x}").expect("writing to a String cannot fail");
    }
    short.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(prefix: &str, hashed: bool) -> Naming {
        let prefix = prefix.into();
        Naming { prefix, hashed }
    }

    fn shorten(name: &str) -> String {
        naming("", false)
            .name(&Redsync::in_memory(1), name)
            .to_string()
    }

    #[test]
    fn a_long_name_is_shortened_and_stays_distinct() {
        let long = |last: char| format!("{}{last}", "ä".repeat(500));
        assert_eq!(shorten("order:42"), "order:42");
        assert_eq!(shorten(&long('a')), shorten(&long('a')));
        assert_ne!(shorten(&long('a')), shorten(&long('b')));
        assert!(shorten(&long('a')).len() <= MAX_UNSHORTENED_LEN);
        // The short form of one name is not the name of another.
        let short = shorten(&long('a'));
        assert_ne!(shorten(&short), short);
    }

    #[test]
    fn a_reserved_name_has_a_short_form_that_can_be_locked() {
        let plain = Redsync::in_memory(1);
        let prefixed = plain.clone();
        let prefixed = prefixed.with_defaults(|mutex| mutex.with_key_prefix("shop:"));
        let prefixed = prefixed.unwrap();
        for (redsync, prefix, name, is_short) in [
            (&plain, "", "cart:fence", true),
            (&plain, "", ":fence", true),
            (&plain, "cart:", "fence", true),
            (&plain, "cart:f", "ence", true),
            (&plain, "", "fence", false),
            (&plain, "cart", "fence", false),
            (&plain, "", "e", false),
            (&plain, "", "cart:fence:1", false),
            (&prefixed, "", "fence", true),
            (&prefixed, "", "e", false),
        ] {
            let mutex = naming(prefix, false).mutex(redsync, &name.into());
            let shown: String = mutex.keys().collect();
            mutex.check().unwrap();
            assert_eq!(shown.contains(MARK), is_short, "{shown}");
            assert!(shown.contains(name), "{shown}");
        }
        assert_ne!(shorten("a:fence"), shorten("b:fence"));
        let short = shorten("a:fence");
        assert_ne!(shorten(&short), short);
    }

    /// As redis.io, "Redis cluster specification", says it of hash tags: the slot is that of the text
    /// between the first `{` and the first `}` after it, or of the whole name if there is none.
    #[test]
    fn a_name_beside_which_a_cluster_could_keep_no_counter_has_a_short_form_beside_which_it_can() {
        let tail = "x".repeat(MAX_UNSHORTENED_LEN);
        for (name, is_short) in [
            ("a}b".to_owned(), true),
            ("}".to_owned(), true),
            ("{}a".to_owned(), true),
            ("a}{".to_owned(), true),
            ("a{b".to_owned(), false),
            ("{a}b".to_owned(), false),
            ("a}{b}".to_owned(), false),
            // The part with the braces is cut off, and not that before it.
            (format!("a}}{tail}{{b}}"), true),
        ] {
            let locked = shorten(&name);
            assert_eq!(locked.contains(MARK), is_short, "{name}");
            let rest = locked.split_once('{').map(|(_, rest)| rest);
            let tag = rest.and_then(|rest| rest.split_once('}'));
            assert!(
                tag.is_some_and(|(tag, _)| !tag.is_empty()) || !locked.contains('}'),
                "{locked}"
            );
        }
        assert_ne!(shorten("a}b"), shorten("a_b"));
        assert_ne!(shorten("a}b"), shorten("a}c"));
    }

    #[test]
    fn a_hashed_name_shows_only_its_prefix_and_equals_no_other_name() {
        let redsync = Redsync::in_memory(1);
        let key = |name: &str, prefix: &str, hashed| -> String {
            let mutex = naming(prefix, hashed).mutex(&redsync, &name.into());
            mutex.names().collect()
        };
        let ann = key("ann@example.com", "user:", true);
        assert!(
            ann.starts_with("user:#sha256:") && !ann.contains("ann"),
            "{ann}"
        );
        assert_eq!(ann, key("ann@example.com", "user:", true));
        assert_ne!(ann, key("bob@example.com", "user:", true));
        // Neither a plain name nor a short form equals it.
        assert_ne!(ann, key(&ann, "", false));
        assert_ne!(ann, key(&ann["user:".len()..], "user:", false));
        // The hash covers the part of a prefix that is cut off.
        let prefix = |last: char| format!("{}{last}:", "p".repeat(64));
        assert_ne!(key("1", &prefix('a'), true), key("1", &prefix('b'), true));
        assert_eq!(key("", "user:", true), "");
    }

    #[test]
    fn each_name_has_the_prefix_and_an_empty_name_stays_empty() {
        let redsync = Redsync::in_memory(1);
        let mutex = |key: LockKey| naming("shop:", false).mutex(&redsync, &key);
        let names = mutex(LockKey::from("b").and("a"));
        assert_eq!(names.names().collect::<Vec<_>>(), ["shop:a", "shop:b"]);
        assert!(mutex(LockKey::from("")).check().is_err());
    }
}
