//! A node that answers on a thread of its own, in any order.

use futures_util::future::FutureExt;
use shuttle::{
    rand::{Rng, thread_rng},
    sync::mpsc::channel,
    thread::{JoinHandle, spawn, yield_now},
};
use tokio::time::Instant;

use crate::node::{Answer, MemoryNode, Node, Operation, Question, Taking};

/// Starts a node that takes questions into a list, as a Redis node does. A thread answers them, in any order:
/// the questions of different locks, and those that may overtake each other, need not keep theirs. This share of
/// those about acquisitions gets no answer.
pub(super) fn start_late(node: &MemoryNode, lost: f64) -> (impl Node + use<>, JoinHandle<()>) {
    let (questions, list) = channel::<Question>();
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
    let node = Taking::new(node.clone(), move |question| {
        questions.send(question).map_err(|error| error.0)
    });
    (node, thread)
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
