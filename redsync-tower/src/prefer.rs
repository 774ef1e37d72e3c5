//! `Prefer: wait=N` (RFC 7240, section 4.3).

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long the client prefers to wait. Of several such preferences, the first counts (section 2);
/// one that is malformed is ignored, as preferences are.
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter();
    let preferences = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut waits = preferences.filter_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        is_wait.then(|| value.trim().trim_matches('"').to_owned())
    });
    waits.next()?.parse().ok().map(Duration::from_secs)
}

pub(crate) fn applied(wait: Duration) -> HeaderValue {
    format!("wait={}", wait.as_secs())
        .try_into()
        .expect("visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wait_counts_and_what_is_malformed_is_ignored() {
        let wait = |values: &[&'static str]| {
            let values = values.iter().map(|value| HeaderValue::from_static(value));
            let headers = values.map(|value| (HeaderName::from_static("prefer"), value));
            wait(&headers.collect()).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(&["wait=10"]), Some(10));
        assert_eq!(
            wait(&["respond-async, Wait = \"7\"; foo=bar, wait=3"]),
            Some(7)
        );
        assert_eq!(wait(&["return=minimal", "wait=3"]), Some(3));
        for malformed in ["", "wait", "wait=", "wait=-1", "wait=soon", "waiting=3"] {
            assert_eq!(wait(&[malformed]), None, "{malformed}");
        }
    }
}
