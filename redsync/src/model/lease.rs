//! A lease of the model: what `lease`, `acquire` and `guard` do, without I/O, on the very same
//! commands, votes, lanes, keys and periods.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use tokio::time::Instant;

use super::{
    flaw::Flaw,
    message::Message,
    setting::{ATTEMPTS, NODES, Setting, instant},
};
use crate::{
    FencingToken, Mode, OwnerValue,
    acquire::{Decision, decide},
    fence::Agreement,
    lease::{
        Beginning, Command, Extended, Held, Key, Lane, Next, Period, Purpose, Settled, Succession,
        agreement, extended,
    },
    node::{Answer, Entry, ExtendVote, NodeAnswer, NodeError, Operation},
    options::Timing,
    quorum::{cast::CastVotes, tally::Verdict, votes::Vote},
};

#[derive(Clone)]
pub(super) struct Lease {
    purpose: Arc<Purpose>,
    succession: Arc<Succession>,
    lanes: Vec<Lane<usize>>,
    rounds: Vec<Round>,
    /// How many of the rounds are those of holders that have handed the lock over.
    earlier_rounds: usize,
    pub(super) phase: Phase,
    pub(super) period: Period,
    pub(super) token: Option<FencingToken>,
    /// The largest token that had been granted when it started.
    pub(super) above: Option<FencingToken>,
    pub(super) extensions: u8,
    pub(super) hand_overs: u8,
}

/// What the future depends on, except for what concerns a single node: see [`Lease::digest`].
impl Hash for Lease {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.mode() == Mode::Shared).hash(state);
        self.phase.hash(state);
        if self.has_ended() {
            return;
        }
        for round in &self.rounds {
            round.command.operation.hash(state);
            round.command.token.hash(state);
        }
        if let Some(round) = self.awaited() {
            round.command.start.hash(state);
            round.votes.hash(state);
        }
        match self.phase {
            Phase::Acquiring | Phase::Raising(_) => {
                self.started_at().hash(state);
                self.above.hash(state);
            }
            Phase::Held | Phase::Extending => {
                self.period.hash(state);
                self.token.hash(state);
            }
            Phase::Ended => {}
        }
        (self.extensions, self.hand_overs, self.earlier_rounds).hash(state);
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
    command: Command,
    votes: CastVotes,
    nodes: [Asked; NODES],
}

/// What is known of the command of a round on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    /// It waits in the lane.
    Not,
    /// It was sent, and its answer counts.
    Awaited,
    /// The round is over for this node, which has granted or not.
    Voted { granted: bool },
}

/// A command that is sent: the number of its round, and its node.
pub(super) type Sent = (usize, usize);

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
    ) -> (Self, Vec<Sent>) {
        let (request, now) = (setting.request(mode), instant(time));
        let purpose = Purpose::new(request, 0, 1, value(number, setting), false);
        let mut lease = Self {
            period: Period::new(now, &purpose.options.timing),
            purpose: Arc::new(purpose),
            succession: Arc::new(Succession::new(now)),
            lanes: (0..NODES).map(|_| Lane::new(Key::absent())).collect(),
            rounds: Vec::new(),
            earlier_rounds: 0,
            phase: Phase::Acquiring,
            token: None,
            above,
            extensions: setting.budget.extensions,
            hand_overs: setting.budget.hand_overs,
        };
        let commands = lease.send(Command::acquire(now), setting, time);
        (lease, commands)
    }

    pub(super) fn mode(&self) -> Mode {
        self.entry().mode
    }

    /// What the nodes are asked about.
    pub(super) fn entry(&self) -> &Entry {
        &self.purpose.entry
    }

    pub(super) fn value(&self) -> &OwnerValue {
        &self.entry().value
    }

    fn timing(&self) -> &Timing {
        &self.purpose.options.timing
    }

    fn started_at(&self) -> Instant {
        self.succession.started_at()
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
                Asked::Voted { .. } if round.command.operation != Operation::Extend => {
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
                let Command {
                    operation, token, ..
                } = round.command;
                (operation, token, round.nodes[node]).hash(hasher);
            }
        }
    }

    /// Adds a message to a hash. After the end, it does not matter how many rounds there were.
    pub(super) fn hash_message<H: Hasher>(&self, message: &Message, hasher: &mut H) {
        if self.has_ended() {
            let Command {
                operation, token, ..
            } = self.rounds[message.round].command;
            let is_awaited = self.awaits(message.round, message.node);
            (operation, token, is_awaited).hash(hasher);
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
        (self.mode() == Mode::Shared, phase, holds)
    }

    /// Adds everything to a hash, as it is.
    pub(super) fn hash_plainly<H: Hasher>(&self, state: &mut H) {
        (self.mode() == Mode::Shared).hash(state);
        (self.phase, self.period, self.started_at()).hash(state);
        (self.token, self.above, self.extensions, self.hand_overs).hash(state);
        (self.earlier_rounds, &self.lanes).hash(state);
        for Round {
            command,
            votes,
            nodes,
        } in &self.rounds
        {
            (command.operation, command.token, command.start).hash(state);
            (votes, nodes).hash(state);
        }
    }

    /// Whether its holder believes that it holds the lock.
    pub(super) fn believes(&self, time: u32) -> bool {
        self.is_held() && self.period.is_valid(instant(time))
    }

    pub(super) fn may_be_extended(&self, setting: &Setting, time: u32) -> bool {
        let may_begin = || self.period.is_valid(clock(setting, time));
        self.phase == Phase::Held && self.extensions > 0 && may_begin()
    }

    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    pub(super) const fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held | Phase::Extending)
    }

    pub(super) fn operation(&self, round: usize) -> Operation {
        self.rounds[round].command.operation
    }

    pub(super) fn token_of(&self, round: usize) -> Option<FencingToken> {
        self.rounds[round].command.token
    }

    /// The verdict that the lease waits for, if it is clear.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let round = self.awaited()?;
        round.votes.verdict()
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

    /// Whether the time limit of the round that it waits for may be over. That of an extension may
    /// be shorter than a tick.
    pub(super) fn may_have_waited(&self, time: u32) -> bool {
        let has_waited = |round: &Round| round.command.start < instant(time);
        self.phase == Phase::Extending || self.awaited().is_some_and(has_waited)
    }

    /// Ends the wait for a verdict because its time is over.
    pub(super) fn time_out(&mut self) {
        if let Some(round) = self.rounds.last_mut() {
            round.votes.end();
        }
    }

    /// Acts on a verdict. Returns the result, and the commands that it sends.
    pub(super) fn decide(&mut self, setting: &Setting, time: u32) -> (Outcome, Vec<Sent>) {
        let round = self.rounds.last_mut().expect("a round");
        let verdict = round.votes.end_if_clear().expect("a verdict");
        let start = round.command.start;
        match self.phase {
            Phase::Extending => self.extended(verdict, start, setting, time),
            _ => self.acquired(verdict, setting, time),
        }
    }

    fn acquired(&mut self, verdict: Verdict, setting: &Setting, time: u32) -> (Outcome, Vec<Sent>) {
        let now = instant(time);
        let start = if setting.has(Flaw::ValidityFromTheReply) {
            now
        } else {
            self.started_at()
        };
        let until = self.until_from(start, setting);
        let raised_to = match self.phase {
            Phase::Raising(token) => Some(token),
            _ => None,
        };
        let counters = || (self.entry().fenced).then(|| self.counters(setting));
        let is_in_time = self.timing().is_enough(now, until);
        match decide(verdict, raised_to, counters, is_in_time) {
            Decision::Held(token) => {
                self.token = token;
                self.period.begin(until);
                self.phase = Phase::Held;
                if self.above.is_none() {
                    for _ in 0..setting.early_hand_overs {
                        self.succeed(setting, time);
                    }
                }
                (Outcome::Granted, Vec::new())
            }
            Decision::Raise(token) => {
                self.phase = Phase::Raising(token);
                let commands = self.send(Command::raise(token, now), setting, time);
                (Outcome::Other, commands)
            }
            Decision::Failed(_) => (Outcome::Other, self.release(setting, time)),
        }
    }

    fn counters(&self, setting: &Setting) -> Agreement {
        match agreement(&self.lanes) {
            Agreement::Raise(token) if setting.has(Flaw::LargestNumber) => Agreement::Token(token),
            agreement => agreement,
        }
    }

    fn until_from(&self, start: Instant, setting: &Setting) -> Instant {
        let timing = self.timing();
        let until = timing.until_from(start, timing.expiry());
        if setting.has(Flaw::TooLittleDrift) {
            until + timing.drift(timing.expiry())
        } else {
            until
        }
    }

    fn extended(
        &mut self,
        verdict: Verdict,
        start: Instant,
        setting: &Setting,
        time: u32,
    ) -> (Outcome, Vec<Sent>) {
        self.phase = Phase::Held;
        let verdict = match verdict {
            Verdict::Unavailable if setting.has(Flaw::UnclearExtension) => Verdict::Granted,
            verdict => verdict,
        };
        let (now, until) = (clock(setting, time), self.until_from(start, setting));
        let effect = self.period.extended(verdict, now, until);
        let heals = self.purpose.options.kind.heals;
        let mut commands = Vec::new();
        if extended(&mut self.lanes, effect, start, heals) {
            commands = self.send(Command::heal(self.token, instant(time)), setting, time);
            // Nobody waits for the answers.
            self.rounds.last_mut().expect("the heal").votes.abandon();
        }
        match effect {
            Extended::Prolonged => (Outcome::Prolonged, commands),
            Extended::Refused => {
                self.period.cut_short(instant(time));
                (Outcome::Other, commands)
            }
            Extended::TooLate | Extended::Unclear => (Outcome::Other, commands),
        }
    }

    /// Starts an extension. Returns the commands that it sends.
    pub(super) fn extend(&mut self, setting: &Setting, time: u32) -> Vec<Sent> {
        self.extensions -= 1;
        self.phase = Phase::Extending;
        let is_extension = |round: &&Round| round.command.operation == Operation::Extend;
        let earlier = self.rounds.last().filter(is_extension);
        let earlier = earlier.map(|round| round.nodes);
        let command = Command::extend(self.token, None, instant(time));
        let commands = self.send(command, setting, time);
        if let Some(nodes) = earlier.filter(|_| setting.has(Flaw::MergedExtensions)) {
            let round = self.rounds.last_mut().expect("the extension");
            for (node, asked) in nodes.into_iter().enumerate() {
                if asked == (Asked::Voted { granted: true }) && round.nodes[node] == Asked::Awaited
                {
                    round.vote(node, Vote::Granted);
                }
            }
        }
        commands
    }

    /// Ends the lease. Returns the commands that release its keys.
    pub(super) fn release(&mut self, setting: &Setting, time: u32) -> Vec<Sent> {
        let now = instant(time);
        self.phase = Phase::Ended;
        self.period.cut_short(now);
        if setting.has(Flaw::ReleaseAhead) {
            // The lanes forget what is under way.
            self.lanes = (0..NODES)
                .map(|_| Lane::new(Key::resumed(instant(0))))
                .collect();
            for round in &mut self.rounds {
                round.nodes = [Asked::Voted { granted: false }; NODES];
            }
        }
        self.send(Command::release(now), setting, time)
    }

    /// Hands the lock over to the next holder of this process, who starts now. Returns whether that
    /// is allowed.
    pub(super) fn hand_over(
        &mut self,
        setting: &Setting,
        time: u32,
        above: Option<FencingToken>,
    ) -> bool {
        let is_left = self.phase == Phase::Held && self.hand_overs > 0;
        if !is_left || !self.succeed(setting, time) {
            return false;
        }
        self.hand_overs -= 1;
        self.above = above;
        true
    }

    /// Becomes the lease of the next holder, if that is allowed. Returns whether it is.
    fn succeed(&mut self, setting: &Setting, time: u32) -> bool {
        let request = setting.request(self.mode());
        let held = Held {
            purpose: &self.purpose,
            succession: &self.succession,
            token: self.token,
            until: self.period.until(),
        };
        let limit = request.options.hand_over_time();
        let Some(next) = held.hand_over(request, limit, instant(time)) else {
            let goes_on = setting.has(Flaw::HandOverWithoutEnd) && self.believes(time);
            self.token = self
                .token
                .filter(|_| goes_on)
                .map(FencingToken::next)
                .or(self.token);
            return goes_on;
        };
        self.purpose = Arc::new(next.purpose);
        self.succession = Arc::new(next.succession);
        self.period = next.period;
        if !setting.has(Flaw::HandOverWithoutToken) {
            self.token = next.token;
        }
        self.earlier_rounds = self.rounds.len();
        true
    }

    /// Whether a command of this round is one of a lease that has ended.
    const fn is_over(&self, round: usize) -> bool {
        self.has_ended() || round < self.earlier_rounds
    }

    fn send(&mut self, command: Command, setting: &Setting, time: u32) -> Vec<Sent> {
        let number = self.rounds.len();
        let Command {
            operation, token, ..
        } = command;
        self.rounds.push(Round {
            command,
            votes: CastVotes::new(NODES, true),
            nodes: [Asked::Not; NODES],
        });
        let mut commands = Vec::new();
        for node in 0..NODES {
            let beginning = self.lanes[node].begin(operation, token, || number);
            commands.extend(self.begin(number, node, beginning, setting, time));
        }
        commands
    }

    /// Begins the command of a round on one node. Returns the commands that are sent.
    fn begin(
        &mut self,
        round: usize,
        node: usize,
        beginning: Beginning,
        setting: &Setting,
        time: u32,
    ) -> Vec<Sent> {
        match beginning {
            Beginning::Asks => self.ask(round, node, setting, time),
            Beginning::Waits => Vec::new(),
            Beginning::Votes(vote) => {
                self.rounds[round].vote(node, vote);
                Vec::new()
            }
        }
    }

    /// Asks a node, if the command may still be sent. Returns the commands that are sent.
    fn ask(&mut self, round: usize, node: usize, setting: &Setting, time: u32) -> Vec<Sent> {
        let (now, until) = (clock(setting, time), self.period.until());
        let is_over = self.is_over(round);
        let Round { command, nodes, .. } = &mut self.rounds[round];
        if command.may_be_sent(now, is_over, || until) {
            nodes[node] = Asked::Awaited;
            return vec![(round, node)];
        }
        self.answered(round, node, Err(NodeError::NotSent), setting, time)
    }

    /// Whether anything depends on the answer of a node to a round.
    pub(super) fn awaits(&self, round: usize, node: usize) -> bool {
        let Round { command, nodes, .. } = &self.rounds[round];
        let keeps_the_lane = !matches!(command.operation, Operation::Extend | Operation::Raise);
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
        match self.operation(round) {
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

    /// Takes an answer. Returns the commands that are sent now.
    pub(super) fn answered(
        &mut self,
        round: usize,
        node: usize,
        answer: NodeAnswer,
        setting: &Setting,
        time: u32,
    ) -> Vec<Sent> {
        let (operation, is_fenced) = (self.operation(round), self.entry().fenced);
        let answered = self.lanes[node].answered(operation, answer, is_fenced, instant(time));
        self.settled(round, node, answered, setting, time)
    }

    /// Stops waiting for the answer of a node. Returns the commands that are sent now.
    pub(super) fn give_up(
        &mut self,
        round: usize,
        node: usize,
        setting: &Setting,
        time: u32,
    ) -> Vec<Sent> {
        let Command {
            operation, start, ..
        } = self.rounds[round].command;
        let until = self.purpose.pursuit().end(operation, start, start);
        let unanswered = self.lanes[node].unanswered(operation, until, instant(time));
        self.settled(round, node, unanswered, setting, time)
    }

    fn settled(
        &mut self,
        round: usize,
        node: usize,
        (settled, next): (Settled, Next<usize>),
        setting: &Setting,
        time: u32,
    ) -> Vec<Sent> {
        let mut commands = Vec::new();
        let is_forgotten = setting.has(Flaw::ForgottenCommand);
        for (next, beginning) in next.into_iter().filter(|_| !is_forgotten) {
            commands.extend(self.begin(next, node, beginning, setting, time));
        }
        match settled {
            Settled::Vote(vote) => self.rounds[round].vote(node, vote),
            Settled::Repeat => commands.extend(self.ask(round, node, setting, time)),
            Settled::VoteAndRepeatAfter(vote, _) => {
                self.rounds[round].vote(node, vote);
                if !setting.has(Flaw::ReleaseOnce) {
                    commands.extend(self.ask(round, node, setting, time));
                }
            }
        }
        commands
    }

    /// The acquisitions that keep a lane, while commands wait in it.
    pub(super) fn keeping(&self) -> Vec<Sent> {
        let keeps = |round: &Round, node: usize| {
            matches!(
                round.command.operation,
                Operation::Acquire | Operation::Heal
            ) && round.nodes[node] == Asked::Awaited
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
    fn vote(&mut self, node: usize, vote: Vote) {
        let granted = matches!(vote, Vote::Granted);
        self.nodes[node] = Asked::Voted { granted };
        // Nothing that is modelled depends on the votes on a release, which may be repeated after
        // them.
        if self.command.operation != Operation::Release {
            self.votes.vote(node, vote);
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

/// What the clock shows when the validity is checked.
fn clock(setting: &Setting, time: u32) -> Instant {
    instant(if setting.has(Flaw::ExtensionAfterTheEnd) {
        0
    } else {
        time
    })
}
