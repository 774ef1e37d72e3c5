//! Tasks that all want one name, in one process or in several.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use redsync_tests::bench::{cpu_time, nanos};
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, task::JoinSet, time::timeout_at};

use crate::{
    Outcome,
    figures::Figures,
    implementation::{Client, Implementation},
    process::{Job, Process, common_start},
    runtime::run,
    setting::Setting,
};

/// The results of the tasks of one process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Visits {
    /// How long each wait took, in nanoseconds. A wait that is under way at the end counts with its
    /// length so far. Otherwise tasks that starve would not be seen.
    waits: Vec<u64>,
    sections: usize,
    /// How long the lock was held in all.
    held: Duration,
    cpu: Duration,
}

/// The tasks of one process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Crowd {
    pub(crate) name: String,
    pub(crate) tasks: usize,
    pub(crate) hold: Duration,
    pub(crate) time: Duration,
}

pub(crate) fn measure(
    addresses: &[String],
    setting: &Setting,
    implementation: Implementation,
    time: Duration,
) -> Outcome<Figures> {
    let crowd = Crowd {
        name: format!("contended:{:016x}", fastrand::u64(..)),
        tasks: setting.tasks,
        hold: Duration::from_millis(setting.hold_ms),
        time,
    };
    let processes = if setting.processes == 1 {
        let addresses = addresses.to_vec();
        let work = async move {
            let client = Client::connect(implementation, &addresses).await?;
            contend(&client, &crowd).await
        };
        vec![run(setting.runtime, work)?]
    } else {
        let job = Job::Contend(crowd);
        let start = |_| Process::start(implementation, addresses, setting.runtime, &job);
        let mut processes: Vec<_> = (0..setting.processes).map(start).collect::<Outcome<_>>()?;
        common_start(&mut processes)?;
        processes
            .iter_mut()
            .map(Process::receive)
            .collect::<Outcome<_>>()?
    };
    Ok(sum(processes, time))
}

fn sum(processes: Vec<Visits>, time: Duration) -> Figures {
    let sections: usize = processes.iter().map(|it| it.sections).sum();
    let least = processes
        .iter()
        .map(|it| it.sections)
        .min()
        .unwrap_or_default();
    let fair = sections as f64 / processes.len() as f64;
    let held: Duration = processes.iter().map(|it| it.held).sum();
    let cpu = processes.iter().map(|it| it.cpu).sum();
    Figures {
        fair_share_min: (processes.len() > 1 && sections > 0).then_some(least as f64 / fair),
        held_us: (sections > 0).then(|| held.as_secs_f64() * 1e6 / sections as f64),
        ..Figures::default()
    }
    .with_costs(sections, time, cpu)
    .with_times(processes.into_iter().flat_map(|it| it.waits).collect())
}

/// Lets the tasks lock, hold and release for a time.
pub(crate) async fn contend(client: &Arc<Client>, crowd: &Crowd) -> Outcome<Visits> {
    let hold = Hold::start(crowd.hold);
    let (end, cpu) = (Instant::now() + crowd.time, cpu_time());
    let mut running = JoinSet::new();
    for _ in 0..crowd.tasks {
        let (client, crowd, hold) = (Arc::clone(client), crowd.clone(), hold.clone());
        running.spawn(async move {
            let mut visits = Visits::default();
            let mut since = None;
            let work = visits.repeat(&mut since, &client, &crowd.name, &hold, end);
            if let Ok(ended) = timeout_at(end.into(), work).await {
                ended?;
            }
            visits
                .waits
                .extend(since.map(|since: Instant| nanos(since.elapsed())));
            Outcome::Ok(visits)
        });
    }
    let mut all = Visits::default();
    while let Some(visits) = running.join_next().await {
        let visits = visits??;
        all.waits.extend(visits.waits);
        all.sections += visits.sections;
        all.held += visits.held;
    }
    all.cpu = cpu_time() - cpu;
    Ok(all)
}

impl Visits {
    /// Repeats until the future is dropped, or until `end` if it never has to wait. `since` says
    /// whether it is waiting, and since when.
    async fn repeat(
        &mut self,
        since: &mut Option<Instant>,
        client: &Client,
        name: &str,
        hold: &Hold,
        end: Instant,
    ) -> Outcome<()> {
        while Instant::now() < end {
            let begun = *since.insert(Instant::now());
            let held = client.wait(name).await?;
            let entered = Instant::now();
            *since = None;
            self.waits.push(nanos(entered - begun));
            hold.pass().await;
            self.held += entered.elapsed();
            self.sections += 1;
            held.release().await?;
        }
        Ok(())
    }
}

/// Lets a time pass, to within microseconds, by a thread that sleeps. A timer of tokio's may take a
/// millisecond longer.
#[derive(Clone)]
struct Hold(Option<mpsc::Sender<oneshot::Sender<()>>>);

impl Hold {
    fn start(time: Duration) -> Self {
        if time.is_zero() {
            return Self(None);
        }
        let (sleeps, requests) = mpsc::channel::<oneshot::Sender<()>>();
        thread::spawn(move || {
            #[cfg(target_os = "linux")]
            let _ = rustix::thread::set_current_timer_slack(std::num::NonZero::new(1));
            for over in requests {
                thread::sleep(time);
                // At the end of a measurement no task may be waiting.
                let _ = over.send(());
            }
        });
        Self(Some(sleeps))
    }

    async fn pass(&self) {
        if let Some(sleeps) = &self.0 {
            let (over, passed) = oneshot::channel();
            sleeps.send(over).expect("a thread that sleeps");
            passed.await.expect("a thread that sleeps");
        }
    }
}
