//! The configuration, from environment variables.

use std::{env, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use redsync_tower::redsync::Redsync;

pub(crate) struct Config {
    pub(crate) port: u16,
    pub(crate) database: Option<PathBuf>,
    pub(crate) keep: Duration,
    redis_urls: Vec<String>,
    expiry: Duration,
}

impl Config {
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let urls = match env::var("REDIS_URLS") {
            Err(env::VarError::NotPresent) => String::new(),
            urls => urls.context("REDIS_URLS")?,
        };
        let urls = urls.split(',').map(str::trim).filter(|url| !url.is_empty());
        Ok(Self {
            port: number("PORT", 3000)?,
            database: env::var_os("DATABASE").map(PathBuf::from),
            keep: Duration::from_secs(number("KEEP_S", 24 * 60 * 60)?),
            redis_urls: urls.map(str::to_owned).collect(),
            expiry: Duration::from_millis(number("EXPIRY_MS", 8000)?),
        })
    }

    pub(crate) fn redsync(&self) -> anyhow::Result<Redsync> {
        let redsync = if self.redis_urls.is_empty() {
            Redsync::in_memory(3)
        } else {
            Redsync::connect(&self.redis_urls).context("REDIS_URLS")?
        };
        redsync
            .with_defaults(|mutex| mutex.with_expiry(self.expiry))
            .context("EXPIRY_MS")
    }

    pub(crate) fn instructions(&self) -> String {
        let charge = |key: &str, amount: u32, work_ms: u32| {
            format!(
                "curl -si -H 'authorization: Bearer alice' -H 'idempotency-key: \"{key}\"' \\
    --json '{{\"amount\": {amount}}}' 'http://127.0.0.1:{}/charges?work_ms={work_ms}'",
                self.port
            )
        };
        format!(
            "
Charges are made on http://127.0.0.1:{port}. An answer is kept for {keep:?}.

A charge. Sent again, it has the same answer, and `idempotent-replayed: true`:

  {once}

The same key with another payload has 422:

  {other}

While a charge is worked on, the same again has 409:

  {slow} &
  sleep 1; {slow}

There is one charge for each key:

  curl -s -H 'authorization: Bearer alice' http://127.0.0.1:{port}/charges; echo

",
            port = self.port,
            keep = self.keep,
            once = charge("8e03978e", 100, 0),
            other = charge("8e03978e", 200, 0),
            slow = charge("40d543e8", 100, 5000),
        )
    }
}

fn number<T>(name: &str, default: T) -> anyhow::Result<T>
where
    T: std::str::FromStr<Err = std::num::ParseIntError>,
{
    match env::var(name) {
        Ok(value) => (value.trim().parse())
            .with_context(|| format!("{name} must be a whole number, but is `{value}`")),
        Err(env::VarError::NotPresent) => Ok(default),
        Err(error) => bail!("{name}: {error}"),
    }
}
