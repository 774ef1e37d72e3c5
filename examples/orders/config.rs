//! The configuration, from environment variables.

use std::{convert::Infallible, env, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use redsync_tower::redsync::Redsync;

pub(crate) struct Config {
    pub(crate) listen: Listen,
    pub(crate) locks: Locks,
    pub(crate) database: Option<PathBuf>,
    /// The URLs of the instances to which the page sends its requests.
    pub(crate) peers: Vec<String>,
}

pub(crate) struct Listen {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The name of this instance.
    pub(crate) instance: Arc<str>,
}

pub(crate) struct Locks {
    redis_urls: Vec<String>,
    pub(crate) wait: Duration,
    expiry: Duration,
}

impl Config {
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let port = number("PORT", 3000)?;
        let listen = Listen {
            host: text("HOST")?.unwrap_or_else(|| "127.0.0.1".to_owned()),
            port,
            instance: text("INSTANCE")?
                .unwrap_or_else(|| format!("port {port}"))
                .into(),
        };
        let mut peers = list("PEERS")?;
        if peers.is_empty() {
            peers.push(format!("http://127.0.0.1:{port}"));
        }
        Ok(Self {
            listen,
            locks: Locks {
                redis_urls: list("REDIS_URLS")?,
                wait: Duration::from_millis(number("WAIT_MS", 2000)?),
                expiry: Duration::from_millis(number("EXPIRY_MS", 8000)?),
            },
            database: env::var_os("DATABASE").map(PathBuf::from),
            peers,
        })
    }

    pub(crate) fn redsync(&self) -> anyhow::Result<Redsync> {
        let redsync = if self.locks.redis_urls.is_empty() {
            Redsync::in_memory(3)
        } else {
            Redsync::connect(&self.locks.redis_urls).context("REDIS_URLS")?
        };
        let instance = Arc::clone(&self.listen.instance);
        // Whoever looks at the nodes sees which instance has the lock.
        let label = move || Ok::<_, Infallible>(instance.to_string());
        redsync
            .with_defaults(|mutex| {
                mutex
                    .with_expiry(self.locks.expiry)
                    .with_owner_label(label.clone())
            })
            .context("EXPIRY_MS")
    }

    pub(crate) fn instructions(&self) -> String {
        let Listen { host, port, .. } = &self.listen;
        let nodes = match self.locks.redis_urls.len() {
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
Orders are served on http://{host}:{port}, locked on {nodes}. Open it in a browser: its buttons
send requests with the lock and without, and it shows what becomes of them.

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
            wait = self.locks.wait,
            expiry = self.locks.expiry,
            locked = hammer("/orders/42/items"),
            unlocked = hammer("/unlocked/orders/43/items"),
        )
    }
}

fn text(name: &str) -> anyhow::Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => bail!("{name}: {error}"),
    }
}

fn list(name: &str) -> anyhow::Result<Vec<String>> {
    let text = text(name)?.unwrap_or_default();
    let items = text.split(',').map(str::trim);
    Ok((items.filter(|item| !item.is_empty()))
        .map(str::to_owned)
        .collect())
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
