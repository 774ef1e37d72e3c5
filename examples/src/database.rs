//! A SQLite file, which several processes can share.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use redsync_tower::redsync::FencingToken;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tempfile::TempDir;

/// How long to wait while other processes use the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// A database, which its clones share.
#[derive(Clone, Debug)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    /// Deleted with the last clone.
    _temporary: Option<Arc<TempDir>>,
}

impl Database {
    /// Opens a file, or a temporary one, and runs the SQL that makes its tables.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or written, or if the SQL fails.
    pub fn open(path: Option<&Path>, tables: &str) -> anyhow::Result<Self> {
        let (path, temporary) = if let Some(path) = path {
            (path.to_owned(), None)
        } else {
            let directory = tempfile::tempdir().context("no temporary directory")?;
            (directory.path().join("database.sqlite"), Some(directory))
        };
        let connection =
            connect(&path, tables).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            _temporary: temporary.map(Arc::new),
        })
    }

    /// Runs a transaction to its end, even if the future is dropped meanwhile. It rolls back if the work
    /// fails, or if the process ends before the commit.
    ///
    /// # Errors
    ///
    /// If the work fails, or if the transaction cannot begin or be committed.
    ///
    /// # Panics
    ///
    /// If the work panics.
    pub async fn transaction<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        let run = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        let task = tokio::task::spawn_blocking(run).await;
        task.expect("transactions do not panic")
    }
}

/// Returns a token as an integer of SQLite, into which it fits.
///
/// # Panics
///
/// If the token was not granted by nodes, but made up.
#[must_use]
pub fn integer(token: FencingToken) -> i64 {
    token.get().try_into().expect("a token that was granted")
}

fn connect(path: &Path, tables: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    // A commit is on the disk before its answer is sent.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {tables} COMMIT;"))?;
    Ok(connection)
}
