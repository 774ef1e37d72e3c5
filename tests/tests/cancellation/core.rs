//! The futures of the core.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{
    kind::Kind,
    situation::World,
    table::{Kept, Row, Started, State},
};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A row about a lock that is not held yet.
macro_rules! locking {
    ($covers:expr, |$world:ident| $future:expr) => {
        Row {
            covers: $covers,
            state: State::NotHeld,
            kinds: &Kind::ALL,
            start: |$world: World| {
                async move {
                    Started::new(
                        async move {
                            let _ = $future.await;
                        },
                        Kept::Nothing,
                    )
                }
                .boxed()
            },
        }
    };
}

/// A row about a lock that is held, and still is when the future has been dropped.
macro_rules! holding {
    ($covers:expr, |$world:ident, $guard:ident| $future:expr) => {
        Row {
            covers: $covers,
            state: State::Held,
            kinds: &Kind::ALL,
            start: |$world: World| {
                async move {
                    let $guard = Arc::new($world.mutex.lock().await.expect("a lock"));
                    let kept = Kept::Guard(Arc::clone(&$guard));
                    Started::new(
                        async move {
                            let _ = $future.await;
                        },
                        kept,
                    )
                }
                .boxed()
            },
        }
    };
}

pub(crate) const TABLE: &[Row] = &[
    locking!(&["Mutex::lock", "Lock"], |world| world.mutex.lock()),
    locking!(&["Mutex::try_lock"], |world| world.mutex.try_lock()),
    locking!(&["Mutex::lock_within"], |world| world
        .mutex
        .lock_within(LONG)),
    locking!(&["Mutex::lock_until"], |world| world
        .mutex
        .lock_until(Instant::now() + LONG)),
    locking!(&["Mutex::run"], |world| {
        world.mutex.run(async |_| tokio::task::yield_now().await)
    }),
    locking!(&["Redsync::probe"], |world| world.redsync.probe()),
    holding!(&["Guard::extend"], |world, guard| guard.extend()),
    holding!(&["Guard::verify"], |world, guard| guard.verify()),
    holding!(&["Mutex::inspect"], |world, guard| world.mutex.inspect()),
    holding!(&["Mutex::force_release"], |world, guard| world
        .mutex
        .force_release()),
    Row {
        covers: &["Guard::release", "Release"],
        state: State::Held,
        kinds: &Kind::ALL,
        start: |world| {
            async move {
                let guard = world.mutex.lock().await.expect("a lock");
                let future = async move { drop(guard.release().await) };
                Started::new(future, Kept::Nothing)
            }
            .boxed()
        },
    },
    Row {
        covers: &["Redsync::drain"],
        state: State::Held,
        kinds: &Kind::ALL,
        start: |world| {
            async move {
                // There is something to wait for.
                drop(world.mutex.lock().await.expect("a lock"));
                Started::new(async move { world.redsync.drain().await }, Kept::Nothing)
            }
            .boxed()
        },
    },
    Row {
        covers: &["Mutex::resume"],
        state: State::Held,
        kinds: &Kind::ALL,
        start: |world| {
            async move {
                let parts = world.mutex.lock().await.expect("a lock").into_parts();
                // A key that is set after this would be released by nobody.
                world.redsync.drain().await;
                let resumed = parts.clone();
                let future = async move { drop(world.mutex.resume(resumed).await) };
                Started::new(future, Kept::Parts(parts))
            }
            .boxed()
        },
    },
];

/// Futures that end with the lock, and ask no node.
pub(crate) const LOSS: &[Row] = &[
    holding!(&["Guard::lost", "Lost"], |world, guard| guard.lost()),
    holding!(&["Validity::lost"], |world, guard| guard.validity().lost()),
];
