//! From the names of a mutex to its keys on the nodes: prefix, length, and what is reserved.

use std::sync::Arc;

use super::Options;
use crate::{ConfigError, fence::is_counter};

/// The greatest length of a name together with its prefix, in bytes.
pub(crate) const MAX_NAME_LEN: usize = 1024;

/// The greatest length of a prefix, in bytes. Beside it there is room for every name that a client
/// of a service may choose: `redsync-tower` shortens those of more than 200 bytes. So a prefix that
/// is too long is noticed when it is set, and not when a client sends a long name.
pub(super) const MAX_PREFIX_LEN: usize = MAX_NAME_LEN - 256;

/// The end of the keys of all permits but the first: this, and the number of the permit. Names that
/// end in this way cannot be locked.
const PERMIT: &str = ":permit-";

impl Options {
    pub(super) fn check_key_prefix(&self) -> Result<(), ConfigError> {
        let len = self.key_prefix.len();
        if len > MAX_PREFIX_LEN {
            let must = "at most 768 bytes long";
            return Err(ConfigError::option("key_prefix", must, &len));
        }
        Ok(())
    }

    /// The key for a name, if that name can be locked.
    pub(crate) fn key(&self, name: &Arc<str>) -> Result<Arc<str>, ConfigError> {
        if name.is_empty() {
            return Err(ConfigError::EmptyName);
        }
        let (len, limit) = (self.key_prefix.len() + name.len(), MAX_NAME_LEN);
        if len > limit {
            return Err(ConfigError::NameTooLong { len, limit });
        }
        let key = self.prefixed(name);
        if is_reserved(&key) {
            let name = (&*key).into();
            return Err(ConfigError::ReservedName { name });
        }
        Ok(key)
    }

    /// The prefix and a name.
    pub(crate) fn prefixed(&self, name: &Arc<str>) -> Arc<str> {
        if self.key_prefix.is_empty() {
            Arc::clone(name)
        } else {
            format!("{}{name}", self.key_prefix).into()
        }
    }
}

/// The key of a permit, which has a number from 1. `name` has its prefix.
pub(crate) fn permit_key(name: &str, number: usize) -> String {
    match number {
        1 => name.into(),
        _ => format!("{name}{PERMIT}{number}"),
    }
}

/// Whether a key is that of a counter or of a permit.
fn is_reserved(key: &str) -> bool {
    let is_permit = || {
        let number = key.rsplit_once(PERMIT).map(|(_, number)| number);
        number.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        })
    };
    is_counter(key) || is_permit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_or_too_long_name_is_refused() {
        let mut options = Options::default();
        let key = |options: &Options, name: &str| options.key(&name.into());
        assert!(matches!(key(&options, ""), Err(ConfigError::EmptyName)));
        assert!(key(&options, &"n".repeat(MAX_NAME_LEN)).is_ok());
        options.key_prefix = "p".into();
        assert!(matches!(
            key(&options, &"n".repeat(MAX_NAME_LEN)),
            Err(ConfigError::NameTooLong { len, .. }) if len == MAX_NAME_LEN + 1
        ));
        assert_eq!(&*key(&options, "name").unwrap(), "pname");
    }
}
