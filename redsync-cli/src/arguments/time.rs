//! Times on the command line.

use std::time::Duration;

/// Parses a time: seconds without a unit, as `flock` and `timeout` have them, or such as `500ms`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_in_seconds_and_others_have_units() {
        let millis = |text| parse(text).map(|it| it.as_millis());
        assert_eq!(millis("10"), Ok(10_000));
        assert_eq!(millis("0.25"), Ok(250));
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("1h 30m"), Ok(5_400_000));
        for wrong in ["", "-1", "nan", "inf", "1e300", "ten", "5 parsecs"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
