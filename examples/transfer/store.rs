//! Accounts in SQLite.

use std::{collections::BTreeMap, path::Path};

use redsync_examples::{Database, integer};
use redsync_tower::redsync::FencingToken;

use crate::error::Error;

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
pub(crate) struct Store(Database);

impl Store {
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        Database::open(path, ACCOUNTS).map(Self)
    }

    pub(crate) async fn balances(&self) -> Result<Balances, Error> {
        self.0
            .transaction(|transaction| {
                let mut accounts =
                    transaction.prepare_cached("SELECT name, balance FROM accounts")?;
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
        let token = integer(token);
        self.0
            .transaction(move |transaction| {
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
        let token = integer(token);
        self.0
            .transaction(move |transaction| {
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
}

/// No row means that a later transfer has noted its token there.
fn of_this_transfer(balance: rusqlite::Result<i64>) -> Result<i64, Error> {
    balance.map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => Error::Lost,
        error => Error::Store(error),
    })
}
