//! The options of a mutex: the `with_*` methods of [`Mutex`].

use std::{error::Error, ops::Range, sync::Arc, time::Duration};

use super::Mutex;
use crate::{
    Mode,
    options::{Delay, NodeTimeout, Options},
};

impl Mutex {
    fn set(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }
}

/// How long the lock is held, and how long nodes may take.
impl Mutex {
    /// Sets the expiry: how long a node keeps the key if nobody extends or releases it. If the
    /// holder crashes, others wait for this long at most.
    ///
    /// From 10 ms to a year, cut to whole milliseconds. 8 s by default.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let mutex = redsync.mutex("order:42").with_expiry(Duration::from_secs(5));
    /// let guard = mutex.lock().await?;
    /// assert!(guard.remaining() < Duration::from_secs(5));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("ttl", "lease"))]
    #[must_use]
    pub fn with_expiry(self, expiry: Duration) -> Self {
        self.set(|options| options.timing.set_expiry(expiry))
    }

    /// Sets how long a lock may be held in total, counted from the start of its acquisition. After
    /// that it is lost, however often it is extended. When a lock is [resumed](Self::resume), the
    /// time starts again. No limit by default.
    #[must_use]
    pub fn with_max_hold(self, limit: Duration) -> Self {
        self.set(|options| options.timing.max_hold = Some(limit))
    }

    /// Sets how long a lock is held at least, counted from the start of its acquisition: if it is released
    /// earlier, by its guard or by a drop, nobody can acquire it before that time is over. At most the
    /// [expiry](Self::with_expiry). Zero by default.
    ///
    /// This is for a job that several instances start at the same time, by clocks that differ, and that
    /// must run once. If it is done before the slowest clock has struck, another instance would find the
    /// lock free. So the minimum has to be longer than the clocks differ, and shorter than the interval of
    /// the job. (ShedLock calls it `lockAtLeastFor`.)
    ///
    /// ```
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let nightly = (redsync.mutex("nightly-report"))
    ///     .with_expiry(Duration::from_secs(60))
    ///     .with_min_hold(Duration::from_secs(30));
    /// let guard = nightly.try_lock().await?;
    /// // ... the report takes a second ...
    /// guard.release().await?;
    ///
    /// // Another instance, whose clock is 10 s behind.
    /// # tokio::time::sleep(Duration::from_secs(9)).await;
    /// assert!(nightly.try_lock().await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The release leaves the keys on the nodes, and lets them expire at the end of the minimum, by the
    /// nodes' clocks. The guard ends with the release: nothing is extended any longer, and
    /// [`Guard::release`](crate::Guard::release) and [`Redsync::drain`](crate::Redsync::drain) do not wait
    /// for the end of the minimum. Up to then, the keys have the owner value with `:released` behind it, so an
    /// extension that reaches a node after the release does not prolong them, and
    /// [`inspect`](Self::inspect) still shows the holder. A node that the release does not reach keeps them
    /// for the rest of the expiry.
    ///
    /// Such a lock is not [handed over](Self::with_hand_over). When a lock is [resumed](Self::resume), the
    /// minimum of the mutex that resumes it applies, from then on.
    /// [`force_release`](Self::force_release) ends the rest of a minimum, too.
    #[doc(alias = "lock_at_least_for")]
    #[must_use]
    pub fn with_min_hold(self, minimum: Duration) -> Self {
        self.set(|options| options.timing.min_hold = minimum)
    }

    /// Sets the least validity that a lock must have left when it has been acquired. A lock with
    /// less is released and counts as not acquired: see
    /// [`LockError::TooLate`](crate::LockError::TooLate). A tenth of the expiry by default.
    #[must_use]
    pub fn with_min_validity(self, validity: Duration) -> Self {
        self.set(|options| options.timing.set_min_validity(validity))
    }

    /// Sets the drift factor: the part of the expiry that is subtracted from the validity because
    /// clocks may run at different rates. Another 2 ms are always subtracted, for the precision of
    /// Redis' expiries (redis.io, "Distributed Locks with Redis").
    ///
    /// At least 0 and below 1; 0.01 by default.
    #[must_use]
    pub fn with_drift_factor(self, factor: f64) -> Self {
        self.set(|options| options.timing.drift_factor = factor)
    }

    /// Sets the node time limit: how long to wait for one node's answer when a lock is acquired,
    /// extended, released or inspected. Never longer than the expiry. 400 ms by default.
    ///
    /// A node that hangs delays a call by this much only if its vote is needed. Between sites,
    /// allow for two round trips, and for more if a connection has to be made.
    #[must_use]
    pub fn with_node_timeout(self, limit: Duration) -> Self {
        self.set(|options| {
            options
                .timing
                .set_node_timeout(NodeTimeout::Absolute(limit))
        })
    }
}

/// The kind of lock and its key.
impl Mutex {
    /// Sets the mode: exclusive (the default) or [shared](Self::shared). The shared mode turns
    /// [fencing](Self::with_fencing) off.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        if self.options.kind.mode == mode {
            return self;
        }
        self.set(|options| {
            options.kind.mode = mode;
            options.kind.fencing &= mode == Mode::Exclusive;
        })
    }

    /// Returns the same mutex in shared mode: it can have any number of shared holders, or one
    /// exclusive holder.
    ///
    /// Each shared holder has its own guard, which expires and is extended on its own.
    ///
    /// An exclusive waiter does not starve, however many others want to share the lock, unless the
    /// pause between its attempts is longer than half a second. An attempt that finds shared holders
    /// reserves the name: the nodes admit no new shared holders for half a second, and the waiter
    /// enters when the present ones have left. Every attempt renews the reservation, which ends when
    /// the waiter leaves without the lock. A single attempt, such as that of
    /// [`try_lock`](Self::try_lock), reserves nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let catalog = redsync.mutex("catalog");
    /// let one = catalog.shared().lock().await?;
    /// let another = catalog.shared().lock().await?;
    /// assert!(catalog.try_lock().await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A go-redsync client sees a shared lock as taken. Shared locks have no
    /// [fencing tokens](crate::fence).
    #[must_use]
    pub fn shared(&self) -> Self {
        self.clone().with_mode(Mode::Shared)
    }

    /// Sets how many holders there may be at the same time, from 1 to [`MAX_PERMITS`](Self::MAX_PERMITS):
    /// the mutex is then a [semaphore](crate::Redsync::semaphore). 1 by default.
    ///
    /// More than one permit is for exclusive locks with one name and without
    /// [fencing](Self::with_fencing).
    #[must_use]
    pub fn with_permits(self, permits: usize) -> Self {
        self.set(|options| options.kind.permits = permits)
    }

    /// Sets the prefix that is put before each name to make the key on the nodes, such as `shop:`.
    /// At most 768 bytes; no prefix by default.
    #[must_use]
    pub fn with_key_prefix(self, prefix: impl Into<Arc<str>>) -> Self {
        self.set(|options| options.key_prefix = prefix.into())
    }

    /// Sets a function that returns a label, such as the host name, with which owner values begin.
    /// It helps people who look at the keys on a server or [inspect](Self::inspect) a lock, in this process
    /// or in another: so it must not be secret. No label by default.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let host = || std::env::var("HOSTNAME").or(Ok::<_, std::convert::Infallible>("web-7".to_owned()));
    /// let redsync = redsync.with_defaults(|mutex| mutex.with_owner_label(host))?;
    ///
    /// let _guard = redsync.mutex("order:42").lock().await?;
    /// for node in redsync.mutex("order:42").inspect().await? {
    ///     for holder in node.holders? {
    ///         println!("held by {:?}", holder.label);
    ///         # assert!(holder.label.is_some());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The function is called once per attempt, and 128 random bits are always appended to its
    /// result. If it returns an error, locking fails with
    /// [`LockError::Value`](crate::LockError::Value).
    ///
    /// (This replaces go-redsync's `WithGenValueFunc`, with which two attempts can get the same
    /// value. Two clients can then hold the lock at the same time: see
    /// [`OwnerValue`](crate::OwnerValue).)
    #[doc(alias = "gen_value")]
    #[must_use]
    pub fn with_owner_label<E>(
        self,
        label: impl Fn() -> Result<String, E> + Send + Sync + 'static,
    ) -> Self
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.set(|options| {
            options.rounds.owner_label = Some(Arc::new(move || label().map_err(Into::into)))
        })
    }

    /// Sets whether every acquisition gets a [fencing token](crate::fence), which is larger than
    /// all earlier tokens of the name. For exclusive locks. False by default.
    ///
    /// Acquiring then takes a script instead of a plain command, a second round (with its own time
    /// limit) when the nodes' counters differ, and one more key per name, which stays for a day.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let guard = redsync.mutex("order:42").with_fencing(true).lock().await?;
    /// let token = guard.fencing_token().expect("the mutex is fenced");
    /// // ... send the token along with each write ...
    /// # let _ = token;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_fencing(self, fencing: bool) -> Self {
        self.set(|options| options.kind.fencing = fencing)
    }
}

/// The attempts while another holder has the lock, or while nodes fail.
impl Mutex {
    /// Sets the pause between attempts to a fixed time.
    ///
    /// Waiters in different processes should not all pause for the same time, or their attempts
    /// collide; prefer [`with_retry_delay_range`](Self::with_retry_delay_range).
    #[must_use]
    pub fn with_retry_delay(self, delay: Duration) -> Self {
        self.with_retry_delay_range(delay..delay)
    }

    /// Sets the range from which each pause between attempts is drawn at random, with equal
    /// probability. 50 ms to 250 ms by default.
    ///
    /// These are the pauses on nodes without [wake-ups](crate#waiting). While wake-ups work, or too few
    /// nodes answer, [they are longer](crate::future::Lock#polls).
    #[must_use]
    pub fn with_retry_delay_range(self, range: Range<Duration>) -> Self {
        self.set(|options| options.retry.delay = Delay::Uniform(range))
    }

    /// Computes each pause between attempts by a function of the number of attempts made so far.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let redsync = redsync::Redsync::in_memory(1);
    /// let mutex = redsync
    ///     .mutex("order:42")
    ///     .with_retry_delay_fn(|attempts| Duration::from_millis(10) * attempts.min(20));
    /// ```
    #[must_use]
    pub fn with_retry_delay_fn(
        self,
        delay: impl Fn(u32) -> Duration + Send + Sync + 'static,
    ) -> Self {
        self.set(|options| options.retry.delay = Delay::Function(Arc::new(delay)))
    }

    /// Sets a limit for outages: locking fails after this many attempts in a row that found no
    /// quorum of nodes, even if time or attempts are left. So a caller can wait long for another
    /// holder, and yet fail soon in an outage. An attempt that acquires the lock [too
    /// late](crate::LockError::TooLate) counts as one that found no quorum. At least 1; no limit by
    /// default.
    #[must_use]
    pub fn with_outage_attempts(self, attempts: u32) -> Self {
        self.set(|options| options.retry.outage_attempts = attempts)
    }
}

/// The waiters of this process.
impl Mutex {
    /// Sets how many callers may wait for a name in this process. Further callers fail at once with
    /// [`LockError::TooManyWaiting`](crate::LockError::TooManyWaiting). No limit by default.
    #[must_use]
    pub fn with_max_waiting(self, limit: usize) -> Self {
        self.set(|options| options.queueing.max_waiting = limit)
    }

    /// Sets the limits of hand-overs: how many times a lock may be handed over to the next waiter
    /// of this process without a message to the nodes, and for how long after it was acquired.
    ///
    /// 100,000 times and 50 ms by default; the time is never more than a sixteenth of the expiry.
    /// Zero turns hand-overs off. If the holder's and the next waiter's limits differ, the smaller
    /// applies.
    ///
    /// When a limit is reached, the lock is released, so that other processes can acquire it. If
    /// another process was recently seen to want the name, the time is shortened to a tenth.
    ///
    /// Between hand-overs, the name is left open now and then for clients that poll: see
    /// [`with_time_for_pollers`](Self::with_time_for_pollers).
    ///
    /// A lock that is handed over has most of its validity left. If it is fenced, the next guard
    /// gets a [fencing token](crate::fence) of its own, and at most 63 hand-overs are possible.
    #[must_use]
    pub fn with_hand_over(self, times: u32, time: Duration) -> Self {
        self.set(|options| {
            options.queueing.hand_overs = times;
            options.queueing.max_hand_over_time = time;
        })
    }

    /// Sets for how much of its time this process leaves a name open to clients that poll, such as
    /// those of go-redsync, if it has waiters for the name all the time.
    ///
    /// At least 0 and at most 0.9; a tenth by default. Zero turns it off.
    ///
    /// Clients that poll are not seen while they wait, and nobody notifies them of a release. So the
    /// name is left free now and then until somebody has acquired it, for up to 260 ms; then it is not
    /// left free until this part of the time is reached again. An opening to which nobody came counts
    /// as a longer one, so beside no such clients the waiters of this process lose less: with a tenth,
    /// 260 ms in four seconds.
    ///
    /// A client that polls every 50 ms to 250 ms comes 86 ms after the name was opened, on average. So
    /// with a tenth of the time, it gets the lock about once per second, if it keeps coming. Beside
    /// another process of go-redsync that is as busy, it gets it four to five times per second if
    /// critical sections are short, because that process does not hand the lock over, and so leaves the
    /// name free for half of its time. If such clients need the name as often as that here, give
    /// them half of the time:
    ///
    /// ```
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let mutex = redsync.mutex("order:42").with_time_for_pollers(0.5);
    /// ```
    ///
    /// (On nodes without [wake-ups](crate::node::Node::watch), the name is free for a few milliseconds
    /// after each release instead.)
    #[must_use]
    pub fn with_time_for_pollers(self, share: f64) -> Self {
        self.set(|options| options.queueing.open_share = share)
    }
}

/// For parity with go-redsync. Other programs hardly need them.
impl Mutex {
    /// Sets how many attempts [`lock`](Self::lock) makes, including the first. At least 1; 32 by
    /// default.
    ///
    /// Only attempts that follow a [pause](Self::with_retry_delay) count, not those that follow a
    /// [wake-up](crate#waiting). While wake-ups work, most of these attempts [are
    /// skipped](crate::future::Lock#polls), and count all the same.
    #[must_use]
    pub fn with_tries(self, tries: u32) -> Self {
        self.set(|options| options.retry.tries = tries)
    }

    /// Sets the [node time limit](Self::with_node_timeout) as a part of the expiry. Above 0 and at
    /// most 1. (go-redsync's default is 0.05, which is 400 ms of its expiry of 8 s.)
    #[must_use]
    pub fn with_timeout_factor(self, factor: f64) -> Self {
        self.set(|options| options.timing.set_node_timeout(NodeTimeout::Factor(factor)))
    }

    /// Sets whether a call returns as soon as the nodes' votes decide its outcome, rather than when
    /// all nodes have answered or timed out. True by default. (go-redsync's default is false.)
    #[must_use]
    pub fn with_fail_fast(self, fail_fast: bool) -> Self {
        self.set(|options| options.rounds.fail_fast = fail_fast)
    }

    /// Sets whether commands are sent to the nodes in a random order each time. False by default.
    #[must_use]
    pub fn with_shuffled_nodes(self, shuffled: bool) -> Self {
        self.set(|options| options.rounds.shuffled_nodes = shuffled)
    }

    /// Sets whether an extension sets the key again on nodes that have lost it, so that a node that
    /// restarted without data takes part in the lock again. False by default. (go-redsync's
    /// `WithSetNXOnExtend`.)
    ///
    /// It repairs nodes, not locks: the extension succeeds only if a majority has kept the key all
    /// the time, and only then are missing keys set. (go-redsync counts keys that it has just set. So it
    /// can resume a lock that another client has held in between.)
    #[must_use]
    pub fn with_set_if_absent_on_extend(self, set: bool) -> Self {
        self.set(|options| options.kind.heals = set)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_docs_list_every_option() {
        let docs = include_str!("../docs/options.md");
        let code = include_str!("options.rs").split("#[cfg(test)]").next();
        for option in code.unwrap_or_default().split("pub fn ").skip(1) {
            let name = option.split(['(', '<']).next().unwrap_or_default();
            let link = format!("[`{name}`](Mutex::{name})");
            assert!(docs.contains(&link), "{link}");
        }
    }
}
