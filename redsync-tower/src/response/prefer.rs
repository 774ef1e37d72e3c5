//! The preference `wait` (RFC 7240, section 4.3): how long a client is willing to wait.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Reads `Prefer: wait=N` from the headers of a request.
///
/// If the preference occurs several times, the first counts (RFC 7240, section 2). A malformed
/// value is ignored.
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = first_wait(headers, &PREFER)?;
    if seconds.is_empty() || !seconds.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // A number that does not fit is longer than any limit.
    let seconds = str::from_utf8(&seconds).ok()?.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds))
}

/// Adds `Preference-Applied: wait=N` to the headers of a response.
///
/// It adds nothing if an inner layer has added this already, or if `wait` is between zero and one
/// second, which the header cannot express.
pub(crate) fn apply(headers: &mut HeaderMap, wait: Duration) {
    let too_short = wait.as_secs() == 0 && !wait.is_zero();
    if !too_short && first_wait(headers, &PREFERENCE_APPLIED).is_none() {
        let applied = format!("wait={}", wait.as_secs());
        let applied = HeaderValue::try_from(applied).expect("visible ASCII");
        headers.append(PREFERENCE_APPLIED, applied);
    }
}

/// The value of the first preference `wait` in all fields with that name, or an empty value if the
/// preference has none.
fn first_wait(headers: &HeaderMap, header: &HeaderName) -> Option<Vec<u8>> {
    let fields = headers.get_all(header).iter();
    let mut preferences = fields.flat_map(|field| split(field.as_bytes(), b','));
    preferences.find_map(|preference| {
        // Parameters follow after semicolons.
        let preference = split(preference, b';').next()?;
        let mut halves = preference.splitn(2, |byte| *byte == b'=');
        let name = halves.next()?.trim_ascii();
        let value = halves.next().unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"wait").then(|| unquoted(value))
    })
}

/// Splits at the separators that are not inside a quoted string.
fn split(field: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    field.split(move |byte| {
        let separates = !quoted && *byte == separator;
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ => {}
        }
        separates
    })
}

/// A token as it is, or the content of a quoted string (RFC 9110, section 5.6.4).
fn unquoted(word: &[u8]) -> Vec<u8> {
    let Some(quoted) = (word.strip_prefix(b"\"")).and_then(|word| word.strip_suffix(b"\"")) else {
        return word.to_vec();
    };
    let mut escaped = false;
    let is_content = |byte: &&u8| {
        escaped = **byte == b'\\' && !escaped;
        !escaped
    };
    quoted.iter().filter(is_content).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_static(value));
        values.map(|value| (name.clone(), value)).collect()
    }

    fn prefers(values: &[&'static str]) -> Option<u64> {
        wait(&headers(&PREFER, values)).map(|wait| wait.as_secs())
    }

    #[test]
    fn the_first_wait_counts() {
        assert_eq!(prefers(&["wait=10"]), Some(10));
        assert_eq!(
            prefers(&["respond-async, WAIT=7; foo=bar, wait=3"]),
            Some(7)
        );
        assert_eq!(prefers(&["return=minimal", "wait=3", "wait=4"]), Some(3));
        assert_eq!(prefers(&["a;b;;c=d,\twait\t=\t5\t;"]), Some(5));
        assert_eq!(prefers(&[",, wait=0"]), Some(0));
        assert_eq!(prefers(&["wait=soon, wait=3"]), None);
        assert_eq!(prefers(&["wait", "wait=3"]), None);
    }

    #[test]
    fn a_value_may_be_quoted() {
        assert_eq!(prefers(&[r#"wait="5""#]), Some(5));
        assert_eq!(prefers(&[r#"wait = "\1\2"; x"#]), Some(12));
        assert_eq!(prefers(&[r#"wait="5, wait=6""#]), None);
    }

    #[test]
    fn a_wait_inside_another_preferences_quoted_string_is_ignored() {
        assert_eq!(prefers(&[r#"note="a, wait=5, b""#]), None);
        assert_eq!(prefers(&[r#"note="a\", wait=5", wait=6"#]), Some(6));
        assert_eq!(prefers(&[r#"note="a\\", wait=7"#]), Some(7));
        assert_eq!(prefers(&[r#"note; for="x;y, wait=8", wait=9"#]), Some(9));
        // A parameter is not a preference, and a backslash outside quotes has no meaning.
        assert_eq!(prefers(&["note; wait=5"]), None);
        assert_eq!(prefers(&[r#"note=\, wait=4"#]), Some(4));
        // An unterminated string ends with its field.
        assert_eq!(prefers(&[r#"note="a, wait=5"#, "wait=6"]), Some(6));
    }

    #[test]
    fn a_malformed_preference_is_ignored() {
        for malformed in [
            "",
            "wait",
            "wait=",
            "wait=-1",
            "wait=+1",
            "wait=1.5",
            "wait=1 2",
            "wait=soon",
            "waiting=3",
            "await=3",
            "wait=\"",
            "wait=\"5",
            "wait=\"\"",
            "=5",
        ] {
            assert_eq!(prefers(&[malformed]), None, "{malformed}");
        }
        assert_eq!(prefers(&["wait=99999999999999999999999"]), Some(u64::MAX));
        let mut opaque = headers(&PREFER, &["wait=2"]);
        opaque.insert(
            PREFER,
            HeaderValue::from_bytes(b"a=\"\xff\", wait=2").unwrap(),
        );
        assert_eq!(wait(&opaque), Some(Duration::from_secs(2)));
    }

    #[test]
    fn the_applied_wait_is_added_once_and_in_whole_seconds() {
        let applied = |before: &[&'static str], millis| {
            let mut headers = headers(&PREFERENCE_APPLIED, before);
            apply(&mut headers, Duration::from_millis(millis));
            let all = headers.get_all(PREFERENCE_APPLIED).iter();
            let all: Vec<_> = all
                .map(|value| value.to_str().unwrap().to_owned())
                .collect();
            all.join("|")
        };
        assert_eq!(applied(&[], 2000), "wait=2");
        assert_eq!(applied(&[], 2900), "wait=2");
        assert_eq!(applied(&[], 0), "wait=0");
        assert_eq!(applied(&[], 900), "", "`wait=0` would be wrong");
        assert_eq!(applied(&["return=minimal"], 2000), "return=minimal|wait=2");
        assert_eq!(
            applied(&["return=minimal, wait=1"], 2000),
            "return=minimal, wait=1"
        );
    }
}
