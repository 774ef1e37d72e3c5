//! A node that answers on a thread of its own, in any order.

use std::{mem, time::Duration};

use futures_util::future::FutureExt;
use shuttle::{
    rand::{Rng, thread_rng},
    sync::mpsc::channel,
    thread::{JoinHandle, spawn, yield_now},
};
use tokio::time::Instant;

use crate::node::{Answer, MemoryNode, Node, Operation, Question, Taking};

/// What a node does that others do not.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    /// The share of acquisitions that get no answer.
    pub(super) lost: f64,
    /// For how long the answers to extensions are on their way, at most.
    pub(super) slow: Duration,
    /// Whether an answer that is still on its way to an extension is given to the next one.
    pub(super) mixed_up: bool,
}

/// Starts a node that takes questions into a list, as a Redis node does. A thread sends them,
/// carries them out and answers them, in any order: the questions of different locks, and those
/// that may overtake each other, need not keep theirs.
pub(super) fn start(node: &MemoryNode, faults: Faults) -> (impl Node + use<>, JoinHandle<()>) {
    let (questions, list) = channel::<Question>();
    let mut desk = Desk::new(node, faults);
    let thread = spawn(move || {
        while let Ok(question) = list.recv() {
            desk.asked.push(question);
            while !desk.is_empty() {
                // Others may come before the next answer.
                yield_now();
                desk.asked.extend(list.try_iter());
                desk.go_on();
            }
        }
    });
    let node = Taking::new(node.clone(), move |question| {
        questions.send(question).map_err(|error| error.0)
    });
    (node, thread)
}

/// What a node has yet to do.
struct Desk {
    node: MemoryNode,
    faults: Faults,
    asked: Vec<Question>,
    /// On their way to the node, where nothing can call them back.
    sent: Vec<Question>,
    carried_out: Vec<CarriedOut>,
}

/// A question that has been carried out, and its answer, which arrives at an instant.
struct CarriedOut {
    question: Question,
    answer: Answer,
    arrives: Instant,
}

impl Desk {
    fn new(node: &MemoryNode, faults: Faults) -> Self {
        Self {
            node: node.clone(),
            faults,
            asked: Vec::new(),
            sent: Vec::new(),
            carried_out: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.sent.is_empty() && self.carried_out.is_empty()
    }

    /// Sends one of the questions, carries one out, or lets one of the answers arrive.
    fn go_on(&mut self) {
        let (asked, sent) = (self.asked.len(), self.sent.len());
        let next = thread_rng().gen_range(0..asked + sent + self.carried_out.len());
        if next < asked {
            let mut question = self.asked.swap_remove(next);
            if question.may_be_sent(Instant::now()) {
                self.sent.push(question);
            }
        } else if next < asked + sent {
            let question = self.sent.swap_remove(next - asked);
            self.take(question);
        } else {
            self.arrive(next - asked - sent);
        }
    }

    fn take(&mut self, question: Question) {
        let now = Instant::now();
        let is_extension = question.operation() == Operation::Extend;
        if is_extension
            && self.faults.mixed_up
            && let Some(earlier) = self.extension()
        {
            drop(mem::replace(&mut earlier.question, question));
            earlier.arrives = now;
            return;
        }
        let answer = carry_out(&question, &self.node);
        let is_lost =
            question.operation() == Operation::Acquire && thread_rng().gen_bool(self.faults.lost);
        if is_lost {
            // The node has carried it out, and nobody learns of that.
            return;
        }
        let slow = if is_extension {
            self.faults.slow
        } else {
            Duration::ZERO
        };
        self.carried_out.push(CarriedOut {
            question,
            answer,
            arrives: now + slow.mul_f64(thread_rng().gen_range(0.0..=1.0)),
        });
    }

    /// An extension whose answer is on its way.
    fn extension(&mut self) -> Option<&mut CarriedOut> {
        let is_extension = |it: &&mut CarriedOut| it.question.operation() == Operation::Extend;
        self.carried_out.iter_mut().find(is_extension)
    }

    fn arrive(&mut self, next: usize) {
        if self.carried_out[next].arrives <= Instant::now() {
            let CarriedOut {
                question, answer, ..
            } = self.carried_out.swap_remove(next);
            question.answer(Ok(answer));
        }
    }
}

fn carry_out(question: &Question, node: &MemoryNode) -> Answer {
    let entry = question.entry();
    let answer = match question.operation() {
        Operation::Acquire => {
            let acquired = node.acquire(entry);
            acquired.map(|it| it.map(Answer::Acquire)).now_or_never()
        }
        Operation::Release => {
            let released = node.release(entry);
            released.map(|it| it.map(Answer::Release)).now_or_never()
        }
        Operation::Extend => {
            let extended = node.extend(entry, question.token(), false);
            extended.map(|it| it.map(Answer::Extend)).now_or_never()
        }
        Operation::Raise | Operation::Heal => unreachable!("no scenario asks for it"),
    };
    let answer = answer.expect("a node in memory answers at once");
    answer.expect("a node in memory does not fail")
}
