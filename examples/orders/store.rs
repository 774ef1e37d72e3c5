//! Orders, and the statement that refuses late writes.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use crate::database::Database;

#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
}

#[derive(Debug, Serialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) quantity: i64,
    pub(crate) version: i64,
    /// The fencing token of the lock under which the row was written; 0 without a lock.
    pub(crate) token: i64,
}

impl Order {
    pub(crate) const fn new(id: String) -> Self {
        Self {
            id,
            quantity: 0,
            version: 0,
            token: 0,
        }
    }
}

impl Store {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }

    pub(crate) async fn read(&self, id: String) -> anyhow::Result<Option<Order>> {
        self.database
            .with(move |connection| {
                connection
                    .query_row(
                        "SELECT id, quantity, version, token FROM orders WHERE id = ?1",
                        [id],
                        |row| {
                            Ok(Order {
                                id: row.get(0)?,
                                quantity: row.get(1)?,
                                version: row.get(2)?,
                                token: row.get(3)?,
                            })
                        },
                    )
                    .optional()
            })
            .await
    }

    /// Writes the row as it is given. What others have written in between with the same token, or with a
    /// smaller one, is overwritten.
    ///
    /// If the row has seen a larger token, nothing is written, and the result is [`None`]: another request
    /// has had the lock since, so this one has been paused for longer than its lock was valid.
    pub(crate) async fn write(&self, order: Order) -> anyhow::Result<Option<Order>> {
        self.database
            .with(move |connection| {
                let written = connection.execute(
                    "INSERT INTO orders (id, quantity, version, token) VALUES (?1, ?2, ?3, ?4)
                    ON CONFLICT (id) DO UPDATE SET
                        quantity = excluded.quantity,
                        version = excluded.version,
                        token = excluded.token
                    WHERE orders.token <= excluded.token",
                    params![order.id, order.quantity, order.version, order.token],
                )?;
                Ok((written > 0).then_some(order))
            })
            .await
    }
}
