//! Copies of one example, as they run behind a load balancer.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::{Servers, Service};

/// Three Redis servers and the file of a database, which all copies of an example share.
#[derive(Debug)]
pub struct Copies {
    example: &'static str,
    /// The servers.
    pub servers: Servers,
    directory: TempDir,
}

impl Copies {
    /// Starts the servers.
    ///
    /// # Panics
    ///
    /// If there can be no directory for the database.
    #[must_use]
    pub fn of(example: &'static str) -> Self {
        Self {
            example,
            servers: Servers::start(3),
            directory: TempDir::new().expect("a directory"),
        }
    }

    /// The file of the database. The first copy creates it.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.directory.path().join("database.sqlite")
    }

    /// Starts a copy with additions to the environment.
    ///
    /// # Panics
    ///
    /// As [`Service::start`] does.
    pub async fn start(&self, env: &[(&str, &str)]) -> Service {
        let (urls, database) = (self.servers.urls().join(","), self.database());
        let shared = [
            ("REDIS_URLS", &*urls),
            ("DATABASE", database.to_str().expect("a path")),
        ];
        Service::start(self.example, &[&shared[..], env].concat()).await
    }
}
