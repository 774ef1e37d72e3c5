//! The processes: each has nodes and queues of its own, and may be killed.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use redsync::{GuardParts, Redsync};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Flaw, Setting,
    chance::{ms, whole},
    client::{Client, Kind},
    link::{Link, Sender, Severity, Wire},
    setting::{EXPIRY, FEWER_PERMITS, MIN_VALIDITY, NODE_TIMEOUT, PERMITS},
    weather::Site,
};
use crate::history::{Call, Recorder, What};

/// How many tasks of a process lock.
const TASKS: usize = 4;

/// The pause of those who do not poll.
pub(super) const NEVER: Duration = Duration::from_secs(3600);

/// When clients of some processes read all the time: at these seconds before the end of every half
/// hour.
const READING: Range<u64> = 60..170;
const EVERY: u64 = 1800;

/// What all clients share.
pub(super) struct World {
    pub(super) setting: Setting,
    pub(super) recorder: Recorder,
    pub(super) sites: Vec<Site>,
    pub(super) severity: Severity,
    /// When clients stop.
    pub(super) end: Instant,
    /// Locks that were left to be resumed.
    pub(super) left: Mutex<Vec<(Kind, Call, GuardParts)>>,
    pub(super) processes: AtomicU32,
}

impl World {
    /// Makes the nodes as a new process sees them.
    pub(super) fn links(&self, sender: &Arc<Sender>, rng: &mut Rng) -> Vec<Link> {
        let is_far = rng.u8(..4) == 0;
        let link = |site: &Site| {
            let wire = Wire::new(rng.fork(), &self.severity, &self.setting, is_far);
            let wire = Arc::new(wire);
            site.wires.lock().expect("no panic").push(Arc::clone(&wire));
            Link::new(Arc::clone(&site.server), Arc::clone(sender), wire)
        };
        self.sites.iter().map(link).collect()
    }

    pub(super) fn next_process(&self) -> u32 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn is(&self, flaw: Flaw) -> bool {
        self.setting.flaw == Some(flaw)
    }
}

/// A process that lives or was killed.
pub(super) struct Process {
    pub(super) number: u32,
    pub(super) redsync: Redsync,
    pub(super) sender: Arc<Sender>,
    pub(super) world: Arc<World>,
    /// Whether its clients read at times what others want to write.
    is_reader: bool,
    calls: AtomicU64,
}

impl Process {
    fn start(world: &Arc<World>, is_reader: bool, rng: &mut Rng) -> Arc<Self> {
        let sender = Arc::new(Sender::new());
        let redsync = Redsync::new(world.links(&sender, rng)).and_then(|redsync| {
            redsync.with_defaults(|mutex| {
                let mutex = (mutex.with_expiry(EXPIRY))
                    .with_min_validity(MIN_VALIDITY)
                    .with_node_timeout(NODE_TIMEOUT);
                if world.is(Flaw::LostWakeUps) {
                    return mutex.with_retry_delay(NEVER);
                }
                mutex
            })
        });
        Arc::new(Self {
            number: world.next_process(),
            redsync: redsync.expect("a configuration that works"),
            sender,
            world: Arc::clone(world),
            is_reader,
            calls: AtomicU64::new(0),
        })
    }

    pub(super) fn next_call(&self) -> Call {
        Call {
            process: self.number,
            number: self.calls.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether its clients only read now, over and over.
    pub(super) fn reads(&self) -> bool {
        let left = self.world.end.saturating_duration_since(Instant::now());
        self.is_reader && READING.contains(&(left.as_secs() % EVERY))
    }

    /// The number of permits that this process knows of.
    pub(super) const fn permits(&self) -> usize {
        if self.is_reader {
            FEWER_PERMITS
        } else {
            PERMITS
        }
    }

    pub(super) fn lives(&self) -> bool {
        self.sender.lives.load(Ordering::Relaxed)
    }

    /// From here on, nothing that it does reaches anybody.
    fn kill(&self) {
        let process = self.number;
        self.world.recorder.record(What::Killed { process });
        self.sender.lives.store(false, Ordering::Relaxed);
    }
}

/// Starts a process, and another one whenever it is killed. Returns the last one, or what was
/// wrong.
pub(super) async fn live(
    world: Arc<World>,
    is_reader: bool,
    mut rng: Rng,
) -> Result<Arc<Process>, String> {
    loop {
        let process = Process::start(&world, is_reader, &mut rng);
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            tasks.spawn(Client::new(&process, rng.fork()).live());
        }
        let killed_at = Instant::now() + whole(&mut rng, 10_000, 600_000);
        let done = async {
            while let Some(result) = tasks.join_next().await {
                result.map_err(|error| format!("a task failed: {error}"))??;
            }
            Ok::<(), String>(())
        };
        if killed_at >= world.end {
            done.await?;
            return Ok(process);
        }
        if let Ok(failed) = timeout_at(killed_at, done).await {
            failed?;
            return Ok(process);
        }
        process.kill();
        tasks.shutdown().await;
        sleep(ms(rng.u64(0..3000))).await;
    }
}
