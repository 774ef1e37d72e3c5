//! Owner values: random values that prove who holds a key.

use std::{error::Error, fmt, sync::Arc};

/// The value that a node keeps at the name of a mutex while the lock is held. It proves who holds
/// the lock.
///
/// It is a credential: anyone who knows it can extend or release the lock. Its [`Debug`] output is
/// redacted, and it does not implement [`Display`](fmt::Display). [`as_str`](Self::as_str) returns
/// the text, for a lock that is passed to another process and resumed there with
/// [`Mutex::resume`](crate::Mutex::resume).
///
/// It consists of the label from [`Mutex::with_owner_label`](crate::Mutex::with_owner_label) and
/// 128 random bits from the operating system, in hexadecimal. Every attempt has a fresh value. If
/// all attempts used the same value, a late release of attempt 1 could delete the key of attempt 2,
/// and then two clients could hold the lock.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnerValue(Arc<str>);

impl OwnerValue {
    /// Returns the value itself. Treat it like a password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a short hash of the value, for logs.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = sha1_smol::Sha1::from(self.as_str()).digest().bytes();
        let mut fingerprint = [0; 6];
        fingerprint.copy_from_slice(&hash[..6]);
        Fingerprint(fingerprint)
    }

    /// Makes a value of the label and 128 random bits. They come from the operating system, because
    /// a generator in this process could repeat itself after a fork or in a cloned virtual machine.
    pub(crate) fn random(label: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        if !label.is_empty() {
            return Ok(format!("{label}{:032x}", u128::from_ne_bytes(bytes)).into());
        }
        // Formatted by hand, because every attempt does this.
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

/// A short hash of an [`OwnerValue`]: it distinguishes holders without exposing their values.
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
    fn a_value_is_random_and_redacted_in_debug_output() {
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
