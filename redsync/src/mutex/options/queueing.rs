//! The options for the waiters of this process.

use std::time::Duration;

use crate::Mutex;

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
    /// Clients that poll are not seen while they wait, and nobody notifies them of a release. So
    /// the name is left open now and then, until somebody has acquired it or for 260 ms. The
    /// openings are as far apart as this part of the time requires. An opening to which nobody came
    /// counts as a longer one, so if there are no such clients, the waiters of this process lose
    /// less: with a tenth, 260 ms in four seconds.
    ///
    /// A client that polls every 50 ms to 250 ms comes 86 ms after the name was opened, on average.
    /// So with a tenth of the time, it gets the lock about once per second, if it keeps coming. If
    /// this process were one of go-redsync, and as busy, the client would get the lock four to five
    /// times per second while critical sections are short: such a process does not hand the lock
    /// over, and leaves the name free for half of its time. If clients need the name as often as
    /// that, give them half of the time:
    ///
    /// ```
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let mutex = redsync.mutex("order:42").with_time_for_pollers(0.5);
    /// ```
    ///
    /// If several processes always have waiters for the name, they leave it to each other, and not
    /// open. Such clients find it free between their turns.
    ///
    /// (On nodes without [wake-ups](crate::node::Node::watch), the name is free for a few
    /// milliseconds after each release instead.)
    #[must_use]
    pub fn with_time_for_pollers(self, share: f64) -> Self {
        self.set(|options| options.queueing.open_share = share)
    }
}
