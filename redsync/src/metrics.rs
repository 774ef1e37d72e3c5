//! Counters and histograms through the [`metrics`](https://docs.rs/metrics) facade: see the crate's
//! docs for the table. Without the feature nothing here does anything.

#[cfg(feature = "metrics")]
pub(crate) use self::recorded::*;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::silent::*;

#[cfg(feature = "metrics")]
mod recorded {
    use std::{
        future::Future,
        sync::{
            OnceLock,
            atomic::{AtomicBool, Ordering},
        },
    };

    use ::metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
    use tokio::time::Instant;

    use crate::{LockError, NodeError, node::Mode};

    const ACQUISITIONS: &str = "redsync_acquisitions_total";
    const WAIT: &str = "redsync_wait_seconds";
    const HOLD: &str = "redsync_hold_seconds";
    const LOST: &str = "redsync_lost_total";
    const NODE: &str = "redsync_node_seconds";
    const NODE_ERRORS: &str = "redsync_node_errors_total";

    /// Says what the figures are. Once for each recorder would do, and again does no harm.
    pub(crate) fn describe() {
        let (count, seconds) = (Unit::Count, Unit::Seconds);
        describe_counter!(
            ACQUISITIONS,
            count,
            "Calls that wanted a lock, by what came of them"
        );
        describe_histogram!(
            WAIT,
            seconds,
            "Time from wanting a lock to having it, or to giving up"
        );
        describe_histogram!(HOLD, seconds, "Time for which a lock was held");
        describe_counter!(
            LOST,
            count,
            "Locks whose validity ended before they were released"
        );
        describe_histogram!(NODE, seconds, "Time that a node took for a command");
        describe_counter!(
            NODE_ERRORS,
            count,
            "Commands that a node did not answer, or with an error"
        );
    }

    const fn mode_label(mode: Mode) -> &'static str {
        match mode {
            Mode::Exclusive => "exclusive",
            Mode::Shared => "shared",
        }
    }

    /// A lock that is wanted. Counted when it is known what came of it, or when it is dropped before
    /// that.
    pub(crate) struct Acquisition {
        since: Instant,
        mode: Mode,
        open: bool,
    }

    impl Acquisition {
        pub(crate) fn begin(mode: Mode) -> Self {
            Self {
                since: Instant::now(),
                mode,
                open: true,
            }
        }

        pub(crate) fn end<T>(&mut self, result: &Result<T, LockError>) {
            self.record(match result {
                Ok(_) => "acquired",
                Err(LockError::Taken(_)) => "taken",
                Err(LockError::TimedOut(_)) => "timed_out",
                Err(LockError::Unavailable(_)) => "unavailable",
                Err(LockError::TooManyWaiting { .. }) => "too_many_waiting",
                Err(_) => "misconfigured",
            });
        }

        fn record(&mut self, outcome: &'static str) {
            self.open = false;
            let mode = mode_label(self.mode);
            counter!(ACQUISITIONS, "outcome" => outcome, "mode" => mode).increment(1);
            histogram!(WAIT, "outcome" => outcome, "mode" => mode).record(self.since.elapsed());
        }
    }

    impl Drop for Acquisition {
        fn drop(&mut self) {
            if self.open {
                self.record("dropped");
            }
        }
    }

    /// A lock that may come to be held, and to be lost.
    pub(crate) struct Hold {
        since: OnceLock<Instant>,
        lost: AtomicBool,
        over: AtomicBool,
    }

    impl Hold {
        pub(crate) const fn new() -> Self {
            Self {
                since: OnceLock::new(),
                lost: AtomicBool::new(false),
                over: AtomicBool::new(false),
            }
        }

        pub(crate) fn begin(&self) {
            self.since.get_or_init(Instant::now);
        }

        /// The first time counts.
        pub(crate) fn lost(&self, mode: Mode) {
            if self.since.get().is_some() && !self.lost.swap(true, Ordering::Relaxed) {
                counter!(LOST, "mode" => mode_label(mode)).increment(1);
            }
        }

        pub(crate) fn end(&self, mode: Mode, lost: bool) {
            let Some(since) = self.since.get() else {
                return;
            };
            if lost {
                self.lost(mode);
            }
            if !self.over.swap(true, Ordering::Relaxed) {
                histogram!(HOLD, "mode" => mode_label(mode)).record(since.elapsed());
            }
        }
    }

    /// A command to a node, timed up to its answer or to where nobody waits for that any more.
    pub(crate) async fn command<T>(
        node: &str,
        command: &'static str,
        answer: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let mut sent = Sent {
            node,
            command,
            since: Instant::now(),
            // Unless there is an answer.
            error: Some("unanswered"),
        };
        let answer = answer.await;
        sent.error = answer.as_ref().err().map(kind);
        answer
    }

    struct Sent<'a> {
        node: &'a str,
        command: &'static str,
        since: Instant,
        error: Option<&'static str>,
    }

    impl Drop for Sent<'_> {
        fn drop(&mut self) {
            let (node, command) = (self.node.to_owned(), self.command);
            histogram!(NODE, "node" => node.clone(), "command" => command)
                .record(self.since.elapsed());
            if let Some(kind) = self.error {
                counter!(NODE_ERRORS, "node" => node, "command" => command, "kind" => kind)
                    .increment(1);
            }
        }
    }

    const fn kind(error: &NodeError) -> &'static str {
        match error {
            NodeError::TimedOut => "timed_out",
            NodeError::Unreachable(_) => "unreachable",
            NodeError::Disconnected(_) => "disconnected",
            NodeError::Refused { .. } => "refused",
            NodeError::SameServer { .. } => "same_server",
            NodeError::Overloaded => "overloaded",
            NodeError::NotSent => "not_sent",
            NodeError::Unexpected(_) => "unexpected",
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod silent {
    use std::future::Future;

    use crate::{LockError, NodeError, node::Mode};

    pub(crate) const fn describe() {}

    pub(crate) struct Acquisition;

    impl Acquisition {
        pub(crate) const fn begin(_: Mode) -> Self {
            Self
        }

        #[expect(
            clippy::unused_self,
            clippy::needless_pass_by_ref_mut,
            reason = "something with the feature"
        )]
        pub(crate) const fn end<T>(&mut self, _: &Result<T, LockError>) {}
    }

    pub(crate) struct Hold;

    #[expect(clippy::unused_self, reason = "something with the feature")]
    impl Hold {
        pub(crate) const fn new() -> Self {
            Self
        }

        pub(crate) const fn begin(&self) {}
        pub(crate) const fn lost(&self, _: Mode) {}
        pub(crate) const fn end(&self, _: Mode, _: bool) {}
    }

    pub(crate) fn command<T, F>(_: &str, _: &'static str, answer: F) -> F
    where
        F: Future<Output = Result<T, NodeError>>,
    {
        answer
    }
}
