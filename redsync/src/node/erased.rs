//! Nodes as trait objects.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use tokio::time::Instant;

use super::{
    Entry, Holders, Node, NodeError, ReleaseVote, Reporters, WakeUp,
    question::{Answer, Operation, Question},
};

/// A node of any type. [`Redsync::new`](crate::Redsync::new) takes these, so that nodes of
/// different types can be mixed.
///
/// ```
/// use redsync::{Redsync, node::{AnyNode, MemoryNode}};
///
/// let nodes: Vec<AnyNode> = vec![MemoryNode::new().into(), MemoryNode::new().into()];
/// let redsync = Redsync::new(nodes)?;
/// # Ok::<_, redsync::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct AnyNode(Arc<dyn ErasedNode>);

impl<N: Node> From<N> for AnyNode {
    fn from(node: N) -> Self {
        Self(Arc::new(node))
    }
}

impl fmt::Debug for AnyNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyNode").field(&self.0.address()).finish()
    }
}

impl AnyNode {
    pub(crate) fn get(&self) -> &dyn ErasedNode {
        &*self.0
    }

    /// Asks the node. If a future is returned, it has to be driven for the answer to arrive.
    pub(crate) fn ask(&self, question: Question, now: Instant) -> Option<Answering> {
        let question = if question.is_retried() {
            question
        } else {
            match self.0.take(question, now) {
                Ok(()) => return None,
                Err(question) => question,
            }
        };
        Some(Arc::clone(&self.0).answer(question))
    }

    /// Watches names. See [`Node::watch`].
    pub(crate) fn watch(&self, names: &Arc<[Arc<str>]>, reporters: &Reporters) -> Watching {
        Arc::clone(&self.0).watch(Arc::clone(names), reporters.clone())
    }

    /// Watches names for an acquisition. See [`Node::watch_acquired`].
    pub(crate) fn watch_acquired(&self, names: &Arc<[Arc<str>]>) -> Watching {
        Arc::clone(&self.0).watch_acquired(Arc::clone(names))
    }
}

/// The future that leads to the answer of a node without a list of questions.
pub(crate) type Answering = BoxFuture<'static, ()>;

/// The future of a node that is watched.
pub(crate) type Watching = BoxFuture<'static, Result<WakeUp, NodeError>>;

/// The object-safe form of [`Node`]: the same operations, boxed.
pub(crate) trait ErasedNode: Send + Sync {
    fn address(&self) -> &str;
    fn take(&self, question: Question, now: Instant) -> Result<(), Question>;
    fn answer(self: Arc<Self>, question: Question) -> Answering;
    fn inspect<'a>(
        &'a self,
        names: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<Option<Holders>>, NodeError>>;
    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<ReleaseVote, NodeError>>;
    fn watch(self: Arc<Self>, names: Arc<[Arc<str>]>, reporters: Reporters) -> Watching;
    fn watch_acquired(self: Arc<Self>, names: Arc<[Arc<str>]>) -> Watching;
    fn identity(&self) -> BoxFuture<'_, Result<Option<String>, NodeError>>;
}

impl<N: Node> ErasedNode for N {
    fn address(&self) -> &str {
        Node::address(self)
    }

    fn take(&self, question: Question, now: Instant) -> Result<(), Question> {
        Node::take(self, question, now)
    }

    fn answer(self: Arc<Self>, question: Question) -> Answering {
        answering(self, question).boxed()
    }

    fn inspect<'a>(
        &'a self,
        names: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<Option<Holders>>, NodeError>> {
        guarded(async move {
            let found = names.iter().map(|name| Node::inspect(self, name));
            try_join_all(found).await
        })
        .boxed()
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<ReleaseVote, NodeError>> {
        guarded(async move { Node::release(self, entry).await }).boxed()
    }

    fn watch(self: Arc<Self>, names: Arc<[Arc<str>]>, reporters: Reporters) -> Watching {
        guarded(async move { self.watch_counted(&names, &reporters).await }).boxed()
    }

    fn watch_acquired(self: Arc<Self>, names: Arc<[Arc<str>]>) -> Watching {
        guarded(async move {
            let acquired = Node::watch_acquired(&*self, &names).await;
            acquired.map(|()| WakeUp::Changed)
        })
        .boxed()
    }

    fn identity(&self) -> BoxFuture<'_, Result<Option<String>, NodeError>> {
        guarded(async move { Node::identity(self).await }).boxed()
    }
}

async fn answering<N: Node>(node: Arc<N>, mut question: Question) {
    if !question.may_be_sent(Instant::now()) {
        return;
    }
    let (entry, token) = (question.entry(), question.token());
    let operation = question.operation();
    let answer = guarded(async {
        Ok(match operation {
            Operation::Acquire => Answer::Acquire(node.acquire(entry).await?),
            Operation::Raise => {
                let token = token.expect("counters are raised to a token");
                Answer::Raise(node.raise(entry, token).await?)
            }
            Operation::Extend => Answer::Extend(node.extend(entry, token, false).await?),
            Operation::Heal => Answer::Extend(node.extend(entry, token, true).await?),
            Operation::Release => Answer::Release(match question.kept_after_release() {
                Duration::ZERO => node.release(entry).await?,
                kept => node.release_after(entry, kept).await?,
            }),
        })
    });
    let answer = answer.await;
    question.answer(answer);
}

/// Turns a panic in a node's code into a failure of that node only. The node's method has to be
/// called in `answer`, because it may panic before it returns a future.
///
/// Not an `async fn`, which would have room for the future twice.
fn guarded<T>(
    answer: impl Future<Output = Result<T, NodeError>>,
) -> impl Future<Output = Result<T, NodeError>> {
    let panicked = |_| Err(NodeError::Unexpected("it panicked".into()));
    let answer = AssertUnwindSafe(answer).catch_unwind();
    answer.map(move |answer| answer.unwrap_or_else(panicked))
}
