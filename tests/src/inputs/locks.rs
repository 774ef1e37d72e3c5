//! Replies of three servers to all that a lock asks them.

use std::time::Duration;

use redsync::{
    Guard, Mutex, NodeError, Redsync,
    node::redis::{RedisNode, Reply},
};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use super::answering::Replies;

type Sent = Vec<Result<Reply, NodeError>>;

/// No node counts this far.
const LARGEST: u64 = 1 << 62;

/// Checks that calls on a lock end, whatever the servers reply, and that nobody has a lock or a
/// token that a majority of them has not granted.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check(kind: u8, sent: &[Sent; 3]) {
    thread_local!(static RUNTIME: Runtime = {
        // Nothing waits for the time that releases take to be repeated.
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime")
    });
    let nodes = sent.clone().into_iter().enumerate();
    let nodes = nodes.map(|(number, sent)| RedisNode::new(Replies::at(number.to_string(), sent)));
    let redsync = Redsync::new(nodes).expect("three nodes");
    let mutex = mutex(&redsync, kind);
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            for call in [mutex.try_lock(), mutex.lock_within(Duration::from_secs(1))] {
                if let Ok(guard) = call.await {
                    check_guard(&guard, sent);
                    // Each of these ends. What it says depends on the replies.
                    let _ = guard.extend().await;
                    let _ = guard.verify().await;
                    let _ = guard.release().await;
                }
            }
            let _ = mutex.inspect().await;
            let _ = mutex.force_release().await;
            let _ = mutex.resume("value").await;
            let drained = timeout(Duration::from_secs(3_600), redsync.drain()).await;
            drained.expect("a drain ends");
        });
    });
}

fn mutex(redsync: &Redsync, kind: u8) -> Mutex {
    match kind % 6 {
        0 => redsync.mutex("a"),
        1 => redsync.mutex("a").with_fencing(true),
        2 => redsync.mutex("a").shared(),
        3 => redsync.mutex_many(["a", "b"]),
        4 => redsync.mutex_many(["a", "b"]).with_fencing(true),
        _ => redsync.semaphore("a", 2),
    }
}

fn check_guard(guard: &Guard, sent: &[Sent; 3]) {
    let count = |sends: &dyn Fn(&Reply) -> bool| {
        let replies = sent.iter().map(|sent| sent.iter().flatten());
        replies.filter(|replies| replies.clone().any(sends)).count()
    };
    let grants = |reply: &Reply| match reply {
        Reply::Status(status) => status == "OK",
        Reply::Array(parts) => parts.first() == Some(&Reply::Integer(1)),
        _ => false,
    };
    assert!(count(&grants) >= 2, "no majority has granted it: {sent:?}");
    let Some(token) = guard.fencing_token() else {
        return;
    };
    let token = token.get();
    let has_granted = |reply: &Reply| match reply {
        Reply::Array(parts) => match &parts[..] {
            [Reply::Integer(1), Reply::Bytes(number)] => {
                let number = str::from_utf8(number).ok();
                number.and_then(|number| number.parse().ok()) == Some(token)
            }
            _ => false,
        },
        _ => false,
    };
    let confirms = |reply: &Reply| has_granted(reply) || *reply == Reply::Integer(1);
    assert!(
        token <= LARGEST && count(&has_granted) >= 1 && count(&confirms) >= 2,
        "no majority has granted {token}: {sent:?}"
    );
}
