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
/// It consists of 128 random bits from the operating system, in hexadecimal, and before them the
/// label from [`Mutex::with_owner_label`](crate::Mutex::with_owner_label) and a `#`, if there is a
/// label. Every attempt has a fresh value. If all attempts used the same value, a late release of
/// attempt 1 could delete the key of attempt 2, and then two clients could hold the lock.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnerValue(Arc<str>);

/// Follows the label. Without this mark, a part of the random value of another client could be
/// taken for a label, and be shown.
const AFTER_LABEL: char = '#';

/// Follows the value of a holder that has released a name which is kept for the rest of a minimum
/// hold. An extension that arrives later finds another value than its own, and does not restore the
/// expiry. `delete.lua` and `release.lua` have the same text.
const RELEASED: &str = ":released";

/// The number of hexadecimal digits of the random bits.
const DIGITS: usize = 32;

impl OwnerValue {
    /// Returns the value itself. Treat it like a password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a short hash of the value, for logs.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = sha1_smol::Sha1::from(self.of_holder()).digest().bytes();
        let mut fingerprint = [0; 6];
        fingerprint.copy_from_slice(&hash[..6]);
        Fingerprint(fingerprint)
    }

    /// Returns the [label](crate::Mutex::with_owner_label) with which the holder's values begin, if
    /// it has one. It is not secret.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        let (label, random) = self.of_holder().rsplit_once(AFTER_LABEL)?;
        let is_ours = random.len() == DIGITS && random.bytes().all(|it| it.is_ascii_hexdigit());
        (is_ours && !label.is_empty()).then_some(label)
    }

    /// Returns the value that a node keeps at a name after its holder has released it, up to the
    /// end of the minimum hold.
    pub(crate) fn released(&self) -> Self {
        format!("{}{RELEASED}", self.as_str()).into()
    }

    /// Whether this is the value that follows the other one after its release.
    pub(crate) fn is_release_of(&self, other: &Self) -> bool {
        self.as_str().strip_suffix(RELEASED) == Some(other.as_str())
    }

    /// Whether its holder has released the names, which are kept for the rest of a minimum hold.
    pub(crate) fn is_released(&self) -> bool {
        self.as_str().ends_with(RELEASED)
    }

    /// The value of the holder, even after its release.
    fn of_holder(&self) -> &str {
        let value = self.as_str();
        value.strip_suffix(RELEASED).unwrap_or(value)
    }

    /// Makes a value of the label and 128 random bits. They come from the operating system, because
    /// a generator in this process could repeat itself after a fork or in a cloned virtual machine.
    pub(crate) fn random(label: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        if !label.is_empty() {
            let random = u128::from_ne_bytes(bytes);
            return Ok(format!("{label}{AFTER_LABEL}{random:032x}").into());
        }
        // Formatted by hand, because every attempt does this.
        let digit =
            |nibble: u8| char::from_digit(nibble.into(), 16).map_or(b'0', |digit| digit as u8);
        let mut hexadecimal = [0; DIGITS];
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
            assert!(value.as_str().starts_with(label));
            assert_eq!(value.label().unwrap_or_default(), label);
            assert_ne!(value.label(), Some(""));
            let random = value.as_str().rsplit('#').next().unwrap();
            assert_eq!(random.len(), 32);
            assert_ne!(value, OwnerValue::random(label).unwrap());
            assert!(!format!("{value:?}").contains(value.as_str()));
        }
    }

    #[test]
    fn only_a_value_of_this_crate_has_a_label() {
        let label = |value: &str| OwnerValue::from(value).label().map(str::to_owned);
        let random = "0123456789abcdef0123456789abcdef";
        assert_eq!(label(&format!("pod#7#{random}")).as_deref(), Some("pod#7"));
        for other in [
            random.to_owned(),
            format!("#{random}"),
            // A longer random value, such as that of another client.
            format!("{random}{random}"),
            format!("pod:{random}"),
            format!("pod#{random}0"),
            "GxVB+0mk#cq1DiXZ/NhWxw==".to_owned(),
            String::new(),
        ] {
            assert_eq!(label(&other), None, "{other}");
        }
    }

    #[test]
    fn a_holder_is_known_by_its_label_and_fingerprint_after_its_release() {
        let (value, other) = (
            OwnerValue::random("pod-7").unwrap(),
            OwnerValue::from("abc"),
        );
        let released = value.released();
        assert_ne!(released, value);
        assert!(released.is_release_of(&value) && !released.is_release_of(&other));
        assert!(!value.is_release_of(&value));
        assert!(released.is_released() && !value.is_released());
        assert_eq!(released.label(), Some("pod-7"));
        assert_eq!(released.fingerprint(), value.fingerprint());
    }

    #[test]
    fn a_fingerprint_is_stable_and_not_the_value() {
        let value = OwnerValue::from("abc");
        assert_eq!(value.fingerprint().to_string(), "a9993e364706");
        assert_ne!(value.fingerprint(), OwnerValue::from("abd").fingerprint());
    }
}
