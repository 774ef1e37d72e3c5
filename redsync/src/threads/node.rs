//! A node that answers on a thread of its own, in any order.

use std::{sync::Arc, time::Duration};

use futures_util::future::FutureExt;
use shuttle::{
    rand::{Rng, thread_rng},
    sync::mpsc::{Sender, channel},
    thread::{JoinHandle, spawn, yield_now},
};
use tokio::time::Instant;

use crate::{
    FencingToken,
    node::{
        AcquireVote, Answer, Entry, ExtendVote, Holders, MemoryNode, Node, NodeError, Operation,
        Question, RaiseVote, ReleaseVote, WakeUp,
    },
};

/// A node that takes questions into a list, as a Redis node does. A thread answers them, in any order: the
/// questions of different locks, and those that may overtake each other, need not keep theirs.
pub(super) struct LateNode {
    node: MemoryNode,
    questions: Sender<Question>,
}

impl LateNode {
    /// Starts a node, of whose questions about acquisitions this share gets no answer.
    pub(super) fn start(node: &MemoryNode, lost: f64) -> (Self, JoinHandle<()>) {
        let (questions, list) = channel();
        let keys = node.clone();
        let thread = spawn(move || {
            let mut outstanding = Vec::new();
            while let Ok(question) = list.recv() {
                outstanding.push(question);
                while !outstanding.is_empty() {
                    // Others may come before the next answer.
                    yield_now();
                    outstanding.extend(list.try_iter());
                    let next = thread_rng().gen_range(0..outstanding.len());
                    answer(outstanding.swap_remove(next), &keys, lost);
                }
            }
        });
        let node = node.clone();
        (Self { node, questions }, thread)
    }
}

fn answer(mut question: Question, node: &MemoryNode, lost: f64) {
    if !question.may_be_sent(Instant::now()) {
        return;
    }
    let entry = question.entry();
    let answer = match question.operation() {
        Operation::Acquire => node
            .acquire(entry)
            .map(|it| it.map(Answer::Acquire))
            .now_or_never(),
        Operation::Release => node
            .release(entry)
            .map(|it| it.map(Answer::Release))
            .now_or_never(),
        Operation::Extend => {
            let extended = node.extend(entry, question.token(), false);
            extended.map(|it| it.map(Answer::Extend)).now_or_never()
        }
        Operation::Raise | Operation::Heal => unreachable!("no scenario asks for it"),
    };
    let is_lost = question.operation() == Operation::Acquire && thread_rng().gen_bool(lost);
    if is_lost {
        // The node has carried it out, and nobody learns of that.
        drop(question);
    } else {
        question.answer(answer.expect("a node in memory answers at once"));
    }
}

impl Node for LateNode {
    fn address(&self) -> &str {
        self.node.address()
    }

    fn take(&self, question: Question, _: Instant) -> Result<(), Question> {
        self.questions.send(question).map_err(|error| error.0)
    }

    async fn watch(&self, names: &[Arc<str>]) -> Result<WakeUp, NodeError> {
        self.node.watch(names).await
    }

    async fn watch_acquired(&self, names: &[Arc<str>]) -> Result<(), NodeError> {
        self.node.watch_acquired(names).await
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        self.node.acquire(entry).await
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
}
