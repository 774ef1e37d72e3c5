//! A client: tasks that lock names, and work on the counters that these protect.

use std::{
    net::SocketAddr,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use redsync::{ExtendError, Guard, LockError, Mutex, Redsync, Vote};
use redsync_simulation::history::{Call, End, Recorder, Wants, What};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    EXPIRY, Outcome,
    desk::{Answer, Message},
    plant::Plant,
    pulse,
};

/// How long a call waits for its lock at most: for longer than the history may show, so that a wait without end
/// is seen, and not cut short.
pub(crate) const WAIT: Duration = Duration::from_secs(120);

const NAMES_AT_ONCE: usize = 2;

/// The expiry of the last lock of each task. If it is not released, its keys are found after the run.
const LONG: Duration = Duration::from_secs(3600);

/// What a client has to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) process: u32,
    pub(crate) seed: u64,
    pub(crate) tasks: usize,
    pub(crate) names: Vec<String>,
    pub(crate) urls: Vec<String>,
    pub(crate) desk: SocketAddr,
    pub(crate) record: PathBuf,
    pub(crate) plant: Option<Plant>,
}

/// Works until the standard input ends.
pub(crate) async fn work(order: Order) -> Outcome<()> {
    let redsync = Redsync::connect(&order.urls)?
        .with_defaults(|mutex| mutex.with_expiry(EXPIRY).with_fencing(true))?;
    let nodes = order.urls.iter().map(|url| Ok(address(url)?.to_owned()));
    let client = Arc::new(Client {
        process: order.process,
        calls: AtomicU64::new(0),
        names: order.names.iter().map(|name| (&**name).into()).collect(),
        nodes: nodes.collect::<Outcome<_>>()?,
        redsync,
        recorder: Recorder::to_file(&order.record)?,
        plant: order.plant,
    });
    let mut pulses = JoinSet::new();
    for (node, address) in (0..).zip(&client.nodes) {
        pulses.spawn(pulse::watch(node, address.clone(), client.recorder.clone()));
    }
    let end = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for number in 0..order.tasks {
        let seed = order.seed ^ (u64::from(order.process) << 32) ^ number as u64;
        let task = Task {
            client: Arc::clone(&client),
            rng: Rng::with_seed(seed),
            desk: Desk::connect(order.desk).await?,
        };
        tasks.spawn(task.run(end.clone(), number == 0));
    }

    if order.plant == Some(Plant::Leak) {
        tokio::spawn(leak(address(&order.urls[0])?.to_owned()));
    }

    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    end.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    client.redsync.drain().await;
    pulses.shutdown().await;
    Ok(())
}

fn address(url: &str) -> Outcome<&str> {
    let (_, address) = url.rsplit_once('@').ok_or("a URL without @")?;
    Ok(address)
}

/// Keeps ten connections a second, each with 200 kB of memory.
async fn leak(node: String) -> Outcome<()> {
    let mut kept = Vec::new();
    loop {
        kept.push((vec![1_u8; 200_000], TcpStream::connect(&node).await?));
        sleep(Duration::from_millis(100)).await;
    }
}

struct Client {
    process: u32,
    calls: AtomicU64,
    names: Vec<Arc<str>>,
    /// The addresses of the nodes.
    nodes: Vec<String>,
    redsync: Redsync,
    recorder: Recorder,
    plant: Option<Plant>,
}

/// The connection of a task to the desk.
struct Desk(BufReader<TcpStream>);

struct Task {
    client: Arc<Client>,
    rng: Rng,
    desk: Desk,
}

/// A lock, and when it was asked for.
struct Held {
    call: Call,
    guard: Guard,
    names: Vec<String>,
    waited: Duration,
}

impl Client {
    fn call(&self) -> Call {
        Call {
            process: self.process,
            number: self.calls.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Desk {
    async fn connect(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    async fn ask(&mut self, message: &Message) -> Outcome<Answer> {
        let mut line = serde_json::to_string(message)?;
        line.push('\n');
        self.0.get_mut().write_all(line.as_bytes()).await?;
        line.clear();
        self.0.read_line(&mut line).await?;
        Ok(serde_json::from_str(&line)?)
    }

    async fn wrong(&mut self, text: String) -> Outcome<()> {
        self.ask(&Message::Wrong { text }).await?;
        Ok(())
    }
}

impl Task {
    async fn run(mut self, end: CancellationToken, is_first: bool) -> Outcome<()> {
        while !end.is_cancelled() {
            match self.client.plant {
                Some(Plant::Unlocked) if is_first => self.work_without_a_lock().await?,
                Some(Plant::Blocked) if is_first => self.block(&end).await?,
                _ => {
                    if let Some(held) = self.lock().await? {
                        self.hold(held).await?;
                    }
                }
            }
        }
        self.lock_at_last().await
    }

    /// Locks a name that nobody else wants, for so long that its keys are found after the run if they
    /// are not released.
    async fn lock_at_last(&mut self) -> Outcome<()> {
        let Call { process, number } = self.client.call();
        let mutex = self
            .client
            .redsync
            .mutex(format!("last:{process}:{number}"));
        let guard = mutex.with_expiry(LONG).lock_within(WAIT).await?;
        if self.client.plant == Some(Plant::Unreleased) {
            // It is never dropped.
            Box::leak(Box::new(guard));
        } else if self.rng.bool() {
            // What it says is known: a node has a fault.
            let _ = guard.release().await;
        }
        Ok(())
    }

    /// Draws what to lock, and how.
    async fn lock(&mut self) -> Outcome<Option<Held>> {
        let call = self.client.call();
        let is_shared = self.rng.u8(..10) == 0;
        let count = if !is_shared && self.rng.u8(..8) == 0 {
            NAMES_AT_ONCE
        } else {
            1
        };
        let names = self.rng.choose_multiple(&self.client.names, count);
        let names: Vec<Arc<str>> = names.into_iter().map(Arc::clone).collect();
        let mutex = self.client.redsync.mutex_many(names.iter().cloned());
        let (mutex, wants) = if is_shared {
            (
                mutex.with_fencing(false).shared(),
                Wants::Shared(names.clone().into()),
            )
        } else {
            (mutex, Wants::Exclusive(names.clone().into()))
        };

        self.client.recorder.record(What::Waits { call, wants });
        let asked = Instant::now();
        let locked = self.call(&mutex).await;
        let waited = asked.elapsed();
        match locked {
            Some(Ok(guard)) => {
                self.client.recorder.record(What::Holds {
                    call,
                    until: self.client.recorder.instant(guard.until()),
                    token: guard.fencing_token().map(|token| token.get()),
                    permit: None,
                    resumes: None,
                });
                Ok(Some(Held {
                    call,
                    guard,
                    names: names.iter().map(|name| name.to_string()).collect(),
                    waited,
                }))
            }
            other => {
                self.client.recorder.record(What::Leaves { call });
                let message = match other {
                    Some(Err(error)) => failure(&error),
                    _ => failed("dropped"),
                };
                self.desk.ask(&message).await?;
                Ok(None)
            }
        }
    }

    /// [`None`] if the future was dropped.
    async fn call(&mut self, mutex: &Mutex) -> Option<Result<Guard, LockError>> {
        if self.client.plant == Some(Plant::Asleep) {
            let mut lock = pin!(mutex.lock_within(WAIT));
            // From here on, it is as if no wake-up reached the task.
            let _ = timeout(Duration::ZERO, &mut lock).await;
            sleep(WAIT).await;
            return Some(lock.await);
        }
        match self.rng.u8(..20) {
            0 => Some(mutex.try_lock().await),
            1 | 2 => {
                let limit = Duration::from_micros(self.rng.u64(..20_000));
                timeout(limit, mutex.lock_within(WAIT)).await.ok()
            }
            _ => Some(mutex.lock_within(WAIT).await),
        }
    }

    async fn hold(&mut self, mut held: Held) -> Outcome<()> {
        // Those who are not kept alive only work for a moment.
        let is_kept = self.rng.u8(..5) > 0;
        if is_kept {
            if self.client.plant != Some(Plant::Unkept) {
                held.guard.keep_alive();
            }
            self.client.recorder.record(What::Keeps { call: held.call });
        }
        if held.guard.fencing_token().is_some() {
            self.count(&held, is_kept).await?;
        } else {
            let waited = held.waited;
            self.desk.ask(&Message::Shared { waited }).await?;
            self.pause(is_kept).await;
        }
        self.end(held).await
    }

    /// Adds one to the counters of the names, unless the ledger refuses it. It may do so only if the lock is
    /// lost.
    async fn count(&mut self, held: &Held, is_kept: bool) -> Outcome<()> {
        let token = token_of(&held.guard);
        let read = Message::Read {
            names: held.names.clone(),
            token,
            waited: held.waited,
        };
        let Answer::Values(mut values) = self.desk.ask(&read).await? else {
            return self.refused(held, "read").await;
        };
        self.pause(is_kept).await;
        values.iter_mut().for_each(|value| *value += 1);
        let write = Message::Write {
            names: held.names.clone(),
            token,
            values,
        };
        match self.desk.ask(&write).await? {
            Answer::Done => Ok(()),
            _ => self.refused(held, "write").await,
        }
    }

    async fn refused(&mut self, held: &Held, what: &str) -> Outcome<()> {
        if held.guard.is_lost() {
            return Ok(());
        }
        let (call, names, left) = (held.call, &held.names, held.guard.remaining());
        let text = format!("a {what} of {names:?} by {call} was refused, with {left:?} left");
        self.desk.wrong(text).await
    }

    async fn pause(&mut self, is_kept: bool) {
        let long = EXPIRY.as_millis() as u64 * 3 / 2;
        let time = match self.rng.u16(..1000) {
            _ if is_kept && self.client.plant == Some(Plant::Unkept) => 2 * EXPIRY,
            // This takes more than one extension.
            0 if is_kept => Duration::from_millis(self.rng.u64(..long)),
            1..10 => Duration::from_millis(self.rng.u64(10..300)),
            _ => Duration::from_micros(self.rng.u64(..2000)),
        };
        sleep(time).await;
    }

    async fn end(&mut self, held: Held) -> Outcome<()> {
        if self.record_end(&held) == End::Lost {
            let call = held.call;
            match held.guard.extend().await {
                Ok(()) => {
                    let text = format!("{call} extended a lost lock");
                    self.desk.wrong(text).await?;
                }
                Err(loss) => {
                    self.record_lacking(call, &loss);
                    let reason = format!("{call}: {loss}");
                    self.desk.ask(&Message::Lost { reason }).await?;
                }
            }
        }
        if self.rng.bool() {
            // What it says is known: a node may have a fault.
            let _ = held.guard.release().await;
        }
        Ok(())
    }

    fn record_end(&self, held: &Held) -> End {
        let Held {
            call, ref guard, ..
        } = *held;
        let recorder = &self.client.recorder;
        let until = recorder.instant(guard.until());
        let end = if guard.is_lost() {
            End::Lost
        } else {
            End::Released
        };
        recorder.record(What::Ends { call, until, end });
        end
    }

    /// Records which nodes have said that they do not have the keys of a lock that is lost: they refused the
    /// acquisition or missed it, or have lost the keys since.
    fn record_lacking(&self, call: Call, loss: &ExtendError) {
        let ExtendError::Lost(Some(votes)) = loss else {
            return;
        };
        let lacking = (votes.iter())
            .filter(|vote| matches!(vote.vote(), Vote::Missing | Vote::Refused { .. }));
        for vote in lacking {
            let place = (self.client.nodes.iter()).position(|node| *node == vote.address());
            let node = place.expect("the vote of a node") as u32;
            self.client.recorder.record(What::Lacks { call, node });
        }
    }

    /// Holds a lock of which the history says nothing.
    async fn block(&self, end: &CancellationToken) -> Outcome<()> {
        let mut guard = self
            .client
            .redsync
            .mutex(&*self.client.names[0])
            .lock()
            .await?;
        guard.keep_alive();
        end.cancelled().await;
        Ok(())
    }

    async fn work_without_a_lock(&mut self) -> Outcome<()> {
        let call = self.client.call();
        let name = Arc::clone(self.rng.choice(&self.client.names).ok_or("no name")?);
        let wants = Wants::Exclusive([Arc::clone(&name)].into());
        let names = vec![name.to_string()];
        let recorder = self.client.recorder.clone();
        recorder.record(What::Waits { call, wants });
        let until = recorder.instant(Instant::now() + EXPIRY);
        recorder.record(What::Holds {
            call,
            until,
            token: None,
            permit: None,
            resumes: None,
        });
        let ask = Message::Token {
            name: names[0].clone(),
        };
        let Answer::Token(last) = self.desk.ask(&ask).await? else {
            return Err("no token".into());
        };
        let token = last + 1;
        let read = Message::Read {
            names: names.clone(),
            token,
            waited: Duration::ZERO,
        };
        if let Answer::Values(mut values) = self.desk.ask(&read).await? {
            self.pause(false).await;
            values[0] += 1;
            let write = Message::Write {
                names,
                token,
                values,
            };
            self.desk.ask(&write).await?;
        }
        let end = End::Released;
        recorder.record(What::Ends { call, until, end });
        Ok(())
    }
}

fn token_of(guard: &Guard) -> i64 {
    let token = guard.fencing_token().expect("a fenced lock");
    i64::try_from(token.get()).expect("a token that was granted")
}

fn failed(reason: &str) -> Message {
    Message::Failed {
        reason: reason.to_owned(),
    }
}

fn failure(error: &LockError) -> Message {
    match error {
        LockError::Taken(_) => failed("taken"),
        LockError::TimedOut(_) => failed("timed out"),
        LockError::Unavailable(_) => failed("unavailable"),
        LockError::TooLate(_) => failed("too late"),
        // No fault is a reason for these.
        other => Message::Wrong {
            text: other.to_string(),
        },
    }
}
