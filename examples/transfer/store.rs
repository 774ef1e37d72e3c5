//! Accounts in SQLite.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use redsync_tower::redsync::FencingToken;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tempfile::TempDir;

use crate::error::Error;

/// How long to wait while other processes use the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// The token of a row is that of the last transfer that has begun with the account.
const ACCOUNTS: &str = "
    CREATE TABLE IF NOT EXISTS accounts (
        name TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0), token INTEGER NOT NULL
    );
    INSERT OR IGNORE INTO accounts VALUES ('alice', 1000, 0), ('bob', 1000, 0), ('carol', 1000, 0);
";

/// The balance of each account, by its name.
pub(crate) type Balances = BTreeMap<String, i64>;

#[derive(Clone)]
pub(crate) struct Store {
    connection: Arc<Mutex<Connection>>,
    /// Deleted with the last clone.
    _temporary: Option<Arc<TempDir>>,
}

impl Store {
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let (path, temporary) = if let Some(path) = path {
            (path.to_owned(), None)
        } else {
            let directory = tempfile::tempdir().context("no temporary directory")?;
            (directory.path().join("accounts.sqlite"), Some(directory))
        };
        let connection =
            connect(&path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            _temporary: temporary.map(Arc::new),
        })
    }

    pub(crate) async fn balances(&self) -> Result<Balances, Error> {
        self.transaction(|transaction| {
            let mut accounts = transaction.prepare_cached("SELECT name, balance FROM accounts")?;
            let balances = accounts.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(balances.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Notes the token in both rows, and returns the balances. From now on, an earlier transfer cannot write
    /// what it has read.
    pub(crate) async fn begin(
        &self,
        accounts: [String; 2],
        token: FencingToken,
    ) -> Result<Balances, Error> {
        let token = number(token);
        self.transaction(move |transaction| {
            let mut note = transaction.prepare_cached(
                "UPDATE accounts SET token = ?2 WHERE name = ?1 AND token < ?2 RETURNING balance",
            )?;
            let mut balances = Balances::new();
            for account in accounts {
                let balance = note.query_row((&account, token), |row| row.get(0));
                balances.insert(account, of_this_transfer(balance)?);
            }
            Ok(balances)
        })
        .await
    }

    /// Writes all balances, or none if a later transfer has begun with one of the accounts.
    pub(crate) async fn finish(
        &self,
        balances: Balances,
        token: FencingToken,
    ) -> Result<(), Error> {
        let token = number(token);
        self.transaction(move |transaction| {
            let mut write = transaction.prepare_cached(
                "UPDATE accounts SET balance = ?3 WHERE name = ?1 AND token = ?2 RETURNING balance",
            )?;
            for (account, balance) in balances {
                let written = write.query_row((account, token, balance), |row| row.get(0));
                let _: i64 = of_this_transfer(written)?;
            }
            Ok(())
        })
        .await
    }

    /// Runs a transaction to its end, even if the request is dropped meanwhile. It rolls back if the
    /// work fails, or if the process ends before the commit.
    async fn transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
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

/// No row means that a later transfer has noted its token there.
fn of_this_transfer(balance: rusqlite::Result<i64>) -> Result<i64, Error> {
    balance.map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => Error::Lost,
        error => Error::Store(error),
    })
}

/// A token fits into the integers of SQLite.
fn number(token: FencingToken) -> i64 {
    token.get().try_into().expect("a token that was granted")
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    // A commit is on the disk before its answer is sent.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {ACCOUNTS} COMMIT;"))?;
    Ok(connection)
}
