//! How each workload is measured.

mod blocking;
pub(crate) mod contended;
mod distinct;
pub(crate) mod handoff;
mod layer;
mod nodes_down;

use std::time::Duration;

use redsync_tests::Servers;

use self::distinct::lock_and_release;
use crate::{
    Outcome, addresses,
    figures::Figures,
    implementation::{Client, Implementation},
    runtime::run,
    setting::{Setting, Workload},
};

/// How long the task of `idle` sleeps before each lock.
const IDLE: Duration = Duration::from_millis(10);

/// How long one measurement takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    Full,
    Quick,
}

impl Pace {
    pub(crate) fn time(self, setting: &Setting) -> Duration {
        let (full, quick) = match setting.workload {
            Workload::Uncontended | Workload::Healthy | Workload::Hung | Workload::Killed => {
                (500, 50)
            }
            Workload::Parallel => (500, 40),
            // The longer the queue, the longer a measurement needs.
            Workload::Contended if setting.hold_ms == 0 => (1_000, 100),
            Workload::Contended => match setting.tasks * setting.processes {
                ..32 => (2_000, 250),
                _ => (4_000, 350),
            },
            Workload::Handoff => (2_000, 200),
            Workload::Idle | Workload::Layer => (1_000, 100),
        };
        Duration::from_millis(match self {
            Self::Full => full,
            Self::Quick => quick,
        })
    }
}

pub(crate) fn measure(
    servers: &Servers,
    setting: &Setting,
    implementation: Implementation,
    time: Duration,
) -> Outcome<Figures> {
    let addresses = addresses(&servers[..setting.nodes]);
    match setting.workload {
        Workload::Uncontended | Workload::Parallel
            if implementation == Implementation::FloorBlocking =>
        {
            blocking::measure(&addresses, setting, time)
        }
        Workload::Uncontended | Workload::Parallel | Workload::Idle => {
            let setting = *setting;
            let pause = match setting.workload {
                Workload::Idle => IDLE,
                _ => Duration::ZERO,
            };
            run(setting.runtime, async move {
                let client = Client::connect(implementation, &addresses).await?;
                let figures = lock_and_release(&client, setting.tasks, time, pause).await?;
                Ok(match setting.workload {
                    Workload::Idle => Figures {
                        ops_per_s: None,
                        ..figures
                    },
                    _ => figures,
                })
            })
        }
        Workload::Layer => layer::measure(addresses, setting, implementation, time),
        Workload::Contended => contended::measure(&addresses, setting, implementation, time),
        Workload::Handoff => handoff::measure(&addresses, setting, implementation, time),
        Workload::Healthy | Workload::Hung | Workload::Killed => {
            nodes_down::measure(setting, implementation, time)
        }
    }
}
