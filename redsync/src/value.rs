//! The random value that proves who holds a key.

use std::{fmt, sync::Arc};

use crate::error::BoxError;

/// The value that a node keeps under the mutex's name while the lock is held: the proof of
/// ownership.
///
/// Anyone who knows it can release or extend the lock, so it is a credential. Its [`Debug`] output
/// is redacted and it has no [`Display`](fmt::Display). [`as_str`](Self::as_str) returns the text,
/// for a lock that is handed to another process on purpose and taken up there with
/// [`Mutex::resume`](crate::Mutex::resume).
///
/// It is 128 bits from the operating system, in hexadecimal, after the label that
/// [`Mutex::with_owner_label`](crate::Mutex::with_owner_label) gives. Every attempt has a fresh
/// one: if all attempts shared one value, a release of attempt 1 that arrives late would delete the
/// key of attempt 2, and then two clients can hold the lock.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnerValue(Arc<str>);

impl OwnerValue {
    /// The value itself. Treat it like a password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A short hash of the value, for logs.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = sha1_smol::Sha1::from(self.as_str()).digest().bytes();
        let mut fingerprint = [0; 6];
        fingerprint.copy_from_slice(&hash[..6]);
        Fingerprint(fingerprint)
    }

    /// The label and 128 bits, straight from the operating system: a generator in this process could
    /// repeat itself after a fork or in a cloned virtual machine.
    pub(crate) fn random(label: &str) -> Result<Self, BoxError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        if !label.is_empty() {
            return Ok(format!("{label}{:032x}", u128::from_ne_bytes(bytes)).into());
        }
        // Written by hand: this is part of every lock.
        let digit =
            |nibble: u8| char::from_digit(nibble.into(), 16).map_or(b'0', |digit| digit as u8);
        let mut hexadecimal = [0; 32];
        for (pair, byte) in hexadecimal.chunks_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        Ok(std::str::from_utf8(&hexadecimal)?.into())
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

/// A short hash that tells one [`OwnerValue`] from another without giving it away.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 6]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_random_and_stays_out_of_debug_output() {
        for label in ["", "pod-7:"] {
            let value = OwnerValue::random(label).unwrap();
            assert_eq!(value.as_str().len(), label.len() + 32);
            assert!(value.as_str().starts_with(label));
            assert_ne!(value, OwnerValue::random(label).unwrap());
            assert!(!format!("{value:?}").contains(value.as_str()));
        }
    }

    #[test]
    fn a_fingerprint_is_stable_and_not_the_value() {
        let value = OwnerValue::from("abc");
        assert_eq!(value.fingerprint().to_string(), "a9993e364706");
        assert_ne!(value.fingerprint(), OwnerValue::from("abd").fingerprint());
    }
}
