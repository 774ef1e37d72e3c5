//! All nodes of a [`Redsync`](crate::Redsync): their admission, and what they are asked.

mod admission;
mod backlog;
mod condition;
mod identities;
mod notes;
mod outage;
mod pace;
mod repeater;

use std::{fmt, future::Future, iter, sync::Arc, time::Duration};

use futures_util::future::{FutureExt, join_all};
use tokio::time::{Instant, timeout};

use self::{
    admission::Admission, backlog::Backlog, condition::Condition, identities::Identities,
    outage::Outage,
};
use crate::{
    ConfigError,
    metrics::NodeMetrics,
    node::{
        Answering, AnyNode, Entry, Holders, NodeError, Question, ReleaseVote, Reporters, Watching,
    },
    printable::Label,
    quorum::{
        cast::RoundVotes,
        votes::{NodeVote, Vote, Votes},
    },
};

/// All nodes, in the order in which the user gave them.
pub(crate) struct Nodes {
    members: Box<[Member]>,
    identities: Identities,
    outage: Outage,
}

struct Member {
    node: AnyNode,
    address: Arc<str>,
    admission: Admission,
    condition: Condition,
    backlog: Backlog,
    metrics: NodeMetrics,
}

impl Nodes {
    pub(crate) fn new(nodes: impl IntoIterator<Item = AnyNode>) -> Result<Self, ConfigError> {
        let member = |node: AnyNode| {
            let address: Arc<str> = node.get().address().into();
            Member {
                node,
                metrics: NodeMetrics::new(&address),
                address,
                admission: Admission::default(),
                condition: Condition::new(Instant::now()),
                backlog: Backlog::default(),
            }
        };
        let members: Box<[_]> = nodes.into_iter().map(member).collect();
        if members.is_empty() {
            return Err(ConfigError::NoNodes);
        }
        for (index, Member { address, .. }) in members.iter().enumerate() {
            if members[..index]
                .iter()
                .any(|other| other.address == *address)
            {
                let address = Arc::clone(address);
                return Err(ConfigError::DuplicateNode { address });
            }
        }
        if members.len().is_multiple_of(2) {
            tracing::warn!(
                nodes = members.len(),
                "an even number of nodes tolerates no more failures than the odd number below it"
            );
        }
        Ok(Self {
            members,
            identities: Identities::default(),
            outage: Outage::default(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    fn node(&self, node: usize) -> &AnyNode {
        &self.members[node].node
    }

    pub(crate) fn address(&self, node: usize) -> &Arc<str> {
        &self.members[node].address
    }

    /// The votes of a round with the addresses of their nodes, for an error.
    pub(crate) fn votes(&self, name: &Label, attempt: u32, round: RoundVotes) -> Votes {
        let vote = |(node, vote): (usize, Option<_>)| {
            let address = Arc::clone(self.address(node));
            vote.map(|vote| NodeVote { address, vote })
        };
        Votes {
            name: name.clone(),
            nodes: self.len(),
            attempt,
            votes: round.into_iter().enumerate().filter_map(vote).collect(),
        }
    }

    /// The votes of a round in which no node was asked, for this reason.
    pub(crate) fn not_asked(&self, name: &Label, attempt: u32, reason: &NodeError) -> Votes {
        let vote = || Some(Vote::Failed(reason.clone()));
        let round = iter::repeat_with(vote).take(self.len()).collect();
        self.votes(name, attempt, round)
    }

    fn backlog(&self, node: usize) -> &Backlog {
        &self.members[node].backlog
    }

    pub(crate) fn metrics(&self, node: usize) -> &NodeMetrics {
        &self.members[node].metrics
    }

    /// Asks a node, after it has been admitted. If a future is returned, it has to be driven for
    /// the answer to arrive.
    pub(crate) fn ask(
        self: &Arc<Self>,
        node: usize,
        question: Question,
        now: Instant,
    ) -> Option<Answering> {
        if self.members[node].condition.asked(now) {
            self.note_failure(node, question.operation(), &NodeError::TimedOut);
        }
        if self.members[node].admission.is_admitted() {
            return self.node(node).ask(question, now);
        }
        let nodes = Arc::clone(self);
        let answering = async move {
            match nodes.admit(node).await {
                Ok(()) => {
                    if let Some(answering) = nodes.node(node).ask(question, Instant::now()) {
                        answering.await;
                    }
                }
                Err(error) => question.answer(Err(error)),
            }
        };
        Some(answering.boxed())
    }

    /// Asks a node for the holders of names, after it has been admitted.
    pub(crate) async fn inspect(
        &self,
        node: usize,
        names: &[Arc<str>],
    ) -> Result<Vec<Option<Holders>>, NodeError> {
        self.admit(node).await?;
        let answer = self.node(node).get().inspect(names);
        self.metrics(node).inspect(answer).await
    }

    /// Releases an entry that belongs to no lease of this process.
    pub(crate) async fn release(
        &self,
        node: usize,
        entry: &Entry,
    ) -> Result<ReleaseVote, NodeError> {
        self.node(node).get().release(entry).await
    }

    /// Watches names on a node. See [`Node::watch`](crate::node::Node::watch). While the node
    /// reports the next change, it is one of the `reporters`.
    pub(crate) fn watch(
        &self,
        node: usize,
        names: &Arc<[Arc<str>]>,
        reporters: &Reporters,
    ) -> Watching {
        self.node(node).watch(names, reporters)
    }

    /// Watches names on a node for an acquisition. See
    /// [`Node::watch_acquired`](crate::node::Node::watch_acquired).
    pub(crate) fn watch_acquired(&self, node: usize, names: &Arc<[Arc<str>]>) -> Watching {
        self.node(node).watch_acquired(names)
    }

    /// Asks every node a question that belongs to no lease, and waits for at most `limit`.
    pub(crate) async fn ask_all<T, F>(
        &self,
        limit: Duration,
        question: impl Fn(usize) -> F,
    ) -> Vec<Result<T, NodeError>>
    where
        F: Future<Output = Result<T, NodeError>>,
    {
        let answers = (0..self.len()).map(|node| {
            let answer = timeout(limit, question(node));
            answer.map(|answer| answer.unwrap_or(Err(NodeError::TimedOut)))
        });
        join_all(answers).await
    }

    /// Asks every node who it is, only to make contact: a connection whose replies nobody reads any
    /// longer is noticed by that, and replaced.
    pub(crate) async fn contact(&self, limit: Duration) {
        self.ask_all(limit, |node| self.node(node).get().identity())
            .await;
    }

    /// Admits a node, unless it is the same server as another node. Each node is asked once, unless
    /// the caller that asks is not polled for a while.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the node is asked again the next time.
    async fn admit(&self, node: usize) -> Result<(), NodeError> {
        let member = &self.members[node];
        if member.admission.is_admitted() {
            return Ok(());
        }
        let question = async {
            match self.identity(node).await? {
                Some(identity) => self.identify(node, identity).await,
                None => Ok(()),
            }
        };
        member.admission.admit(question).await
    }

    async fn identity(&self, node: usize) -> Result<Option<String>, NodeError> {
        let member = &self.members[node];
        member.metrics.identity(member.node.get().identity()).await
    }

    async fn identify(&self, node: usize, identity: String) -> Result<(), NodeError> {
        // A server that restarts has another identity. So a node that was refused is compared with
        // what the other node says now.
        if let Some(twin) = self.identities.twin(node)
            && let Some(identity) = self.identity(twin).await?
        {
            self.identities.renew(twin, identity);
        }
        let claimed = self.identities.claim(node, identity);
        claimed.map_err(|other| NodeError::SameServer {
            other: Arc::clone(self.address(other)),
        })
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.members.iter().map(|member| &member.node);
        f.debug_list().entries(nodes).finish()
    }
}
