use std::{
    io, mem,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{poll_immediate, select};
use tokio::time::{sleep, sleep_until, timeout};

use super::*;
use crate::{
    ExtendError, OwnerValue,
    common::Common,
    lease::Extension,
    node::{AcquireVote, Answer, ExtendVote, MemoryNode, Node, NodeError, ReleaseVote, Taking},
    options::Options,
    request::Request,
};

const SECOND: Duration = Duration::from_secs(1);

/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(60);

/// The questions that a node has taken and not answered.
#[derive(Clone, Default)]
struct Questions(Arc<Mutex<Vec<Question>>>);

impl Questions {
    fn list(&self) -> MutexGuard<'_, Vec<Question>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node whose questions are added to these.
    fn node(&self) -> impl Node {
        let questions = self.clone();
        Taking::new(MemoryNode::new(), move |question| {
            questions.list().push(question);
            Ok(())
        })
    }

    /// The questions since the last call.
    fn questions(&self) -> Vec<Question> {
        mem::take(&mut *self.list())
    }

    /// The only question since the last call.
    fn question(&self) -> Question {
        let mut questions = self.questions();
        assert_eq!(questions.len(), 1, "{questions:?}");
        questions.remove(0)
    }
}

/// A node, and a request for a lock on it.
struct World {
    node: Questions,
    common: Arc<Common>,
    request: Request,
}

impl World {
    async fn new() -> Self {
        let node = Questions::default();
        let common = Common::new([node.node().into()]).expect("a node");
        let names = ["a".into()].into();
        let request = Request::new(&names, &Arc::new(Options::default())).expect("a request");
        // The node is admitted by this, and takes questions from here on.
        let found = common.nodes.inspect(0, &names).await;
        found.expect("a node that answers");
        Self {
            node,
            common,
            request,
        }
    }

    fn lease(&self) -> Arc<Lease> {
        Lease::new(self.common.site(), &self.request, 0, value(), false)
    }

    /// A lease that holds its lock.
    async fn held(&self) -> Arc<Lease> {
        let lease = self.lease();
        let acquiring = lease.acquire();
        let acquired = AcquireVote::Acquired { number: None };
        self.node.question().answer(Ok(Answer::Acquire(acquired)));
        assert_eq!(acquiring.await, Verdict::Granted);
        lease.begin_hold(lease.until_from(lease.started_at()));
        lease
    }

    async fn drain(&self) {
        self.common.services.background.drain(|| async {}).await;
    }

    async fn is_drained(&self) -> bool {
        poll_immediate(pin!(self.drain())).await.is_some()
    }
}

fn value() -> OwnerValue {
    OwnerValue::random("").expect("a value")
}

fn refused() -> NodeError {
    NodeError::unreachable(io::Error::from(io::ErrorKind::ConnectionRefused))
}

#[tokio::test(start_paused = true)]
async fn a_preliminary_answer_counts_if_nothing_more_arrives() {
    let world = World::new().await;
    let acquiring = world.lease().acquire();
    let question = world.node.question();
    question.expect(Answer::Acquire(AcquireVote::Taken { remaining: None }));
    assert_eq!(acquiring.await, Verdict::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_was_not_sent_is_asked_again() {
    let world = World::new().await;
    let acquiring = world.lease().acquire();
    world.node.question().unsent(refused());
    assert_eq!(acquiring.await, Verdict::Granted);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_answers_that_no_caller_waits_for_and_no_longer() {
    let world = World::new().await;
    let taken = || Ok(Answer::Acquire(AcquireVote::Taken { remaining: None }));
    drop(world.lease().acquire());
    let question = world.node.question();
    assert!(!world.is_drained().await);
    question.answer(taken());
    assert!(world.is_drained().await);

    // A future that has resolved may be kept.
    let mut acquiring = pin!(world.lease().acquire());
    assert_eq!(acquiring.as_mut().await, Verdict::Unavailable);
    let question = world.node.question();
    assert!(!world.is_drained().await);
    question.answer(taken());
    assert!(world.is_drained().await);
}

#[tokio::test(start_paused = true)]
async fn an_acquisition_that_has_not_been_sent_when_its_lease_ends_is_not_sent_and_not_released() {
    let world = World::new().await;
    let lease = world.lease();
    drop(lease.acquire());
    let mut question = world.node.question();
    let releasing = lease.release();
    assert!(!question.may_be_sent(Instant::now()));
    assert_eq!(releasing.await, Verdict::Refused);
    assert!(world.node.questions().is_empty());
    assert!(world.is_drained().await);
}

#[tokio::test(start_paused = true)]
async fn the_answers_to_an_extension_count_for_as_long_as_others_prolong_the_validity() {
    let world = World::new().await;
    let lease = world.held().await;
    let until = lease.until();
    let extended = || Ok(Answer::Extend(ExtendVote::Extended));
    sleep(SECOND).await;
    let mut slow = pin!(Extension::within_validity(&lease));
    let question = world.node.question();
    let while_it_is_slow = async {
        sleep(SECOND).await;
        let fast = Extension::within_validity(&lease);
        world.node.question().answer(extended());
        fast.await.expect("an extension");
        sleep_until(until + SECOND).await;
        question.answer(extended());
    };
    let (result, ()) = tokio::join!(&mut slow, while_it_is_slow);
    result.expect("an extension");

    // And no longer.
    let until = lease.until();
    let unanswered = timeout(LONG, Extension::within_validity(&lease)).await;
    assert!(matches!(unanswered, Ok(Err(ExtendError::Lost(_)))));
    assert_eq!(Instant::now(), until);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_refused_again_and_again_is_given_up() {
    let world = World::new().await;
    let lease = world.held().await;
    let refuse = async {
        loop {
            for question in world.node.questions() {
                question.answer(Err(refused()));
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let released = async {
        // It is kept after it has resolved.
        let mut releasing = pin!(lease.release());
        assert_eq!(releasing.as_mut().await, Verdict::Unavailable);
        let votes = releasing.take_votes();
        let reason = matches!(votes[..], [Some(Vote::Failed(NodeError::Unreachable(_)))]);
        assert!(reason, "{votes:?}");
        timeout(LONG, world.drain()).await.expect("an end");
    };
    select(pin!(refuse), pin!(released)).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_that_nobody_waits_for_any_longer_is_not_sent() {
    let world = World::new().await;
    let lease = world.held().await;
    assert_eq!(lease.release().await, Verdict::Unavailable);
    let mut question = world.node.question();
    sleep(LONG).await;
    assert!(!question.may_be_sent(Instant::now()));
    assert!(world.node.questions().is_empty(), "it is not repeated");
    assert!(world.is_drained().await);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_repeated_release_of_a_lock_that_was_resumed() {
    let world = World::new().await;
    let lease = Lease::resumed(world.common.site(), &world.request, 0, value());
    let releasing = lease.release();
    let not_owner = || Ok(Answer::Release(ReleaseVote::NotOwner));
    world.node.question().answer(not_owner());
    assert_eq!(releasing.await, Verdict::Refused);
    // The acquisition of the first holder may still arrive.
    sleep(Duration::from_millis(100)).await;
    let again = world.node.question();
    assert!(!world.is_drained().await);
    again.answer(Ok(Answer::Release(ReleaseVote::Released)));
    assert!(world.is_drained().await);
}

#[tokio::test(start_paused = true)]
async fn a_release_does_not_wait_for_an_acquisition_that_was_given_up_and_deletes_its_key_when_that_comes()
 {
    let world = World::new().await;
    let lease = world.lease();
    let acquiring = lease.acquire();
    let releasing = {
        let question = world.node.question();
        let releasing = lease.release();
        assert!(world.node.questions().is_empty(), "it waits in the lane");
        drop(question);
        releasing
    };
    assert_eq!(acquiring.await, Verdict::Unavailable);
    let released = |vote| Ok(Answer::Release(vote));
    world
        .node
        .question()
        .answer(released(ReleaseVote::NotOwner));
    assert_eq!(releasing.await, Verdict::Refused);
    // The acquisition may still arrive.
    let mut repeats = 0;
    while lease.started_at().elapsed() < SECOND {
        sleep(Duration::from_millis(10)).await;
        for question in world.node.questions() {
            repeats += 1;
            question.answer(released(ReleaseVote::NotOwner));
        }
    }
    assert!((2..8).contains(&repeats), "{repeats}");
    assert!(!world.is_drained().await);
    timeout(LONG, async {
        while world.node.list().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("another release");
    world
        .node
        .question()
        .answer(released(ReleaseVote::Released));
    assert!(world.is_drained().await);
}
