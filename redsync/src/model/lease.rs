//! A lease of the model: what `lease`, `acquire` and `guard` do, without I/O, on the very same
//! lanes, keys, tallies and periods.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use super::{
    flaw::Flaw,
    message::Message,
    setting::{ATTEMPTS, EXPIRY, NODES, Setting, instant, names, timing},
};
use crate::{
    FencingToken, Mode, OwnerValue,
    acquire::{Decision, decide},
    fence::{Agreement, agree},
    lease::{Beginning, Extended, Key, Lane, Next, Period, Settled},
    node::{Answer, Entry, ExtendVote, NodeAnswer, NodeError, Operation},
    quorum::{
        majority,
        tally::{Tally, Verdict},
        votes::Vote,
    },
};

#[derive(Clone)]
pub(super) struct Lease {
    pub(super) mode: Mode,
    pub(super) value: OwnerValue,
    lanes: Vec<Lane<usize>>,
    rounds: Vec<Round>,
    pub(super) phase: Phase,
    pub(super) period: Period,
    /// When it started, in ticks.
    started_at: u32,
    pub(super) token: Option<FencingToken>,
    /// The largest token that had been granted when it started.
    pub(super) above: Option<FencingToken>,
    pub(super) extensions: u8,
    pub(super) hand_overs: u8,
}

/// What the future depends on, except for what concerns a single node: see [`Lease::digest`].
impl Hash for Lease {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.mode == Mode::Shared).hash(state);
        self.phase.hash(state);
        if self.has_ended() {
            return;
        }
        for round in &self.rounds {
            round.operation.hash(state);
            round.token.hash(state);
        }
        if let Some(round) = self.awaited() {
            round.start.hash(state);
            round.tally.hash(state);
            round.is_over.hash(state);
        }
        match self.phase {
            Phase::Acquiring | Phase::Raising(_) => {
                self.started_at.hash(state);
                self.above.hash(state);
            }
            Phase::Held | Phase::Extending => {
                self.period.hash(state);
                self.token.hash(state);
            }
            Phase::Ended => {}
        }
        (self.extensions, self.hand_overs).hash(state);
    }
}

/// Where a lease is. The round that `Acquiring`, `Raising` and `Extending` wait for is the last
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Acquiring,
    Raising(FencingToken),
    Held,
    Extending,
    Ended,
}

/// One command to every node, and the count of the answers.
#[derive(Clone)]
struct Round {
    operation: Operation,
    token: Option<FencingToken>,
    start: u32,
    tally: Tally,
    nodes: [Asked; NODES],
    is_over: bool,
}

/// What is known of the command of a round on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    /// It waits in the lane.
    Not,
    /// It was sent, and its answer counts.
    Awaited,
    /// It was sent, and the round is over for this node, which has granted or not.
    Voted { granted: bool },
}

/// A command that is to be sent: the number of its round, and its node.
pub(super) type Command = (usize, usize);

/// The result of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Granted,
    Prolonged,
    Other,
}

impl Lease {
    /// Starts an attempt. Returns the commands that it sends.
    pub(super) fn start(
        number: usize,
        mode: Mode,
        setting: &Setting,
        time: u32,
        above: Option<FencingToken>,
    ) -> (Self, Vec<Command>) {
        let mut lease = Self {
            mode,
            value: value(number, setting),
            lanes: (0..NODES).map(|_| Lane::new(Key::absent())).collect(),
            rounds: Vec::new(),
            phase: Phase::Acquiring,
            period: Period::new(instant(time), None),
            started_at: time,
            token: None,
            above,
            extensions: setting.budget.extensions,
            hand_overs: setting.budget.hand_overs,
        };
        let commands = lease.send(Operation::Acquire, None, time);
        (lease, commands)
    }

    /// Adds to a hash what the future depends on and concerns one node.
    pub(super) fn digest<H: Hasher>(&self, node: usize, hasher: &mut H) {
        if self.has_ended() {
            self.digest_of_ended(node, hasher);
            return;
        }
        self.lanes[node].hash(hasher);
        for round in &self.rounds {
            let asked = match round.nodes[node] {
                // Only the flaw of merged extensions asks again how a node has voted.
                Asked::Voted { .. } if round.operation != Operation::Extend => {
                    Asked::Voted { granted: false }
                }
                asked => asked,
            };
            asked.hash(hasher);
        }
    }

    /// After the end, nothing depends on the lane once its last command, the release, has been
    /// sent, unless it may have to be repeated. Nothing depends on rounds that are over.
    fn digest_of_ended<H: Hasher>(&self, node: usize, hasher: &mut H) {
        let is_waiting = |round: &Round| round.nodes[node] == Asked::Not;
        if self.rounds.iter().any(is_waiting) || self.lanes[node].key.may_be_set_late() {
            self.lanes[node].hash(hasher);
        }
        for (number, round) in self.rounds.iter().enumerate() {
            if is_waiting(round) || self.awaits(number, node) {
                (round.operation, round.token, round.nodes[node]).hash(hasher);
            }
        }
    }

    /// Adds a message to a hash. After the end, it does not matter how many rounds there were.
    pub(super) fn hash_message<H: Hasher>(&self, message: &Message, hasher: &mut H) {
        if self.has_ended() {
            let round = &self.rounds[message.round];
            let is_awaited = self.awaits(message.round, message.node);
            (round.operation, round.token, is_awaited).hash(hasher);
            message.hash_answer(hasher);
        } else {
            message.hash(hasher);
        }
    }

    /// What can be seen of it from outside.
    pub(super) fn appearance(&self) -> impl Hash {
        let holds = self.is_held().then_some((self.period, self.token));
        let has_left = (self.extensions, self.hand_overs);
        let phase = (!self.has_ended()).then_some((self.phase, has_left));
        (self.mode == Mode::Shared, phase, holds)
    }

    /// Adds everything to a hash, as it is.
    pub(super) fn hash_plainly<H: Hasher>(&self, state: &mut H) {
        (self.mode == Mode::Shared).hash(state);
        (self.phase, self.period, self.started_at).hash(state);
        (self.token, self.above, self.extensions, self.hand_overs).hash(state);
        self.lanes.hash(state);
        for round in &self.rounds {
            (round.operation, round.token, round.start).hash(state);
            (&round.tally, round.nodes, round.is_over).hash(state);
        }
    }

    /// What the nodes are asked about.
    pub(super) fn entry(&self, setting: &Setting) -> Entry {
        Entry {
            names: Arc::clone(names()),
            value: self.value.clone(),
            expiry: EXPIRY,
            mode: self.mode,
            fenced: setting.is_fenced,
            repeated: false,
        }
    }

    /// Whether its holder believes that it holds the lock.
    pub(super) fn believes(&self, time: u32) -> bool {
        self.is_held() && instant(time) < self.period.until()
    }

    pub(super) fn may_be_extended(&self, setting: &Setting, time: u32) -> bool {
        let is_valid = !setting.is_timed() || self.believes(time);
        let may_begin = is_valid || setting.has(Flaw::ExtensionAfterTheEnd);
        self.phase == Phase::Held && self.extensions > 0 && may_begin
    }

    pub(super) fn may_be_handed_over(&self, setting: &Setting, time: u32) -> bool {
        let is_valid = !setting.is_timed() || self.believes(time);
        self.phase == Phase::Held && self.hand_overs > 0 && is_valid
    }

    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    pub(super) const fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held | Phase::Extending)
    }

    pub(super) fn operation(&self, round: usize) -> Operation {
        self.rounds[round].operation
    }

    pub(super) fn token_of(&self, round: usize) -> Option<FencingToken> {
        self.rounds[round].token
    }

    /// The verdict that the lease waits for, if it is clear.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let round = self.awaited()?;
        round.tally.verdict()
    }

    /// The round that the lease waits for.
    fn awaited(&self) -> Option<&Round> {
        match self.phase {
            Phase::Acquiring | Phase::Raising(_) | Phase::Extending => self.rounds.last(),
            Phase::Held | Phase::Ended => None,
        }
    }

    /// Whether it waits for a verdict that is not clear.
    pub(super) fn is_waiting(&self) -> bool {
        self.awaited().is_some() && self.verdict().is_none()
    }

    /// Whether time has passed since the round that it waits for started.
    pub(super) fn has_waited(&self, time: u32) -> bool {
        self.awaited().is_some_and(|round| round.start < time)
    }

    /// Ends the wait for a verdict because its time is over.
    pub(super) fn time_out(&mut self) {
        if let Some(round) = self.rounds.last_mut() {
            for node in 0..NODES {
                if !matches!(round.nodes[node], Asked::Voted { .. }) {
                    round.tally.count(&Vote::Failed(NodeError::TimedOut));
                }
            }
            round.is_over = true;
        }
    }

    /// Acts on a verdict. Returns the result, and the commands that it sends.
    pub(super) fn decide(&mut self, setting: &Setting, time: u32) -> (Outcome, Vec<Command>) {
        let verdict = self.verdict().expect("a verdict");
        let round = self.rounds.last_mut().expect("a round that has a verdict");
        round.is_over = true;
        let start = round.start;
        match self.phase {
            Phase::Extending => self.extended(verdict, start, setting, time),
            _ => self.acquired(verdict, setting, time),
        }
    }

    fn acquired(
        &mut self,
        verdict: Verdict,
        setting: &Setting,
        time: u32,
    ) -> (Outcome, Vec<Command>) {
        let agreement = setting.is_fenced.then(|| match self.phase {
            Phase::Raising(token) => Agreement::Token(token),
            _ => self.agreement(setting),
        });
        let start = if setting.has(Flaw::ValidityFromTheReply) {
            time
        } else {
            self.started_at
        };
        let until = until_from(start, setting);
        let is_in_time = instant(time) + timing().min_validity() < until;
        match decide(verdict, agreement, is_in_time) {
            Decision::Held(token) => {
                self.token = token;
                self.period.begin(until);
                self.phase = Phase::Held;
                (Outcome::Granted, Vec::new())
            }
            Decision::Raise(token) => {
                self.phase = Phase::Raising(token);
                let commands = self.send(Operation::Raise, Some(token), time);
                (Outcome::Other, commands)
            }
            Decision::Failed(_) => (Outcome::Other, self.release(setting, time)),
        }
    }

    fn agreement(&self, setting: &Setting) -> Agreement {
        let numbers: Vec<_> = self.lanes.iter().map(|lane| lane.key.number()).collect();
        match agree(&numbers, majority(NODES)) {
            Agreement::Raise(token) if setting.has(Flaw::LargestNumber) => Agreement::Token(token),
            agreement => agreement,
        }
    }

    fn extended(
        &mut self,
        verdict: Verdict,
        start: u32,
        setting: &Setting,
        time: u32,
    ) -> (Outcome, Vec<Command>) {
        self.phase = Phase::Held;
        let until = until_from(start, setting);
        if setting.has(Flaw::UnclearExtension) && verdict == Verdict::Unavailable
            || setting.has(Flaw::ExtensionAfterTheEnd) && verdict == Verdict::Granted
        {
            self.period.begin(until);
            return (Outcome::Prolonged, Vec::new());
        }
        match self.period.extended(verdict, instant(time), until) {
            Extended::Prolonged => {
                let lack_a_key = self.lanes.iter().any(|lane| lane.key.lacks_key());
                let commands = if setting.heals && lack_a_key {
                    self.send(Operation::Heal, self.token, time)
                } else {
                    Vec::new()
                };
                for lane in &mut self.lanes {
                    lane.key.forget_gap_before(instant(start));
                }
                (Outcome::Prolonged, commands)
            }
            Extended::Refused => {
                self.period.cut_short(instant(time));
                (Outcome::Other, Vec::new())
            }
            Extended::TooLate | Extended::Unclear => (Outcome::Other, Vec::new()),
        }
    }

    /// Starts an extension. Returns the commands that it sends.
    pub(super) fn extend(&mut self, setting: &Setting, time: u32) -> Vec<Command> {
        self.extensions -= 1;
        self.phase = Phase::Extending;
        let earlier = self
            .rounds
            .last()
            .filter(|it| it.operation == Operation::Extend);
        let earlier = earlier.map(|round| round.nodes);
        let commands = self.send(Operation::Extend, self.token, time);
        if let Some(nodes) = earlier.filter(|_| setting.has(Flaw::MergedExtensions)) {
            let round = self.rounds.last_mut().expect("the extension");
            for (node, asked) in nodes.into_iter().enumerate() {
                if asked == (Asked::Voted { granted: true }) {
                    round.vote(node, &Vote::Granted);
                }
            }
        }
        commands
    }

    /// Ends the lease. Returns the commands that release its keys.
    pub(super) fn release(&mut self, setting: &Setting, time: u32) -> Vec<Command> {
        self.phase = Phase::Ended;
        self.period.cut_short(instant(time));
        if setting.has(Flaw::ReleaseAhead) {
            // The lanes forget what is under way.
            self.lanes = (0..NODES)
                .map(|_| Lane::new(Key::resumed(instant(0))))
                .collect();
            for round in &mut self.rounds {
                round.nodes = [Asked::Voted { granted: false }; NODES];
            }
        }
        self.send(Operation::Release, None, time)
    }

    /// Hands the lock over to the next holder of this process, who starts now.
    pub(super) fn hand_over(&mut self, setting: &Setting, above: Option<FencingToken>) {
        self.hand_overs -= 1;
        self.above = above;
        if !setting.has(Flaw::HandOverWithoutToken) {
            self.token = self.token.map(FencingToken::next);
        }
    }

    fn send(
        &mut self,
        operation: Operation,
        token: Option<FencingToken>,
        time: u32,
    ) -> Vec<Command> {
        let number = self.rounds.len();
        self.rounds.push(Round {
            operation,
            token,
            start: time,
            tally: Tally::new(NODES),
            nodes: [Asked::Not; NODES],
            is_over: false,
        });
        let mut commands = Vec::new();
        for node in 0..NODES {
            match self.lanes[node].begin(operation, token, || number) {
                Beginning::Asks => commands.extend(self.ask(number, node)),
                Beginning::Waits => {}
                Beginning::Votes(vote) => self.rounds[number].vote(node, &vote),
            }
        }
        commands
    }

    fn ask(&mut self, round: usize, node: usize) -> Option<Command> {
        self.rounds[round].nodes[node] = Asked::Awaited;
        Some((round, node))
    }

    /// Whether anything depends on the answer of a node to a round.
    pub(super) fn awaits(&self, round: usize, node: usize) -> bool {
        let Round {
            operation, nodes, ..
        } = &self.rounds[round];
        let keeps_the_lane = !matches!(operation, Operation::Extend | Operation::Raise);
        nodes[node] == Asked::Awaited && (keeps_the_lane || self.phase != Phase::Ended)
    }

    /// Whether the command of a round waits in the lane to a node.
    fn waits(&self, round: usize, node: usize) -> bool {
        self.rounds[round].nodes[node] == Asked::Not
    }

    /// Whether nothing that this lease does depends on the answers to a round, but for what has
    /// waited for them in the lanes.
    pub(super) fn acts_on_no_answer(&self, round: usize) -> bool {
        let is_awaited = self.awaited().is_some() && round + 1 == self.rounds.len();
        match self.rounds[round].operation {
            Operation::Acquire | Operation::Raise | Operation::Release => !is_awaited,
            // They tell which nodes lack the key.
            Operation::Extend | Operation::Heal => self.has_ended(),
        }
    }

    /// Whether an answer changes nothing but what this lease knows.
    pub(super) fn takes_privately(&self, message: &Message, setting: &Setting, time: u32) -> bool {
        let Message {
            round,
            node,
            answer: Some(answer),
            ..
        } = message
        else {
            return false;
        };
        // An extension that finds no key notes when it is answered. After the end, it matters
        // whether all is over.
        let is_timeless = matches!(
            answer,
            Answer::Acquire(_) | Answer::Raise(_) | Answer::Extend(ExtendVote::Extended)
        );
        if !is_timeless || self.has_ended() {
            return false;
        }
        let commands = (self.clone()).answered(*round, *node, Ok(answer.clone()), setting, time);
        commands.is_empty()
    }

    /// Takes such an answer, unless it has taken another one to the same command, which has been
    /// carried out twice.
    pub(super) fn hear(&mut self, message: Message, setting: &Setting, time: u32) {
        let Message {
            round,
            node,
            answer,
            ..
        } = message;
        if self.awaits(round, node) {
            let answer = answer.expect("an answer");
            let commands = self.answered(round, node, Ok(answer), setting, time);
            assert!(commands.is_empty(), "others notice that it was heard");
        }
    }

    /// Takes an answer. Returns the commands that may be sent now.
    pub(super) fn answered(
        &mut self,
        round: usize,
        node: usize,
        answer: NodeAnswer,
        setting: &Setting,
        time: u32,
    ) -> Vec<Command> {
        let operation = self.rounds[round].operation;
        let answered =
            self.lanes[node].answered(operation, answer, setting.is_fenced, instant(time));
        self.settled(round, node, answered, setting)
    }

    /// Stops waiting for the answer of a node. Returns the commands that may be sent now.
    pub(super) fn give_up(
        &mut self,
        round: usize,
        node: usize,
        setting: &Setting,
        time: u32,
    ) -> Vec<Command> {
        let Round {
            operation, start, ..
        } = self.rounds[round];
        let until = instant(start) + EXPIRY;
        let unanswered = self.lanes[node].unanswered(operation, until, instant(time));
        self.settled(round, node, unanswered, setting)
    }

    fn settled(
        &mut self,
        round: usize,
        node: usize,
        (settled, next): (Settled, Next<usize>),
        setting: &Setting,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        for next in next
            .into_iter()
            .filter(|_| !setting.has(Flaw::ForgottenCommand))
        {
            commands.extend(self.go_on(next, node, setting));
        }
        match settled {
            Settled::Vote(vote) => self.rounds[round].vote(node, &vote),
            Settled::Repeat => commands.extend(self.ask(round, node)),
            Settled::VoteAndRepeatAfter(vote, _) => {
                self.rounds[round].vote(node, &vote);
                if !setting.has(Flaw::ReleaseOnce) {
                    self.rounds[round].is_over = true;
                    commands.extend(self.ask(round, node));
                }
            }
        }
        commands
    }

    /// Continues with a command that has waited in a lane.
    fn go_on(&mut self, round: usize, node: usize, setting: &Setting) -> Vec<Command> {
        let operation = self.rounds[round].operation;
        if !self.lanes[node].still_asks(operation) {
            let vote = Settled::Vote(Vote::Refused { remaining: None });
            let settled = self.lanes[node].settle(operation, vote);
            return self.settled(round, node, settled, setting);
        }
        // After the end, nothing but a release is sent: see `Command::may_be_sent`.
        if operation != Operation::Release && self.phase == Phase::Ended {
            let not_sent = Err(NodeError::NotSent);
            let answered =
                self.lanes[node].answered(operation, not_sent, false, instant(self.started_at));
            return self.settled(round, node, answered, setting);
        }
        self.ask(round, node).into_iter().collect()
    }

    /// The acquisitions that keep a lane, while commands wait in it.
    pub(super) fn keeping(&self) -> Vec<Command> {
        let keeps = |round: &Round, node: usize| {
            matches!(round.operation, Operation::Acquire | Operation::Heal)
                && round.nodes[node] == Asked::Awaited
        };
        let waits = |node: usize| (0..self.rounds.len()).any(|round| self.waits(round, node));
        let rounds = self.rounds.iter().enumerate();
        rounds
            .flat_map(|(number, round)| {
                (0..NODES)
                    .filter(move |node| keeps(round, *node) && waits(*node))
                    .map(move |node| (number, node))
            })
            .collect()
    }

    pub(super) const fn last_round(&self) -> usize {
        self.rounds.len() - 1
    }

    pub(super) fn is_held_after_an_extension(&self) -> bool {
        self.phase == Phase::Held && self.operation(self.last_round()) == Operation::Extend
    }
}

impl Round {
    fn vote(&mut self, node: usize, vote: &Vote) {
        let granted = matches!(vote, Vote::Granted);
        if matches!(self.nodes[node], Asked::Voted { .. }) {
            return;
        }
        self.nodes[node] = Asked::Voted { granted };
        if !self.is_over {
            self.tally.count(vote);
        }
    }
}

/// The owner value of the lease with this number.
fn value(number: usize, setting: &Setting) -> OwnerValue {
    static VALUES: OnceLock<Vec<OwnerValue>> = OnceLock::new();
    let values = VALUES.get_or_init(|| {
        (0..64)
            .map(|it: usize| it.to_string().as_str().into())
            .collect()
    });
    let number = if setting.has(Flaw::OneValueForAllAttempts) {
        number / ATTEMPTS
    } else {
        number
    };
    values[number].clone()
}

fn until_from(start: u32, setting: &Setting) -> tokio::time::Instant {
    let timing = timing();
    let until = timing.until_from(instant(start), timing.expiry());
    if setting.has(Flaw::TooLittleDrift) {
        until + timing.drift(timing.expiry())
    } else {
        until
    }
}
