//! The configuration, from environment variables.

use std::{convert::Infallible, env, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use redsync_examples::{duration, number, text};
use redsync_tower::redsync::Redsync;

pub(crate) struct Config {
    pub(crate) database: Option<PathBuf>,
    pub(crate) wait: Duration,
    /// The name of this copy.
    pub(crate) instance: Arc<str>,
    /// The URLs of the copies to which the page sends its requests.
    pub(crate) peers: Vec<String>,
}

impl Config {
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let port: u16 = number("PORT", 3000)?;
        let instance = text("INSTANCE")?.unwrap_or_else(|| format!("port {port}"));
        let peers = text("PEERS")?.unwrap_or_else(|| format!("http://127.0.0.1:{port}"));
        Ok(Self {
            database: env::var_os("DATABASE").map(PathBuf::from),
            wait: duration("WAIT_MS", 2000)?,
            instance: instance.into(),
            peers: peers.split(',').map(|url| url.trim().to_owned()).collect(),
        })
    }

    /// The nodes. Whoever looks at a lock there sees by its owner label which copy has it.
    pub(crate) fn redsync(&self) -> anyhow::Result<Redsync> {
        let instance = Arc::clone(&self.instance);
        let label = move || Ok::<_, Infallible>(instance.to_string());
        redsync_examples::redsync()?
            .with_defaults(|mutex| mutex.with_owner_label(label.clone()))
            .context("INSTANCE")
    }
}
