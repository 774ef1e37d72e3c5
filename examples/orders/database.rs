//! The SQLite file, which processes can share.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rusqlite::{Connection, ErrorCode};
use tempfile::TempDir;

/// How long to wait while other processes use the file.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Database {
    connection: Arc<Mutex<Connection>>,
    /// Deleted with the last clone.
    _temporary: Option<Arc<TempDir>>,
}

impl Database {
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let temporary = match path {
            Some(_) => None,
            None => Some(Arc::new(
                tempfile::tempdir().context("no temporary directory")?,
            )),
        };
        let path = match (&temporary, path) {
            (Some(directory), _) => directory.path().join("orders.sqlite"),
            (None, path) => path.expect("one of the two").to_owned(),
        };
        let connection =
            connect(&path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            _temporary: temporary,
        })
    }

    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let connection = Arc::clone(&self.connection);
        let work = move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(tokio::task::spawn_blocking(work).await??)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let start = Instant::now();
    loop {
        match try_connect(path) {
            // Two processes that make the file at the same time conflict, and SQLite does not wait for
            // the end of that.
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < PATIENCE =>
            {
                thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

fn try_connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // Other processes write to the same file.
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS orders (
            id TEXT PRIMARY KEY,
            quantity INTEGER NOT NULL,
            version INTEGER NOT NULL,
            token INTEGER NOT NULL
        );
        CREATE TABLE IF NOT EXISTS events (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            run INTEGER NOT NULL,
            body TEXT NOT NULL
        );
        CREATE INDEX IF NOT EXISTS events_of_run ON events (run);",
    )?;
    Ok(connection)
}
