//! Settings, from environment variables.

use std::{env, num::ParseIntError, str::FromStr, time::Duration};

use anyhow::{Context, bail};
use redsync_tower::redsync::Redsync;

/// Returns the whole number in a variable.
///
/// # Errors
///
/// If it is not a whole number in the range of the type.
pub fn number<T: FromStr<Err = ParseIntError>>(name: &str, default: T) -> anyhow::Result<T> {
    match text(name)? {
        Some(value) => (value.trim().parse())
            .with_context(|| format!("{name} must be a whole number, but is `{value}`")),
        None => Ok(default),
    }
}

/// Returns the milliseconds in a variable as a duration.
///
/// # Errors
///
/// If it is not a whole number.
pub fn duration(name: &str, default_ms: u64) -> anyhow::Result<Duration> {
    number(name, default_ms).map(Duration::from_millis)
}

/// Returns the text in a variable, and `None` if it is not set.
///
/// # Errors
///
/// If it is not UTF-8.
pub fn text(name: &str) -> anyhow::Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => bail!("{name}: {error}"),
    }
}

/// Connects to the nodes in `REDIS_URLS`, which are separated by commas. Without it, there are three nodes
/// in memory. `EXPIRY_MS` is the expiry of locks, 8000 by default.
///
/// # Errors
///
/// If a URL or the expiry cannot be used.
pub fn redsync() -> anyhow::Result<Redsync> {
    let urls = text("REDIS_URLS")?.unwrap_or_default();
    let urls = urls.split(',').map(str::trim).filter(|url| !url.is_empty());
    let urls: Vec<_> = urls.collect();
    let redsync = if urls.is_empty() {
        Redsync::in_memory(3)
    } else {
        Redsync::connect(urls).context("REDIS_URLS")?
    };
    let expiry = duration("EXPIRY_MS", 8000)?;
    redsync
        .with_defaults(|mutex| mutex.with_expiry(expiry))
        .context("EXPIRY_MS")
}
