//! The workloads of [`distinct`](super::distinct), for the floor that has no runtime.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use redsync_tests::bench::cpu_time;

use crate::{
    Outcome,
    figures::Figures,
    floors::blocking::Floor,
    implementation::{EXPIRY, WARM_UP},
    setting::{Setting, Threads},
    times::Times,
};

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
