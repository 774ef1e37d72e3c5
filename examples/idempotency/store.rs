//! Charges and stored answers in SQLite.

use std::{path::Path, time::Duration};

use axum::http::StatusCode;
use redsync_examples::{Database, integer};
use redsync_tower::redsync::FencingToken;
use rusqlite::{OptionalExtension, params};

use crate::{
    charges::Charge,
    key::{Customer, IdempotencyKey},
};

/// A row of `answers` is written when a request begins, and has a status when it has ended. It is kept
/// from the later of the two.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS charges (customer TEXT NOT NULL, amount INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS answers (
        customer TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL,
        token INTEGER NOT NULL, kept_from INTEGER NOT NULL, status INTEGER, body TEXT,
        PRIMARY KEY (customer, key)
    );
    CREATE INDEX IF NOT EXISTS answers_kept_from ON answers (kept_from);
";

#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
    /// How long an answer is kept.
    keep: Duration,
}

/// What a request finds when it begins.
pub(crate) enum Begun {
    /// Its key is new, or no request with it has ended.
    New,
    /// A request with its key has had this answer.
    Answered(Answer),
    /// Its key belongs to another payload.
    OtherPayload,
    /// A request that acquired the lock later has begun already.
    Superseded,
}

/// What a client gets.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, body: &serde_json::Value) -> Self {
        let body = body.to_string();
        Self { status, body }
    }
}

impl Store {
    pub(crate) fn open(path: Option<&Path>, keep: Duration) -> anyhow::Result<Self> {
        let database = Database::open(path, TABLES)?;
        Ok(Self { database, keep })
    }

    /// Looks for a stored answer. If there is none, notes that the holder of this token works on it.
    pub(crate) async fn begin(
        &self,
        IdempotencyKey { customer, key }: IdempotencyKey,
        fingerprint: Vec<u8>,
        token: FencingToken,
    ) -> anyhow::Result<Begun> {
        let (token, keep) = (integer(token), self.keep.as_secs_f64());
        self.database.transaction(move |transaction| {
            // Few at a time, so that no request has to delete many.
            transaction.execute(
                "DELETE FROM answers WHERE (customer, key) = (?1, ?2) AND kept_from <= unixepoch() - ?3
                 OR rowid IN (SELECT rowid FROM answers WHERE kept_from <= unixepoch() - ?3 LIMIT 10)",
                params![customer, key, keep],
            )?;
            let found = transaction
                .query_row(
                    "SELECT fingerprint, token, status, body FROM answers
                     WHERE (customer, key) = (?1, ?2)",
                    params![customer, key],
                    |row| {
                        let (status, body) = (row.get::<_, Option<u16>>(2)?, row.get(3)?);
                        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
                        let answer = status
                            .zip(body)
                            .map(|(status, body)| Answer { status, body });
                        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, answer))
                    },
                )
                .optional()?;
            match found {
                Some((other, ..)) if other != fingerprint => return Ok(Begun::OtherPayload),
                Some((_, _, Some(answer))) => return Ok(Begun::Answered(answer)),
                Some((_, later, None)) if later > token => return Ok(Begun::Superseded),
                _ => {}
            }
            transaction.execute(
                "INSERT INTO answers (customer, key, fingerprint, token, kept_from)
                 VALUES (?1, ?2, ?3, ?4, unixepoch())
                 ON CONFLICT DO UPDATE SET token = excluded.token, kept_from = excluded.kept_from",
                params![customer, key, fingerprint, token],
            )?;
            Ok(Begun::New)
        })
        .await
    }

    /// Makes the charge, if there is one, and stores the answer, both or neither. Returns [`None`],
    /// and writes nothing, if a request with a larger token has begun.
    pub(crate) async fn finish(
        &self,
        IdempotencyKey { customer, key }: IdempotencyKey,
        token: FencingToken,
        charge: Option<Charge>,
        answer: Answer,
    ) -> anyhow::Result<Option<Answer>> {
        let token = integer(token);
        self.database
            .transaction(move |transaction| {
                let is_mine = transaction
                    .prepare_cached(
                        "SELECT 1 FROM answers
                     WHERE (customer, key, token) = (?1, ?2, ?3) AND status IS NULL",
                    )?
                    .exists(params![customer, key, token])?;
                if !is_mine {
                    return Ok(None);
                }
                if let Some(Charge { amount }) = charge {
                    transaction.execute(
                        "INSERT INTO charges (customer, amount) VALUES (?1, ?2)",
                        params![customer, amount],
                    )?;
                }
                transaction.execute(
                    "UPDATE answers SET status = ?3, body = ?4, kept_from = unixepoch()
                 WHERE (customer, key) = (?1, ?2)",
                    params![customer, key, answer.status.as_u16(), answer.body],
                )?;
                Ok(Some(answer))
            })
            .await
    }

    pub(crate) async fn charges(&self, customer: Customer) -> anyhow::Result<Vec<Charge>> {
        self.database
            .transaction(move |transaction| {
                let mut charges = transaction.prepare_cached(
                    "SELECT amount FROM charges WHERE customer = ?1 ORDER BY rowid",
                )?;
                let charges = charges.query_map([customer.0], |row| {
                    Ok(Charge {
                        amount: row.get(0)?,
                    })
                })?;
                Ok(charges.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }
}
