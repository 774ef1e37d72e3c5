use std::{borrow::Cow, fmt::Write, sync::Arc};

use redsync::{Mutex, Redsync, node::Mode};
use sha2::{Digest, Sha256};

use super::KeyError;

/// What a request locks: one name or several, exclusively or shared.
///
/// See the [module docs](super).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockKey {
    names: Vec<String>,
    mode: Mode,
}

impl LockKey {
    /// A name that is longer, in bytes, is locked under its beginning and its SHA-256.
    pub const MAX_NAME_LEN: usize = 200;

    /// Another name, to be locked together with those there are.
    #[must_use]
    pub fn and(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// The same, locked shared: any number of requests with a shared lock, or one with an exclusive.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.mode = Mode::Shared;
        self
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The mutex of this key, with `prefix` before each name.
    pub(crate) fn mutex(&self, redsync: &Redsync, prefix: &str, hashed: bool) -> Mutex {
        let name = |name: &String| -> Arc<str> {
            // What is empty stays so, to be refused.
            if name.is_empty() {
                return "".into();
            }
            let whole: Cow<'_, str> = match prefix {
                "" => name.into(),
                _ => format!("{prefix}{name}").into(),
            };
            if hashed {
                return short(prefix, &whole).into();
            }
            shorten(whole).into()
        };
        let mutex = match &self.names[..] {
            [only] => redsync.mutex(name(only)),
            names => redsync.mutex_many(names.iter().map(name)),
        };
        match self.mode {
            Mode::Exclusive => mutex.with_mode(Mode::Exclusive),
            Mode::Shared => mutex.shared(),
        }
    }
}

/// What marks a name as shortened. One that has it by itself is shortened too, so that no name can
/// be taken for another's short form.
const MARK: &str = "#sha256:";

fn shorten(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.len() <= LockKey::MAX_NAME_LEN && !name.contains(MARK) {
        return name;
    }
    short(&name, &name).into()
}

/// The beginning of `readable`, and the hash of the whole name.
fn short(readable: &str, name: &str) -> String {
    let beginning = (0..=64).rfind(|end| readable.is_char_boundary(*end));
    let mut short = readable[..beginning.unwrap_or_default()].to_owned();
    short.push_str(MARK);
    for byte in Sha256::digest(name) {
        write!(short, "{byte:02x}").expect("a String takes all");
    }
    short
}

impl From<String> for LockKey {
    fn from(name: String) -> Self {
        Self {
            names: vec![name],
            mode: Mode::Exclusive,
        }
    }
}

impl From<&str> for LockKey {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl<N: Into<String>> FromIterator<N> for LockKey {
    /// Several names at once. None at all is a mistake in the program.
    fn from_iter<I: IntoIterator<Item = N>>(names: I) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            mode: Mode::Exclusive,
        }
    }
}

/// What a function may return for a key.
pub trait IntoLockKey {
    /// The key, no key, or why there is none.
    ///
    /// # Errors
    ///
    /// What the function said.
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError>;
}

impl IntoLockKey for LockKey {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        Ok(Some(self))
    }
}

impl IntoLockKey for String {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        Ok(Some(self.into()))
    }
}

impl IntoLockKey for &str {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        Ok(Some(self.into()))
    }
}

impl<T: IntoLockKey> IntoLockKey for Option<T> {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        self.map_or(Ok(None), T::into_lock_key)
    }
}

impl<T: IntoLockKey> IntoLockKey for Result<T, KeyError> {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        self?.into_lock_key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_shortened_and_keeps_its_identity() {
        let long = |last: char| format!("{}{last}", "ä".repeat(500));
        let shorten = |name: &str| shorten(name.into()).into_owned();
        assert_eq!(shorten("order:42"), "order:42");
        assert_eq!(shorten(&long('a')), shorten(&long('a')));
        assert_ne!(shorten(&long('a')), shorten(&long('b')));
        assert!(shorten(&long('a')).len() <= LockKey::MAX_NAME_LEN);
        // The short form of one name is not the name of another.
        let short = shorten(&long('a'));
        assert_ne!(shorten(&short), short);
    }

    #[test]
    fn a_hashed_name_is_readable_in_its_prefix_alone_and_nobody_elses() {
        let redsync = Redsync::in_memory(1);
        let key = |name: &str, prefix: &str, hashed| -> String {
            let mutex = LockKey::from(name).mutex(&redsync, prefix, hashed);
            mutex.names().collect()
        };
        let ann = key("ann@example.com", "user:", true);
        assert!(
            ann.starts_with("user:#sha256:") && !ann.contains("ann"),
            "{ann}"
        );
        assert_eq!(ann, key("ann@example.com", "user:", true));
        assert_ne!(ann, key("bob@example.com", "user:", true));
        // Neither a plain name nor a short form is taken for it.
        assert_ne!(ann, key(&ann, "", false));
        assert_ne!(ann, key(&ann["user:".len()..], "user:", false));
        // A prefix that is cut off is in the hash all the same.
        let prefix = |last: char| format!("{}{last}:", "p".repeat(64));
        assert_ne!(key("1", &prefix('a'), true), key("1", &prefix('b'), true));
        assert_eq!(key("", "user:", true), "");
    }

    #[test]
    fn the_prefix_is_before_each_name_and_makes_no_name_of_nothing() {
        let redsync = Redsync::in_memory(1);
        let names = |key: LockKey| -> Vec<_> {
            let mutex = key.mutex(&redsync, "shop:", false);
            mutex.names().map(str::to_owned).collect()
        };
        assert_eq!(names(LockKey::from("b").and("a")), ["shop:a", "shop:b"]);
        assert!(
            LockKey::from("")
                .mutex(&redsync, "shop:", false)
                .check()
                .is_err()
        );
    }
}
