//! What happens to the requests of the page, recorded in the database, so that every instance can show
//! it.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, TransactionBehavior, params};
use serde::Serialize;
use tokio::{sync::watch, time};

use crate::database::Database;

/// How often events are written, and looked for.
const PERIOD: Duration = Duration::from_millis(40);

/// How many runs the database keeps the events of.
const KEPT_RUNS: u32 = 4;

/// An event of a run, as the page gets it.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Event {
    /// A person has started the run.
    Started {
        locked: bool,
        requests: u32,
        work_ms: u64,
        instance: Arc<str>,
    },
    /// An instance has got a request, which now waits for its lock, if it needs one.
    Arrived { request: u32, instance: Arc<str> },
    /// The request works on the order. Without a lock it has no token.
    Working { request: u32, token: Option<u64> },
    /// What each node says about the lock of the request.
    Nodes { request: u32, nodes: Vec<Holds> },
    /// The request has written the order. It still has its lock.
    Worked { request: u32 },
    /// The request got an answer.
    Answered {
        request: u32,
        status: u16,
        quantity: Option<i64>,
    },
    /// All requests have been answered, and this is the sum.
    Ended { expected: i64, found: i64 },
}

/// What a node says about a lock.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holds {
    Key,
    NoKey,
    NoAnswer,
}

#[derive(Serialize)]
struct Recorded {
    run: i64,
    /// Milliseconds since 1970.
    at: u64,
    #[serde(flatten)]
    event: Event,
}

#[derive(Clone)]
pub(crate) struct Events {
    database: Database,
    /// Recording must not take time, because it happens while a lock is held.
    pending: Arc<Mutex<Vec<Recorded>>>,
    latest: watch::Sender<i64>,
}

impl Events {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            pending: Arc::default(),
            latest: watch::Sender::new(0),
        }
    }

    /// Records the first event of a new run, and returns the number of the run.
    pub(crate) async fn start(&self, event: Event) -> anyhow::Result<i64> {
        let start = move |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let run = transaction.query_row(
                "SELECT coalesce(max(run), 0) + 1 FROM events",
                [],
                |row| row.get(0),
            )?;
            transaction.execute(
                "INSERT INTO events (run, body) VALUES (?1, ?2)",
                params![run, Recorded::new(run, event).to_json()],
            )?;
            transaction.execute(
                "DELETE FROM events WHERE run <= (
                    SELECT DISTINCT run FROM events ORDER BY run DESC LIMIT 1 OFFSET ?1
                )",
                [KEPT_RUNS],
            )?;
            transaction.commit()?;
            Ok(run)
        };
        self.database.with(start).await
    }

    /// Records an event, which is written soon.
    pub(crate) fn record(&self, run: i64, event: Event) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.push(Recorded::new(run, event));
    }

    /// Returns the events that follow the one with this number, as JSON, and the number of the last.
    pub(crate) async fn after(&self, number: i64) -> anyhow::Result<(i64, Vec<String>)> {
        let read = move |connection: &mut Connection| {
            let mut query = connection.prepare_cached(
                "SELECT number, body FROM events WHERE number > ?1 ORDER BY number",
            )?;
            let mut last = number;
            let bodies = query.query_map([number], |row| {
                last = row.get(0)?;
                row.get(1)
            })?;
            let bodies = bodies.collect::<Result<_, _>>()?;
            Ok((last, bodies))
        };
        self.database.with(read).await
    }

    /// Changes whenever there are new events, from whichever instance.
    pub(crate) fn watch(&self) -> watch::Receiver<i64> {
        self.latest.subscribe()
    }

    /// Writes the events that are pending.
    pub(crate) async fn flush(&self) -> anyhow::Result<()> {
        let pending = mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.is_empty() {
            return Ok(());
        }
        let write = move |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for recorded in &pending {
                // Only of runs that are known: the number comes from a query string.
                transaction.execute(
                    "INSERT INTO events (run, body)
                    SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM events WHERE run = ?1)",
                    params![recorded.run, recorded.to_json()],
                )?;
            }
            transaction.commit()
        };
        self.database.with(write).await
    }

    /// Writes events again and again, and looks for those of other instances while somebody watches.
    /// Never ends.
    pub(crate) async fn keep_writing(self) {
        let mut period = time::interval(PERIOD);
        period.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            if let Err(error) = self.write_and_look().await {
                tracing::error!("the events failed: {error:#}");
            }
        }
    }

    async fn write_and_look(&self) -> anyhow::Result<()> {
        self.flush().await?;
        if self.latest.receiver_count() > 0 {
            let latest = self.database.with(|connection| {
                let query = "SELECT coalesce(max(number), 0) FROM events";
                connection.query_row(query, [], |row| row.get(0))
            });
            let latest = latest.await?;
            self.latest
                .send_if_modified(|known| mem::replace(known, latest) != latest);
        }
        Ok(())
    }
}

impl Recorded {
    fn new(run: i64, event: Event) -> Self {
        Self {
            run,
            at: now_ms(),
            event,
        }
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("no map with keys that are not strings")
    }
}

/// The milliseconds since 1970, which instances on one machine agree on.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
