//! The configuration, from environment variables.

use std::{env, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use redsync_tower::redsync::Redsync;

pub(crate) struct Config {
    pub(crate) port: u16,
    pub(crate) redis_urls: Vec<String>,
    pub(crate) database: Option<PathBuf>,
    pub(crate) wait: Duration,
    pub(crate) expiry: Duration,
}

impl Config {
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let redis_urls = match env::var("REDIS_URLS") {
            Ok(urls) => (urls.split(',').map(str::trim))
                .filter(|url| !url.is_empty())
                .map(str::to_owned)
                .collect(),
            Err(env::VarError::NotPresent) => Vec::new(),
            Err(error) => bail!("REDIS_URLS: {error}"),
        };
        Ok(Self {
            port: number("PORT", 3000)?,
            redis_urls,
            database: env::var_os("DATABASE").map(PathBuf::from),
            wait: Duration::from_millis(number("WAIT_MS", 2000)?),
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
        let port = self.port;
        let nodes = match self.redis_urls.len() {
            0 => "three nodes in memory (REDIS_URLS=redis://a,redis://b,redis://c for real ones)"
                .to_owned(),
            1 => "one Redis node".to_owned(),
            nodes => format!("{nodes} Redis nodes"),
        };
        let hammer = |path: &str| {
            format!(
                "curl -sZ --no-progress-meter --parallel-immediate --parallel-max 200 -o /dev/null -w '%{{http_code}}\\n' \\
    --json '{{\"quantity\": 1}}' 'http://127.0.0.1:{port}{path}?work_ms=2&n=[1-200]' | sort | uniq -c"
            )
        };
        format!(
            "
Orders are served on http://127.0.0.1:{port}, locked on {nodes}.
A request waits for its order for up to {wait:?}. A lock expires after {expiry:?}.

Two hundred requests for one order at once, then the order itself. No update is lost:

  {locked}
  curl -s http://127.0.0.1:{port}/orders/42; echo

The same without the lock. Some updates are lost:

  {unlocked}
  curl -s http://127.0.0.1:{port}/orders/43; echo

A request that works for 20 s, and a second one for the same order:

  curl -s --json '{{\"quantity\": 1}}' 'http://127.0.0.1:{port}/orders/44/items?work_ms=20000' &
  curl -si --json '{{\"quantity\": 1}}' 'http://127.0.0.1:{port}/orders/44/items'

",
            wait = self.wait,
            expiry = self.expiry,
            locked = hammer("/orders/42/items"),
            unlocked = hammer("/unlocked/orders/43/items"),
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
