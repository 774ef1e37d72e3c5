//! The random value that proves who holds a key.

use std::{fmt, sync::Arc};

use crate::error::BoxError;

/// The value a node keeps under the mutex' name while the lock is held: the proof of ownership.
///
/// Whoever knows it can release or extend the lock, so it is a credential. Its [`Debug`] output is
/// redacted and it has no [`Display`](fmt::Display); [`as_str`](Self::as_str) is the way to hand a
/// lock over on purpose, to be taken up with [`Mutex::resume`](crate::Mutex::resume).
///
/// It is 128 bits from the operating system, in hexadecimal, after what
/// [`Mutex::with_value_fn`](crate::Mutex::with_value_fn) returns. Every try of every acquisition has
/// a fresh one: with one value for all tries, a release of try 1 that arrives late
/// deletes the key of try 2, after which two clients can hold the lock.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnerValue(Arc<str>);

impl OwnerValue {
    /// The value itself. Treat it like a password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label and 128 bits, straight from the operating system: a generator in this process could
    /// repeat itself after a fork or in a cloned virtual machine.
    pub(crate) fn random(label: &str) -> Result<Self, BoxError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(format!("{label}{:032x}", u128::from_ne_bytes(bytes)).into())
    }
}

impl From<String> for OwnerValue {
    fn from(value: String) -> Self {
        Self(value.into())
    }
}

impl From<&str> for OwnerValue {
    fn from(value: &str) -> Self {
        Self(value.into())
    }
}

impl fmt::Debug for OwnerValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerValue(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_random_and_stays_out_of_debug_output() {
        let value = OwnerValue::random("pod-7:").unwrap();
        assert_eq!(value.as_str().len(), 6 + 32);
        assert!(value.as_str().starts_with("pod-7:"));
        assert_ne!(value, OwnerValue::random("pod-7:").unwrap());
        assert!(!format!("{value:?}").contains(value.as_str()));
    }
}
