//! Input for the targets: texts of known words, with anything between them, and replies of servers.

pub mod replies;

/// Makes a text of bytes. Those from 128 on stand for one of the words, and the others for
/// themselves.
///
/// A fuzzer would seldom come by the words that a parser knows, and hardly ever by two texts that
/// are nearly equal.
#[must_use]
pub fn text(bytes: &[u8], words: &[&str]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte.checked_sub(128) {
            Some(word) => text.push_str(words[usize::from(word) % words.len()]),
            None => text.push(char::from(*byte)),
        }
    }
    text
}
