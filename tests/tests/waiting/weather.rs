//! The faults of a node in a simulation.

use std::sync::{Arc, Mutex};

use fastrand::Rng;
use redsync_tests::faulty::Fault;
use tokio::time::{Duration, sleep};

use crate::{ms, watched::Watched};

/// Returns a random time, from one number of milliseconds to another.
pub(crate) fn between(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_micros(rng.u64(from * 1000..=to * 1000))
}

/// Late and lost messages; a node that is away, and may have lost all when it comes back, after longer
/// than an expiry. Counts the faults.
pub(crate) async fn weather(
    watched: Watched,
    mut rng: Rng,
    faults: Arc<Mutex<u64>>,
    expiry: Duration,
) {
    loop {
        let mut dice = rng.fork();
        let count = Arc::clone(&faults);
        watched.node.plan(move |_| {
            let fault = match dice.u8(..100) {
                0 => Fault::lost_request(),
                1 => Fault::lost_reply(),
                2 => Fault::broken_request(),
                3 => Fault::broken_reply(),
                4 => Fault::late_request(between(&mut dice, 10, 600)),
                5 => Fault::late_reply(between(&mut dice, 10, 600)),
                _ => {
                    let fault = Fault::late_request(between(&mut dice, 0, 2));
                    return fault.and_late_reply(between(&mut dice, 0, 2));
                }
            };
            *count.lock().expect("no panic") += 1;
            fault
        });
        sleep(between(&mut rng, 500, 15_000)).await;
        *faults.lock().expect("no panic") += 1;
        watched.node.always(Fault::unreachable());
        // What is on its way arrives.
        sleep(ms(700)).await;
        if rng.bool() {
            watched.node.inner().clear();
            sleep(expiry + ms(1500)).await;
        }
        sleep(between(&mut rng, 0, 1000)).await;
    }
}
