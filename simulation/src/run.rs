//! One run, from the seed to the check of its history.

use std::{
    sync::{Arc, Mutex, atomic::AtomicU32},
    time::Duration,
};

use fastrand::Rng;
use futures_util::future::join_all;
use redsync::{LockError, Redsync};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Setting,
    chance::ms,
    link::Severity,
    poller::Poller,
    process::{Process, World, live},
    server::Server,
    setting::{EXPIRY, LATEST, LONGEST_FAULT, NAMES, PERMITS, SEMAPHORE},
    weather::{Site, weather},
};
use crate::history::{Call, End, Event, Figures, Recorder, Rule, Wants, What, Wrong, check};

const PROCESSES: usize = 3;
const POLLERS: usize = 2;

/// How long a drain may take: the limit of a release, and a tick of the clock.
const DRAIN: Duration = EXPIRY.saturating_add(ms(5001));

/// What a run has shown.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Figures of its history.
    pub figures: Figures,
    /// What was wrong, in the order of time.
    pub wrongs: Vec<Wrong>,
    /// The history itself.
    pub history: Vec<Event>,
}

/// Makes one run. It has the thread to itself.
///
/// # Panics
///
/// If no runtime can be made.
#[must_use]
pub fn run(seed: u64, setting: &Setting) -> Outcome {
    // The crate draws its pauses from the thread's own generator.
    fastrand::seed(seed);
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(simulate(Rng::with_seed(seed), setting))
}

async fn simulate(mut rng: Rng, setting: &Setting) -> Outcome {
    let recorder = Recorder::in_memory();
    let failed = play(&mut rng, setting, &recorder).await.err();
    let history = recorder.take();
    let mut verdict = check(&history, &setting.expected());
    verdict.wrongs.extend(failed);
    Outcome {
        figures: verdict.figures,
        wrongs: verdict.wrongs,
        history,
    }
}

/// Fails with what the history does not show.
async fn play(rng: &mut Rng, setting: &Setting, recorder: &Recorder) -> Result<(), Wrong> {
    let world = world(rng, setting, recorder);
    let failed = |rule, text| Wrong {
        rule,
        at: recorder.now(),
        text,
    };
    let weather = tokio::spawn(weather(
        world.sites.clone(),
        world.severity.clone(),
        rng.fork(),
        world.end,
    ));
    let mut pollers = JoinSet::new();
    for _ in 0..POLLERS {
        pollers.spawn(Poller::new(&world, rng.fork()).live());
    }
    let mut processes = JoinSet::new();
    for number in 0..PROCESSES {
        processes.spawn(live(Arc::clone(&world), number > 0, rng.fork()));
    }
    let mut living = Vec::new();
    while let Some(result) = processes.join_next().await {
        let result = result.unwrap_or_else(|error| Err(format!("a process failed: {error}")));
        living.push(result.map_err(|text| failed(Rule::Client, text))?);
    }
    while pollers.join_next().await.is_some() {}
    let _ = weather.await;
    // Nothing that was sent before is late after this.
    sleep(ms(LATEST + LONGEST_FAULT)).await;

    recorder.record(What::Healed);
    probe(&living[0]).await;
    for process in &living {
        let left = is_anybody_left(&process.redsync).await;
        if left {
            let text = format!("somebody is left in a queue of process {}", process.number);
            return Err(failed(Rule::EndlessWait, text));
        }
    }
    for process in &living {
        let drained = timeout(DRAIN, process.redsync.drain()).await;
        drained.map_err(|_| failed(Rule::StaleKey, "draining takes too long".to_owned()))?;
    }
    // Locks that were left behind expire.
    sleep(EXPIRY + EXPIRY / 50).await;
    let left: usize = world.sites.iter().map(|site| site.server.len()).sum();
    if left > 0 {
        return Err(failed(Rule::StaleKey, format!("{left} keys are left")));
    }
    Ok(())
}

fn world(rng: &mut Rng, setting: &Setting, recorder: &Recorder) -> Arc<World> {
    let site = |number| Site {
        server: Arc::new(Server::new(number, setting, rng, recorder)),
        wires: Arc::default(),
    };
    Arc::new(World {
        setting: *setting,
        recorder: recorder.clone(),
        sites: (0..setting.nodes).map(site).collect(),
        severity: Severity::default(),
        end: Instant::now() + setting.span,
        left: Mutex::default(),
        processes: AtomicU32::new(1),
    })
}

/// Locks every key once more, at the same time.
async fn probe(process: &Process) {
    let Process { redsync, world, .. } = process;
    let limit = 2 * world.setting.expected().healed;
    let names = NAMES.iter().map(|name| redsync.mutex(*name));
    let permits = (0..PERMITS).map(|_| redsync.semaphore(SEMAPHORE, PERMITS));
    let guards = join_all(names.chain(permits).map(async |mutex| {
        let call = process.next_call();
        let keys: Arc<[Arc<str>]> = mutex.keys().map(Into::into).collect();
        let is_permit = keys.len() > 1;
        let wants = if is_permit {
            Wants::Permit(keys)
        } else {
            Wants::Exclusive(keys)
        };
        let mutex = mutex.with_owner_label(move || Ok::<_, std::convert::Infallible>(call.label()));
        let recorder = &world.recorder;
        recorder.record(What::Waits { call, wants });
        let Ok(guard) = mutex.lock_within(limit).await else {
            recorder.record(What::Leaves { call });
            return None;
        };
        recorder.record(What::Holds {
            call,
            until: recorder.instant(guard.until()),
            token: None,
            permit: is_permit.then(|| guard.name().into()),
            resumes: None,
        });
        Some((call, guard))
    }));
    for (call, guard) in guards.await.into_iter().flatten() {
        end(&world.recorder, call, guard.until());
        drop(guard);
    }
}

fn end(recorder: &Recorder, call: Call, until: Instant) {
    recorder.record(What::Ends {
        call,
        until: recorder.instant(until),
        end: End::Released,
    });
}

/// Whether a queue has waiters, though nobody waits.
async fn is_anybody_left(redsync: &Redsync) -> bool {
    for name in NAMES {
        let mutex = redsync.mutex(name);
        let _held = mutex.lock_within(2 * EXPIRY).await;
        let refused = mutex.with_max_waiting(1).lock_within(Duration::ZERO).await;
        if matches!(refused, Err(LockError::TooManyWaiting { .. })) {
            return true;
        }
    }
    false
}
