//! Orders in SQLite.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use serde::Serialize;
use tempfile::TempDir;

/// How long to wait while other processes use the file.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Store {
    connection: Arc<Mutex<Connection>>,
    /// Deleted with the last clone.
    _temporary: Option<Arc<TempDir>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) quantity: i64,
    pub(crate) version: i64,
}

impl Store {
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

    pub(crate) async fn read(&self, id: String) -> anyhow::Result<Option<Order>> {
        self.with(move |connection| {
            connection
                .query_row(
                    "SELECT id, quantity, version FROM orders WHERE id = ?1",
                    [id],
                    |row| {
                        Ok(Order {
                            id: row.get(0)?,
                            quantity: row.get(1)?,
                            version: row.get(2)?,
                        })
                    },
                )
                .optional()
        })
        .await
    }

    /// Writes the row as it is given. What others have written in between is overwritten.
    pub(crate) async fn write(&self, order: Order) -> anyhow::Result<Order> {
        self.with(move |connection| {
            connection.execute(
                "INSERT OR REPLACE INTO orders (id, quantity, version) VALUES (?1, ?2, ?3)",
                params![order.id, order.quantity, order.version],
            )?;
            Ok(order)
        })
        .await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let connection = Arc::clone(&self.connection);
        let work = move || work(&connection.lock().unwrap_or_else(PoisonError::into_inner));
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
    connection.execute(
        "CREATE TABLE IF NOT EXISTS orders (
            id TEXT PRIMARY KEY, quantity INTEGER NOT NULL, version INTEGER NOT NULL
        )",
        [],
    )?;
    Ok(connection)
}
