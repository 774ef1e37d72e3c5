//! How to lock: what can be said of a mutex before it is locked.

use std::{error::Error, ops::Range, sync::Arc, time::Duration};

use super::{Lock, Mutex};
use crate::{
    Mode,
    options::{Delay, NodeTimeout, Options},
};

impl Mutex {
    fn set(mut self, change: impl FnOnce(&mut Options)) -> Self {
        let options = Arc::make_mut(&mut self.options);
        options.checked = false;
        change(options);
        self
    }

    /// How long a node keeps the key if nobody extends or releases it: the longest that others
    /// wait after the holder has crashed. Sent in whole milliseconds; from 10 ms to a year. 8 s by
    /// default.
    #[must_use]
    pub fn with_expiry(self, expiry: Duration) -> Self {
        self.set(|options| options.timing.expiry = expiry)
    }

    /// How often [`lock`](Self::lock) tries, the first time included. 32 by default.
    #[must_use]
    pub fn with_tries(self, tries: u32) -> Self {
        self.set(|options| options.retry.tries = tries)
    }

    /// Gives up after so many tries in a row that found no quorum of nodes, whatever time or tries
    /// are left: those who wait for a holder need not wait for an outage to end. No such limit by
    /// default.
    #[must_use]
    pub fn with_outage_tries(self, tries: u32) -> Self {
        self.set(|options| options.retry.outage_tries = tries)
    }

    /// The pause between tries. It should not be the same for all who wait; see
    /// [`with_retry_delay_range`](Self::with_retry_delay_range).
    #[must_use]
    pub fn with_retry_delay(self, delay: Duration) -> Self {
        self.with_retry_delay_range(delay..delay)
    }

    /// The range from which the pause between tries is drawn, evenly. 50 ms to 250 ms by default.
    #[must_use]
    pub fn with_retry_delay_range(self, range: Range<Duration>) -> Self {
        self.set(|options| options.retry.delay = Delay::Uniform(range))
    }

    /// The pause after the given number of tries.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let redsync = redsync::Redsync::in_memory(1);
    /// let mutex = redsync
    ///     .mutex("order:42")
    ///     .with_retry_delay_fn(|tries| Duration::from_millis(10) * tries.min(20));
    /// ```
    #[must_use]
    pub fn with_retry_delay_fn(
        self,
        delay: impl Fn(u32) -> Duration + Send + Sync + 'static,
    ) -> Self {
        self.set(|options| options.retry.delay = Delay::Function(Arc::new(delay)))
    }

    /// What part of the expiry is taken off the validity for clocks that run at different rates
    /// (2 ms more are taken off always). At least 0 and below 1; 0.01 by default.
    #[must_use]
    pub fn with_drift_factor(self, factor: f64) -> Self {
        self.set(|options| options.timing.drift_factor = factor)
    }

    /// The validity that must be left when a quorum has acquired; a lock with less counts as not
    /// acquired and is released. A tenth of the expiry by default.
    #[must_use]
    pub fn with_min_validity(self, validity: Duration) -> Self {
        self.set(|options| options.timing.min_validity = Some(validity))
    }

    /// How long one node's answer to an acquisition, extension, release or inspection is waited
    /// for, at most the expiry. 400 ms by default.
    ///
    /// A node that hangs costs this much only where its vote is needed. Between sites, allow for two
    /// round trips (to make a connection, for more).
    #[must_use]
    pub fn with_node_timeout(self, limit: Duration) -> Self {
        self.set(|options| options.timing.node_timeout = NodeTimeout::Absolute(limit))
    }

    /// The [node time limit](Self::with_node_timeout) as a part of the expiry, above 0 and at most
    /// 1. (go-redsync has 0.05.)
    #[must_use]
    pub fn with_timeout_factor(self, factor: f64) -> Self {
        self.set(|options| options.timing.node_timeout = NodeTimeout::Factor(factor))
    }

    /// What owner values begin with, such as the name of the host, for whoever looks at the keys.
    /// It is called for each try; 128 random bits are always appended. Nothing by default.
    ///
    /// (It stands in for go-redsync's `WithGenValueFunc`, without its trap: where two tries have one
    /// value, two can hold the lock.)
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

    /// Whether a verdict is returned as soon as it is clear, rather than when all nodes have
    /// answered or timed out. True by default. (go-redsync's default is false.)
    #[must_use]
    pub fn with_fail_fast(self, fail_fast: bool) -> Self {
        self.set(|options| options.rounds.fail_fast = fail_fast)
    }

    /// Whether nodes are sent to in another order each time. False by default.
    #[must_use]
    pub fn with_shuffled_nodes(self, shuffled: bool) -> Self {
        self.set(|options| options.rounds.shuffled_nodes = shuffled)
    }

    /// Whether an extension sets the key again on nodes that have lost it, so that a node that
    /// restarted empty helps to hold the lock again. False by default. (go-redsync's
    /// `WithSetNXOnExtend`.)
    ///
    /// It heals nodes, not locks: a majority must have held the key all the time for the extension
    /// to succeed. (go-redsync counts keys it has just set, and so can take a lock back that
    /// another has held in between.)
    #[must_use]
    pub fn with_set_if_absent_on_extend(self, set: bool) -> Self {
        self.set(|options| options.kind.heals = set)
    }

    /// What is put before the name to make the nodes' key, such as `shop:`. Nothing by default.
    #[must_use]
    pub fn with_key_prefix(self, prefix: impl Into<Arc<str>>) -> Self {
        self.set(|options| options.key_prefix = prefix.into())
    }

    /// Whether every acquisition gets a [fencing token](crate::fence), larger than all before it. For
    /// exclusive locks. False by default.
    ///
    /// It costs a script where there is a plain command otherwise, a second round (with a time limit of
    /// its own) when the nodes' counters differ, and a key per name that stays for a day.
    #[must_use]
    pub fn with_fencing(self, fencing: bool) -> Self {
        self.set(|options| options.kind.fencing = fencing)
    }

    /// Exclusive (the default) or shared: see [`shared`](Self::shared).
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        if self.options.kind.mode == mode {
            return self;
        }
        self.set(|options| options.kind.mode = mode)
    }

    /// The same mutex, locked in shared mode: any number of shared holders, or one exclusive.
    ///
    /// Each shared holder has its own guard, expiry and renewal. An exclusive lock that finds shared
    /// holders keeps new ones out for half a second, again with each try: so it comes in when those
    /// who are in have left, however many others come. (With pauses between tries of more than that,
    /// it can starve.)
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let catalog = redsync.mutex("catalog");
    /// let one = catalog.read().await?;
    /// let another = catalog.read().await?;
    /// assert!(catalog.try_lock().await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A go-redsync client sees a shared lock as taken. Shared locks have no
    /// [fencing tokens](crate::fence).
    #[must_use]
    pub fn shared(&self) -> Self {
        self.clone().with_mode(Mode::Shared).with_fencing(false)
    }

    /// Locks in [shared](Self::shared) mode: `shared().lock()`.
    ///
    /// # Errors, cancel safety, panics
    ///
    /// As [`lock`](Self::lock).
    pub fn read(&self) -> Lock {
        self.shared().lock()
    }

    /// How long a lock may be held altogether, from the beginning of its acquisition: then it is
    /// lost, however often it is extended. A lock that is resumed begins anew. No such limit by default.
    #[must_use]
    pub fn with_max_hold(self, limit: Duration) -> Self {
        self.set(|options| options.timing.max_hold = Some(limit))
    }

    /// How many may wait for the name in this process; who comes then gets
    /// [`LockError::TooManyWaiting`](crate::LockError::TooManyWaiting). No limit by default.
    #[must_use]
    pub fn with_max_waiting(self, limit: usize) -> Self {
        self.set(|options| options.queueing.max_waiting = limit)
    }

    /// How often a lock may be handed on within this process to the next who waits, without a word to
    /// the nodes, and for how long after it was acquired from them. 100,000 times and 50 ms by
    /// default; zero turns it off. Of what the holder's mutex and the next one's say, the less counts.
    ///
    /// Then it is released, so that other processes have their turn. If they were seen to want it
    /// lately, that is a tenth of the time. Those that poll are not seen (go-redsync does, and nodes
    /// without [wake-ups](crate::node::Node::watch) make all poll); with a name that is always wanted
    /// in this process, they find it free now and then only. If that matters, turn it off.
    ///
    /// What is handed on has nearly its whole validity left, and each guard has its own
    /// [fencing token](crate::fence): of a fenced lock, 63 can be handed on.
    #[must_use]
    pub fn with_hand_over(self, times: u32, time: Duration) -> Self {
        self.set(|options| {
            options.queueing.hand_overs = times;
            options.queueing.hand_over_time = time;
        })
    }
}
