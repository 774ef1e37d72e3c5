//! What the locks protect: a counter for each name, and the set of all values that it has had.
//!
//! A holder reads a counter, and writes the next value later. If two work at the same time, both write the
//! same value, which the set refuses, and one update is lost.

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::{Error, Outcome};

pub(crate) struct Ledger {
    database: Connection,
    fenced: bool,
}

/// What a client is answered.
pub(crate) enum Entered {
    Done,
    /// A holder with a larger token was here before.
    Refused,
    /// Another has written the same value.
    Lost,
}

impl Ledger {
    pub(crate) fn new(names: &[String], fenced: bool) -> Outcome<Self> {
        let database = Connection::open_in_memory()?;
        database.execute_batch(
            "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER, token INTEGER);
             CREATE TABLE entries (name TEXT, value INTEGER, PRIMARY KEY (name, value));",
        )?;
        for name in names {
            database.execute("INSERT INTO counters VALUES (?1, 0, 0)", [name])?;
        }
        Ok(Self { database, fenced })
    }

    /// Reads the counters. From now on, no holder with a smaller token can write, because it might write
    /// after this.
    pub(crate) fn read(&mut self, names: &[String], token: i64) -> Outcome<Option<Vec<i64>>> {
        let fenced = self.fenced;
        let transaction = self.database.transaction()?;
        let mut values = Vec::new();
        for name in names {
            let value = transaction
                .prepare_cached(
                    "UPDATE counters SET token = max(token, ?2)
                     WHERE name = ?1 AND (token < ?2 OR NOT ?3) RETURNING value",
                )?
                .query_row(params![name, token, fenced], |row| row.get(0))
                .optional()?;
            let Some(value) = value else {
                return Ok(None);
            };
            values.push(value);
        }
        transaction.commit()?;
        Ok(Some(values))
    }

    /// Writes the counters, if no holder with a larger token has read them since.
    pub(crate) fn write(
        &mut self,
        names: &[String],
        token: i64,
        values: &[i64],
    ) -> Outcome<Entered> {
        let fenced = self.fenced;
        let transaction = self.database.transaction()?;
        for (name, value) in names.iter().zip(values) {
            let written = transaction
                .prepare_cached(
                    "UPDATE counters SET value = ?2
                     WHERE name = ?1 AND (token = ?3 OR NOT ?4)",
                )?
                .execute(params![name, value, token, fenced])?;
            if written == 0 {
                return Ok(Entered::Refused);
            }
            let added = transaction
                .prepare_cached("INSERT INTO entries VALUES (?1, ?2)")?
                .execute(params![name, value]);
            match added {
                Ok(_) => {}
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    return Ok(Entered::Lost);
                }
                Err(error) => return Err(error.into()),
            }
        }
        transaction.commit()?;
        Ok(Entered::Done)
    }

    /// The largest token that a name was read with.
    pub(crate) fn token(&self, name: &str) -> Outcome<i64> {
        let sql = "SELECT token FROM counters WHERE name = ?1";
        Ok(self.database.query_row(sql, [name], |row| row.get(0))?)
    }

    /// Checks that each counter has counted each entry once, and returns the sum of all counters.
    pub(crate) fn check(&self) -> Outcome<i64> {
        let mut statement = self.database.prepare(
            "SELECT name, counters.value, count(*), max(entries.value)
             FROM counters JOIN entries USING (name) GROUP BY name",
        )?;
        let mut rows = statement.query([])?;
        let mut sum = 0;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let (counter, entries, largest): (i64, i64, i64) =
                (row.get(1)?, row.get(2)?, row.get(3)?);
            if counter != entries || counter != largest {
                return Err(Error::from(format!(
                    "the counter of {name} is {counter}, with {entries} entries up to {largest}"
                )));
            }
            sum += counter;
        }
        Ok(sum)
    }
}
