//! A task of a process that locks, works and releases at random.

use std::{mem, sync::Arc, time::Duration};

use fastrand::Rng;
use redsync::{Guard, Mutex, RunError, Validity, future::Lock};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Flaw,
    chance::whole,
    process::{NEVER, Process, World},
    setting::{FASTEST, LONGEST_MINIMUM, MIN_VALIDITY, NAMES, SEMAPHORE, VALIDITY},
    stalling::stalling,
};
use crate::history::{Call, End, Recorder, Wants, What};

/// A patience that only a wait without end is longer than.
const PATIENCE: Duration = Duration::from_secs(120);

/// By how much tokens grow with an acquisition. In between are those of hand-overs.
const STRIDE: u64 = 64;

/// What is locked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    One(usize),
    Both,
    Shared(usize),
    SharedBoth,
    Permit,
}

impl Kind {
    fn draw(rng: &mut Rng) -> Self {
        let name = usize::from(rng.u8(..4) == 0);
        match rng.u8(..20) {
            0..9 => Self::One(name),
            9..12 => Self::Both,
            12..15 => Self::Shared(name),
            15 => Self::SharedBoth,
            _ => Self::Permit,
        }
    }

    fn mutex(self, process: &Process, call: Call) -> Mutex {
        let redsync = &process.redsync;
        let mutex = match self {
            Self::One(name) => redsync.mutex(NAMES[name]),
            Self::Both => redsync.mutex_many(NAMES),
            Self::Shared(name) => redsync.mutex(NAMES[name]).shared(),
            Self::SharedBoth => redsync.mutex_many(NAMES).shared(),
            Self::Permit => redsync.semaphore(SEMAPHORE, process.permits()),
        };
        mutex.with_owner_label(move || Ok::<_, std::convert::Infallible>(call.label()))
    }

    const fn is_exclusive(self) -> bool {
        matches!(self, Self::One(_) | Self::Both)
    }

    fn wants(self, mutex: &Mutex) -> Wants {
        let keys = mutex.keys().map(Into::into).collect();
        match self {
            Self::One(_) | Self::Both => Wants::Exclusive(keys),
            Self::Shared(_) | Self::SharedBoth => Wants::Shared(keys),
            Self::Permit => Wants::Permit(keys),
        }
    }
}

/// How often a client wants something.
#[derive(Clone, Copy)]
enum Mood {
    Busy,
    Usual,
    Lazy,
}

pub(super) struct Client {
    process: Arc<Process>,
    rng: Rng,
    /// Whether the lock that it holds has a minimum hold.
    has_minimum: bool,
}

impl Client {
    pub(super) fn new(process: &Arc<Process>, rng: Rng) -> Self {
        Self {
            process: Arc::clone(process),
            rng,
            has_minimum: false,
        }
    }

    fn world(&self) -> &World {
        &self.process.world
    }

    fn recorder(&self) -> &Recorder {
        &self.process.world.recorder
    }

    pub(super) async fn live(mut self) -> Result<(), String> {
        let end = self.world().end;
        while Instant::now() < end {
            let rng = &mut self.rng;
            let mood = match rng.u8(..8) {
                0 => Mood::Busy,
                1 => Mood::Lazy,
                _ => Mood::Usual,
            };
            let changes = Instant::now() + whole(rng, 500, 30_000);
            while Instant::now() < end.min(changes) {
                let rng = &mut self.rng;
                if self.process.reads() {
                    sleep(whole(rng, 0, 50)).await;
                    self.read().await;
                    continue;
                }
                sleep(match mood {
                    Mood::Busy => whole(rng, 0, 60),
                    Mood::Usual => whole(rng, 0, 10_000),
                    Mood::Lazy => whole(rng, 1_000, 20_000),
                })
                .await;
                self.act().await?;
            }
        }
        Ok(())
    }

    async fn act(&mut self) -> Result<(), String> {
        let kind = Kind::draw(&mut self.rng);
        match self.rng.u8(..32) {
            0 | 1 => self.run(kind).await,
            2 | 3 => self.resume().await?,
            _ => {
                let call = self.process.next_call();
                if let Some(guard) = self.lock(kind, call).await {
                    if guard.remaining() <= MIN_VALIDITY {
                        let left = guard.remaining();
                        return Err(format!(
                            "{call} was granted a lock that is valid for {left:?}"
                        ));
                    }
                    self.hold(kind, call, guard).await?;
                }
            }
        }
        Ok(())
    }

    /// Reads what many read at the same time.
    async fn read(&mut self) {
        let (kind, call) = (Kind::Shared(0), self.process.next_call());
        if let Some(guard) = self.lock(kind, call).await {
            sleep(whole(&mut self.rng, 50, 400)).await;
            self.record_end(call, &guard, End::Released);
        }
    }

    /// Also returns the minimum hold of the mutex, which most do not have.
    fn mutex(&mut self, kind: Kind, call: Call) -> (Mutex, Duration) {
        let mutex = kind.mutex(&self.process, call);
        let rng = &mut self.rng;
        let minimum = match rng.u8(..12) {
            0 => whole(rng, 1, LONGEST_MINIMUM),
            _ => Duration::ZERO,
        };
        let mutex = (mutex.with_fail_fast(rng.u8(..8) > 0))
            .with_shuffled_nodes(rng.u8(..4) == 0)
            .with_set_if_absent_on_extend(rng.u8(..4) == 0)
            .with_min_hold(minimum)
            .with_fencing(kind.is_exclusive() && rng.u8(..4) > 0);
        if matches!(kind, Kind::Permit) && self.process.world.is(Flaw::UntakenPermit) {
            return (mutex.with_retry_delay(NEVER), minimum);
        }
        (mutex, minimum)
    }

    async fn lock(&mut self, kind: Kind, call: Call) -> Option<Guard> {
        let (mutex, minimum) = self.mutex(kind, call);
        let rng = &mut self.rng;
        let wants = kind.wants(&mutex);
        self.process
            .world
            .recorder
            .record(What::Waits { call, wants });
        let lock = match rng.u8(..10) {
            0 => mutex.try_lock(),
            1 => mutex.with_tries(5).lock(),
            2 => mutex.lock(),
            3..6 => mutex.lock_within(whole(rng, 0, 3000)),
            _ => mutex.lock_within(PATIENCE),
        };
        let guard = self.wait(call, lock).await;
        match &guard {
            Some(guard) => {
                self.record_grant(kind, call, guard, None);
                self.record_minimum(call, guard.until(), minimum);
                self.has_minimum = !minimum.is_zero();
            }
            None => self.recorder().record(What::Leaves { call }),
        }
        guard
    }

    /// Waits for the lock, and may stand still or leave meanwhile.
    async fn wait(&mut self, call: Call, lock: Lock) -> Option<Guard> {
        let rng = &mut self.rng;
        let longest = if rng.bool() { 50 } else { 2000 };
        let leaves_after = (rng.u8(..8) == 0).then(|| whole(rng, 0, longest));
        let stalls = (rng.u8(..6) == 0).then(|| rng.fork());
        let recorder = &self.process.world.recorder;
        let lock = async {
            match stalls {
                Some(rng) => stalling(rng, call, recorder, lock).await,
                None => lock.await,
            }
        };
        match leaves_after {
            Some(time) => timeout(time, lock).await.ok()?.ok(),
            None => lock.await.ok(),
        }
    }

    fn record_grant(&self, kind: Kind, call: Call, guard: &Guard, resumes: Option<Call>) {
        let recorder = self.recorder();
        let is_permit = matches!(kind, Kind::Permit);
        recorder.record(What::Holds {
            call,
            until: recorder.instant(guard.until()),
            token: self.token(guard.fencing_token()),
            permit: is_permit.then(|| guard.name().into()),
            resumes,
        });
    }

    /// `until` is the end of the validity before any extension.
    fn record_minimum(&self, call: Call, until: Instant, minimum: Duration) {
        if minimum.is_zero() {
            return;
        }
        let start = until - VALIDITY;
        let until = self.recorder().instant(start + minimum.mul_f64(FASTEST));
        self.recorder().record(What::Minimum { call, until });
    }

    fn token(&self, token: Option<redsync::FencingToken>) -> Option<u64> {
        let token = token?.get();
        if self.world().is(Flaw::HandOverWithoutToken) {
            return Some(token - token % STRIDE);
        }
        Some(token)
    }

    fn record_end(&self, call: Call, guard: &Guard, end: End) {
        let recorder = self.recorder();
        let is_lost = guard.is_lost() && end != End::Left;
        let end = if is_lost { End::Lost } else { end };
        recorder.record(What::Ends {
            call,
            until: recorder.instant(guard.until()),
            end,
        });
    }

    async fn hold(&mut self, kind: Kind, call: Call, mut guard: Guard) -> Result<(), String> {
        self.work(call, &mut guard).await?;
        if mem::take(&mut self.has_minimum) && self.rng.bool() {
            // It is given up, and may arrive after the release.
            let time = whole(&mut self.rng, 0, 2);
            let _ = timeout(time, guard.extend()).await;
        }
        match self.rng.u8(..16) {
            0 => {
                self.record_end(call, &guard, End::Left);
                let parts = guard.into_parts();
                if !parts.remaining.is_zero() {
                    let left = &self.world().left;
                    left.lock().expect("no panic").push((kind, call, parts));
                }
            }
            1..4 => {
                self.record_end(call, &guard, End::Released);
                drop(guard);
            }
            4 => {
                self.record_end(call, &guard, End::Released);
                // Its future is never polled.
                drop(guard.release());
            }
            5 => {
                self.record_end(call, &guard, End::Released);
                let time = whole(&mut self.rng, 0, 20);
                let _ = timeout(time, guard.release()).await;
            }
            _ => {
                self.record_end(call, &guard, End::Released);
                // Whatever the result is.
                let _ = guard.release().await;
            }
        }
        Ok(())
    }

    async fn work(&mut self, call: Call, guard: &mut Guard) -> Result<(), String> {
        let rng = &mut self.rng;
        let (longest, keeps) = match rng.u8(..32) {
            0 => (4000, true),
            1 => (1500, false),
            2 | 3 => (300, rng.bool()),
            _ => (20, rng.u8(..8) == 0),
        };
        // Some hold it for as long as they may.
        let end = if rng.u8(..24) == 0 {
            guard.until()
        } else {
            Instant::now() + whole(rng, 0, longest)
        };
        if keeps {
            guard.keep_alive();
            self.recorder().record(What::Keeps { call });
        }
        while Instant::now() < end && !guard.is_lost() {
            let rng = &mut self.rng;
            let rest = end - Instant::now();
            sleep(whole(rng, 0, 400).min(rest)).await;
            let limit = match self.rng.u8(..8) {
                0 => PATIENCE,
                1 => whole(&mut self.rng, 0, 100),
                2 => {
                    self.verify(call, guard).await?;
                    continue;
                }
                _ => continue,
            };
            let since = self.recorder().now();
            if matches!(timeout(limit, guard.extend()).await, Ok(Ok(()))) {
                let until = self.recorder().instant(guard.until());
                self.recorder().record(What::Extends { call, since, until });
            }
        }
        Ok(())
    }

    /// While it is valid, a lock is on a majority of nodes.
    async fn verify(&self, call: Call, guard: &Guard) -> Result<(), String> {
        let held = guard.verify().await;
        if matches!(held, Ok(false)) && !guard.is_lost() {
            return Err(format!(
                "the nodes said that {call} has no lock, while it was valid"
            ));
        }
        Ok(())
    }

    async fn run(&mut self, kind: Kind) {
        let call = self.process.next_call();
        let (mutex, minimum) = self.mutex(kind, call);
        let mutex = mutex.with_tries(20);
        let wants = kind.wants(&mutex);
        self.recorder().record(What::Waits { call, wants });
        let time = whole(&mut self.rng, 0, 300);
        let leaves_after = (self.rng.u8(..4) == 0).then(|| whole(&mut self.rng, 0, 400));
        let begun = std::sync::atomic::AtomicBool::new(false);
        let work = async |validity: Validity| {
            begun.store(true, std::sync::atomic::Ordering::Relaxed);
            let recorder = self.recorder();
            let is_permit = matches!(kind, Kind::Permit);
            recorder.record(What::Holds {
                call,
                until: recorder.instant(validity.until()),
                token: self.token(validity.fencing_token()),
                permit: is_permit.then(|| validity.name().into()),
                resumes: None,
            });
            self.record_minimum(call, validity.until(), minimum);
            recorder.record(What::Keeps { call });
            let _ends = Ends {
                process: &self.process,
                call,
                validity,
            };
            sleep(time).await;
        };
        let run = mutex.run(work);
        let result = match leaves_after {
            Some(limit) => timeout(limit, run).await.ok(),
            None => Some(run.await),
        };
        let has_begun = begun.load(std::sync::atomic::Ordering::Relaxed);
        if !has_begun && matches!(result, None | Some(Err(RunError::Lock(_) | _))) {
            self.recorder().record(What::Leaves { call });
        }
    }

    /// Takes over a lock that was left, maybe by another process.
    async fn resume(&mut self) -> Result<(), String> {
        let left = {
            let mut left = self.process.world.left.lock().expect("no panic");
            left.pop()
        };
        let Some((kind, left_by, parts)) = left else {
            return Ok(());
        };
        sleep(whole(&mut self.rng, 0, 300)).await;
        let call = self.process.next_call();
        let mutex = (kind.mutex(&self.process, call)).with_fencing(parts.fencing_token.is_some());
        let wants = kind.wants(&mutex);
        self.recorder().record(What::Waits { call, wants });
        let Ok(guard) = mutex.resume(parts).await else {
            self.recorder().record(What::Leaves { call });
            return Ok(());
        };
        self.record_grant(kind, call, &guard, Some(left_by));
        self.hold(kind, call, guard).await
    }
}

/// Records the end of a belief when the work under a lock is over, or is dropped.
struct Ends<'a> {
    process: &'a Process,
    call: Call,
    validity: Validity,
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if !self.process.lives() {
            return;
        }
        let recorder = &self.process.world.recorder;
        let is_lost = self.validity.is_lost();
        recorder.record(What::Ends {
            call: self.call,
            until: recorder.instant(self.validity.until()),
            end: if is_lost { End::Lost } else { End::Released },
        });
    }
}
