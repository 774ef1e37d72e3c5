//! Text from outside, such as names and the errors of servers, as people see it.

use std::{
    fmt::{self, Write},
    sync::Arc,
};

/// Displays a value on one line: its control characters are escaped.
///
/// The name of a lock may contain what a client has sent. A line break in it would begin a line of
/// its own in a log, which looks like any other, and an escape sequence would change what a
/// terminal shows. The errors and events of this crate show names in this way, and code that shows
/// a name itself can do the same:
///
/// ```
/// use redsync::Printable;
///
/// let name = "cart:1\n12:00 ERROR all is lost";
/// println!("locked {}", Printable(name));
/// assert_eq!(Printable(name).to_string(), r"cart:1\n12:00 ERROR all is lost");
/// assert_eq!(Printable("order:42 für Zoë").to_string(), "order:42 für Zoë");
/// ```
///
/// Line separators of Unicode, and characters that change the direction of text, are escaped too.
#[derive(Clone, Copy, Debug)]
pub struct Printable<T>(pub T);

impl<T: fmt::Display> fmt::Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// The name of a lock, or its names, for people: it is displayed as [`Printable`].
#[derive(Clone)]
pub(crate) struct Label(Arc<str>);

impl Label {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as it is, for a public field.
    pub(crate) fn to_name(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl From<Arc<str>> for Label {
    fn from(name: Arc<str>) -> Self {
        Self(name)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.0).fmt(f)
    }
}

/// Escapes what is written to it.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_escaped) {
            let (plain, after) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut chars = after.chars();
            for escaped in chars.next().into_iter().flat_map(char::escape_default) {
                self.0.write_char(escaped)?;
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

fn is_escaped(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_all_others_stay() {
        let shown = |text: &str| Printable(text).to_string();
        assert_eq!(shown("order:42"), "order:42");
        assert_eq!(shown(r#"a\n"b" 'ü' 🔒"#), r#"a\n"b" 'ü' 🔒"#);
        assert_eq!(shown("\n\r\t"), r"\n\r\t");
        assert_eq!(
            shown("\0a\u{1b}[31mb\u{7f}\u{9b}"),
            r"\u{0}a\u{1b}[31mb\u{7f}\u{9b}"
        );
        assert_eq!(shown("a\u{202e}b\u{2028}"), r"a\u{202e}b\u{2028}");
        assert_eq!(shown("a\u{61c}b\u{200f}"), r"a\u{61c}b\u{200f}");
        assert_eq!(shown(""), "");
    }
}
