//! Orders, and the two statements that present the fencing token: one that reads, and one that writes.

use rusqlite::{OptionalExtension, Row, params};
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
    /// The largest fencing token with which the row was read or written; 0 if all were without a lock.
    pub(crate) token: i64,
}

impl Order {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            quantity: row.get(1)?,
            version: row.get(2)?,
            token: row.get(3)?,
        })
    }
}

impl Store {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Shows an order.
    pub(crate) async fn show(&self, id: String) -> anyhow::Result<Option<Order>> {
        self.database
            .with(move |connection| {
                // A row whose version is 0 has been read for a first change, which was not written yet.
                let order = "SELECT id, quantity, version, token FROM orders
                    WHERE id = ?1 AND version > 0";
                connection
                    .query_row(order, [id], Order::from_row)
                    .optional()
            })
            .await
    }

    /// Reads an order to change it. Notes the token in the row, which is made if there is none: from now on,
    /// no holder of an earlier lock can write. If it could, this request would overwrite what it has written.
    ///
    /// The result is [`None`] if the row has seen a larger token: another request has had the lock since.
    pub(crate) async fn read(&self, id: String, token: i64) -> anyhow::Result<Option<Order>> {
        self.database
            .with(move |connection| {
                let order =
                    "INSERT INTO orders (id, quantity, version, token) VALUES (?1, 0, 0, ?2)
                    ON CONFLICT (id) DO UPDATE SET token = excluded.token
                    WHERE orders.token <= excluded.token
                    RETURNING id, quantity, version, token";
                connection
                    .query_row(order, params![id, token], Order::from_row)
                    .optional()
            })
            .await
    }

    /// Writes an order that was read with the same token.
    ///
    /// If the row has seen a larger token, nothing is written, and the result is [`None`]: another request
    /// has had the lock since, so this one has been paused for longer than its lock was valid.
    pub(crate) async fn write(&self, order: Order) -> anyhow::Result<Option<Order>> {
        self.database
            .with(move |connection| {
                let written = connection.execute(
                    "UPDATE orders SET quantity = ?2, version = ?3 WHERE id = ?1 AND token = ?4",
                    params![order.id, order.quantity, order.version, order.token],
                )?;
                Ok((written > 0).then_some(order))
            })
            .await
    }
}
