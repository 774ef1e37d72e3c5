//! The workloads of [`distinct`](super::distinct), for the floor that has no runtime.

use redsync_tests::bench::cpu_time;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::figures::Figures;
use crate::floors::blocking::Floor;
use crate::implementation::{EXPIRY, WARM_UP};
use crate::setting::{Setting, Threads};
use crate::times::Times;

pub(crate) fn measure(addresses: &[String], setting: &Setting, time: Duration) -> Outcome<Figures> {
    // One client never works on two threads.
    let threads = match setting.runtime {
        Threads::Single => 1,
        Threads::Multi => setting.tasks.min(2),
    };
    let mut floors = Vec::new();
    for _ in 0..threads {
        let mut floor = Floor::connect(addresses, EXPIRY)?;
        floor.repeat(1, |number| number < WARM_UP)?;
        floors.push(floor);
    }

    let (start, cpu) = (Instant::now(), cpu_time());
    let mut all = Times::default();
    thread::scope(|scope| {
        let running: Vec<_> = floors
            .iter_mut()
            .enumerate()
            .map(|(thread, floor)| {
                let clients = (setting.tasks + thread) / threads;
                scope.spawn(move || floor.repeat(clients, |_| start.elapsed() < time))
            })
            .collect();
        for thread in running {
            all.extend(thread.join().expect("a thread that does not panic")?);
        }
        io::Result::Ok(())
    })?;
    Ok(all.figures(start.elapsed(), cpu_time() - cpu))
}
