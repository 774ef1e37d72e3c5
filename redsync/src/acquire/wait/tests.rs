use std::future::pending;

use tokio::{task::yield_now, time::sleep};

use super::*;
use crate::{
    FencingToken, Mode, NodeError, OwnerValue,
    lease::Lease,
    node::{
        AcquireVote, Entry, ExtendVote, Holders, MemoryNode, Node, RaiseVote, ReleaseVote,
        Reporters, WakeUp,
    },
    options::Options,
    services::Waiting,
};

const LONG: Duration = Duration::from_secs(60);

/// How long a node takes until it has said that a name is held.
const ANSWER: Duration = Duration::from_millis(10);

/// A node on which names are held for ever.
struct Held {
    node: MemoryNode,
    /// Whether it says so when it is watched.
    says_so: bool,
}

impl Node for Held {
    fn address(&self) -> &str {
        self.node.address()
    }

    async fn acquire(&self, _: &Entry) -> Result<AcquireVote, NodeError> {
        Ok(AcquireVote::Taken { remaining: None })
    }

    async fn raise(&self, entry: &Entry, token: FencingToken) -> Result<RaiseVote, NodeError> {
        self.node.raise(entry, token).await
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        self.node.extend(entry, token, set_if_absent).await
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        self.node.release(entry).await
    }

    async fn release_after(&self, entry: &Entry, time: Duration) -> Result<ReleaseVote, NodeError> {
        self.node.release_after(entry, time).await
    }

    async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
        self.node.inspect(name).await
    }

    async fn watch_counted(
        &self,
        _: &[Arc<str>],
        reporters: &Reporters,
    ) -> Result<WakeUp, NodeError> {
        let _asked = (!self.says_so).then(|| reporters.begin_unanswered());
        sleep(ANSWER).await;
        let _answered = self.says_so.then(|| reporters.begin());
        pending().await
    }
}

fn request(fail_fast: bool) -> Request {
    let mut options = Options::default();
    options.kind.permits = 2;
    options.rounds.fail_fast = fail_fast;
    Request::new(&["a".into()].into(), &Arc::new(options)).expect("a request")
}

/// Whether a permit passes a waiter if it is handed over after a time for which the waiter has
/// watched the node.
async fn passes(says_so: bool, fail_fast: bool, after: Duration) -> bool {
    let node = MemoryNode::new();
    let common = Common::new([Held { node, says_so }.into()]).expect("a node");
    let value = OwnerValue::random("").expect("a value");
    let lease = Lease::new(common.site(), &request(fail_fast), 0, value, true);
    lease.begin_hold(Instant::now() + LONG);
    let held = common.own(lease);
    let joins = || {
        let limit = Limit::within(Instant::now(), LONG);
        tokio::spawn(wait(request(fail_fast), Arc::clone(&common), limit, None))
    };
    let (first, second) = (joins(), joins());
    yield_now().await;
    common.queues.notify(&["a".into()], Mode::Exclusive);
    sleep(after).await;
    assert!(held.end_hold().is_none(), "it is handed over");
    yield_now().await;
    assert_ne!(first.is_finished(), second.is_finished());
    second.is_finished()
}

#[tokio::test(start_paused = true)]
async fn a_waiter_steps_aside_until_the_nodes_have_said_that_all_permits_are_taken() {
    for fail_fast in [true, false] {
        assert!(passes(true, fail_fast, ANSWER / 2).await);
        assert!(!passes(true, fail_fast, 2 * ANSWER).await);
    }
}

/// No attempt has been made, so one is expected to take no time, unless it waits for slow nodes.
#[tokio::test(start_paused = true)]
async fn a_waiter_steps_aside_for_the_usual_time_of_a_search_if_the_nodes_cannot_say_so() {
    assert!(!passes(false, true, ANSWER / 2).await);
    assert!(passes(false, false, 2 * ANSWER).await);
}
