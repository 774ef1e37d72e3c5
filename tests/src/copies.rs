//! Copies of one example, as they run behind a load balancer.

use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::{Servers, Service, program::SOON};

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

    /// Opens the database. Its tables are there when a copy has started.
    ///
    /// # Panics
    ///
    /// If it cannot be opened.
    #[must_use]
    pub fn database(&self) -> Connection {
        let database = Connection::open(self.file()).expect("a database");
        database.busy_timeout(SOON).expect("set");
        database
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("database.sqlite")
    }

    /// Pauses a copy while it does not write to the database: in a write, it would keep all others from theirs.
    ///
    /// # Panics
    ///
    /// If it has ended, or if the database is not free.
    pub fn pause(&self, copy: &Service) {
        let database = self.database();
        database.execute_batch("BEGIN IMMEDIATE").expect("begun");
        copy.pause();
        database.execute_batch("ROLLBACK").expect("ended");
    }

    /// Starts a copy with additions to the environment.
    ///
    /// # Panics
    ///
    /// As [`Service::start`] does.
    pub async fn start(&self, env: &[(&str, &str)]) -> Service {
        let (urls, database) = (self.servers.urls().join(","), self.file());
        let shared = [
            ("REDIS_URLS", &*urls),
            ("DATABASE", database.to_str().expect("a path")),
        ];
        Service::start(self.example, &[&shared[..], env].concat()).await
    }
}
