//! The state that the checker explores, and how each [action](actions) changes it.

mod actions;
mod identity;
mod milestones;

use std::{array, fmt, sync::Arc};

use stateright::{Model, Property};

use super::{
    action::{Action, Step},
    flaw::Flaw,
    lease::{Lease, Outcome, Sent},
    message::Message,
    properties,
    server::{Away, Server},
    setting::{ATTEMPTS, Budget, EXPIRY_TICKS, LONG, NODES, Setting},
};
use crate::{
    FencingToken, Mode,
    node::{Answer, NodeError, Operation},
};

#[derive(Clone)]
pub(super) struct World {
    pub(super) servers: [Server; NODES],
    /// The leases of all clients. That of attempt `a` of client `c` has the number `c * ATTEMPTS +
    /// a`.
    pub(super) leases: Vec<Option<Lease>>,
    /// On their way, in an order that is the same for equal worlds.
    pub(super) messages: Vec<Message>,
    pub(super) time: u32,
    pub(super) left: Budget,
    /// The tokens that were granted, in order.
    pub(super) tokens: Vec<FencingToken>,
    pub(super) mistake: Option<Mistake>,
    /// Whether a lock was to be extended or healed that was over.
    pub(super) has_extended_late: bool,
    orders: Orders,
    is_plain: bool,
}

/// The numbers of the leases, in every order of clients that are alike.
pub(super) type Orders = Arc<[Vec<usize>]>;

/// Something that may never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mistake {
    /// A token is not larger than one that was granted before its attempt started.
    SmallToken,
    /// A token was granted twice.
    RepeatedToken,
    /// A lock that was lost is valid again.
    Revived,
    /// A lock is not valid when it is granted.
    GrantedLate,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("messages", &self.messages)
            .field("time", &self.time)
            .field("tokens", &self.tokens)
            .field("mistake", &self.mistake)
            .finish_non_exhaustive()
    }
}

impl World {
    fn new(setting: &Setting) -> Self {
        let mut servers: [Server; NODES] = array::from_fn(|_| Server::new());
        if setting.counters_differ {
            for (server, locks) in servers.iter_mut().zip([9, 8, 8]) {
                server.count(locks);
            }
        }
        Self {
            servers,
            leases: vec![None; setting.clients.len() * ATTEMPTS],
            messages: Vec::new(),
            time: 0,
            left: setting.budget,
            tokens: Vec::new(),
            mistake: None,
            has_extended_late: false,
            orders: setting.orders(),
            is_plain: setting.is_plain,
        }
    }

    /// The leases, with their numbers.
    pub(super) fn leases(&self) -> impl Iterator<Item = (usize, &Lease)> {
        let leases = self.leases.iter().enumerate();
        leases.filter_map(|(number, lease)| Some((number, lease.as_ref()?)))
    }

    /// Whether all leases have ended, and all messages have arrived.
    pub(super) fn is_settled(&self) -> bool {
        let have_ended = || (self.leases()).all(|(_, lease)| lease.has_ended());
        self.messages.is_empty() && have_ended()
    }

    /// Whether it is settled, and all nodes are up.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_settled() && self.servers.iter().all(|server| server.away.is_none())
    }

    /// Whether one more attempt gets the lock after an expiry, if all its messages arrive, in
    /// order.
    pub(super) fn grants_a_fresh_attempt(&self, setting: &Setting) -> bool {
        let mut world = self.clone();
        world.time += EXPIRY_TICKS;
        let number = world.leases.len();
        world.leases.push(None);
        world.start(number, Mode::Exclusive, setting);
        while !world.lease(number).is_held() {
            if !world.messages.is_empty() {
                let message = world.messages.remove(0);
                world.deliver(message, setting);
            } else if world.lease(number).verdict().is_some() {
                world.decide(number, setting);
            } else {
                return false;
            }
        }
        world.mistake.is_none()
    }

    fn lease(&mut self, number: usize) -> &mut Lease {
        let lease = self.leases[number].as_mut();
        lease.expect("a lease that has started")
    }

    /// The number of the next attempt of a client, if it may make one.
    fn next_attempt(&self, client: usize, setting: &Setting) -> Option<usize> {
        let first = client * ATTEMPTS;
        let mut numbers = first..first + setting.clients[client].attempts;
        let next = numbers.find(|number| self.leases[*number].is_none())?;
        let has_ended = |lease: &Option<Lease>| lease.as_ref().is_some_and(Lease::has_ended);
        (next == first || has_ended(&self.leases[next - 1])).then_some(next)
    }

    fn act(&mut self, step: Step, setting: &Setting) {
        let time = self.time;
        let action = self.hear(step, setting);
        match action {
            Action::Start { client } => {
                let number = self.next_attempt(client, setting);
                let number = number.expect("an attempt that is left");
                self.start(number, setting.clients[client].mode, setting);
            }
            Action::Deliver { message } => {
                let message = self.messages.remove(message);
                self.deliver(message, setting);
            }
            Action::Duplicate { message } => {
                self.left.duplicates -= 1;
                let message = self.messages[message].clone();
                self.deliver(message, setting);
            }
            Action::Decide { lease } => self.decide(lease, setting),
            Action::TimeOut { lease } => {
                self.left.time_outs = self.left.time_outs.map(|left| left - 1);
                self.lease(lease).time_out();
                self.decide(lease, setting);
            }
            Action::GiveUp { lease, round, node } => {
                self.left.give_ups -= 1;
                let commands = self.lease(lease).give_up(round, node, setting, time);
                self.send(lease, commands);
            }
            Action::Extend { lease } => {
                let commands = self.lease(lease).extend(setting, time);
                self.send(lease, commands);
            }
            Action::HandOver { lease } => {
                let above = self.tokens.iter().max().copied();
                self.lease(lease).hand_over(setting, time, above);
                self.note_grant(lease);
            }
            Action::Release { lease } => {
                let commands = self.lease(lease).release(setting, time);
                self.send(lease, commands);
            }
            Action::Tick { ahead } => {
                self.left.ticks -= 1;
                self.time += 1;
                if let Some(node) = ahead {
                    self.left.ticks_ahead -= 1;
                    self.servers[node].ahead += 1;
                }
            }
            Action::Expire { node } => {
                self.left.expiries -= 1;
                self.servers[node].ahead += EXPIRY_TICKS;
            }
            Action::LoseData { node } => {
                self.left.losses -= 1;
                self.servers[node].lose_data();
                let stays_away = !setting.has(Flaw::InstantRestart);
                self.servers[node].away = stays_away.then_some(Away::Empty { since: time });
            }
            Action::Crash { node } => {
                self.left.crashes -= 1;
                self.crash(node, setting);
            }
            Action::Return { node } => {
                let was_empty = self.servers[node].away != Some(Away::Crashed);
                self.servers[node].away = None;
                if was_empty && !setting.is_timed() {
                    for server in &mut self.servers {
                        server.ahead += LONG;
                    }
                }
            }
        }
        self.tidy();
        self.settle(setting);
    }

    /// Lets the answers arrive that are heard before an action. Returns the action, with the place
    /// of its message after that.
    fn hear(&mut self, step: Step, setting: &Setting) -> Action {
        let Step { heard, action } = step;
        let heard_answers: Vec<_> = (heard.iter().rev())
            .map(|message| self.messages.remove(message))
            .collect();
        for message in heard_answers.into_iter().rev() {
            let lease = self.leases[message.lease].as_mut();
            let lease = lease.expect("a lease that has asked");
            lease.hear(message, setting, self.time);
        }
        match action {
            Action::Deliver { message } => Action::Deliver {
                message: heard.place_without(message),
            },
            other => other,
        }
    }

    /// Whether an answer changes nothing but what its lease knows: nothing is sent because of it,
    /// and nothing depends on the time at which it arrives. See [`Step`].
    pub(super) fn is_private(&self, message: &Message, setting: &Setting) -> bool {
        let lease = self.leases[message.lease].as_ref();
        let lease = lease.expect("a lease that has asked");
        !setting.is_plain && lease.takes_privately(message, setting, self.time)
    }

    /// Lets those messages arrive for which it makes no difference when they do.
    fn settle(&mut self, setting: &Setting) {
        while let Some(message) =
            (self.messages.iter()).position(|message| self.arrives_at_once(message, setting))
        {
            let message = self.messages.remove(message);
            self.deliver(message, setting);
            self.tidy();
        }
    }

    fn arrives_at_once(&self, message: &Message, setting: &Setting) -> bool {
        let lease = self.leases[message.lease].as_ref();
        let lease = lease.expect("a lease that has asked");
        if setting.is_plain {
            false
        } else if message.answer.is_some() {
            // What may be sent because of it may be on its way for as long as the answer. If a
            // crash loses it, it is sent again. That somebody gives up waiting for the answer leads
            // to the same, with fewer events left.
            lease.acts_on_no_answer(message.round)
        } else {
            self.is_needless(message, lease, setting)
        }
    }

    /// Whether a command is a release that finds no key, and would find none later.
    fn is_needless(&self, message: &Message, lease: &Lease, setting: &Setting) -> bool {
        lease.operation(message.round) == Operation::Release
            && setting.releases_only_own_keys()
            && self.servers[message.node].away.is_none()
            && !self.keeps_key(message.lease, message.node)
    }

    /// Whether a node has the key of a lease that has ended, or a command is on its way that can
    /// set it.
    fn keeps_key(&self, number: usize, node: usize) -> bool {
        let Some(lease) = &self.leases[number] else {
            return false;
        };
        let is_to_it = |it: &&Message| (it.lease, it.node) == (number, node);
        let sets_key = |it: &Message| {
            let operation = lease.operation(it.round);
            it.answer.is_none() && matches!(operation, Operation::Acquire | Operation::Heal)
        };
        self.servers[node].has_holder(lease.value(), self.time)
            || self.messages.iter().filter(is_to_it).any(sets_key)
    }

    fn start(&mut self, number: usize, mode: Mode, setting: &Setting) {
        let above = self.tokens.iter().max().copied();
        let (lease, commands) = Lease::start(number, mode, setting, self.time, above);
        self.leases[number] = Some(lease);
        self.send(number, commands);
    }

    fn send(&mut self, lease: usize, commands: Vec<Sent>) {
        let time = self.time;
        let sender = self.lease(lease);
        let extends = |(round, _): &Sent| {
            matches!(
                sender.operation(*round),
                Operation::Extend | Operation::Heal
            )
        };
        if commands.iter().any(extends) && !sender.believes(time) {
            self.has_extended_late = true;
        }
        let message = |(round, node)| Message {
            lease,
            round,
            node,
            answer: None,
        };
        self.messages.extend(commands.into_iter().map(message));
    }

    /// Lets a command arrive at its server, or an answer at its lease.
    fn deliver(&mut self, mut message: Message, setting: &Setting) {
        let (number, round, node) = (message.lease, message.round, message.node);
        let time = self.time;
        if let Some(answer) = message.answer {
            // A release is repeated for as long as its key may still be set. The repetitions that
            // would find nothing are skipped.
            let is_last = matches!(answer, Answer::Release(_)) && !self.keeps_key(number, node);
            let time = if is_last { time + LONG } else { time };
            let commands = (self.lease(number)).answered(round, node, Ok(answer), setting, time);
            self.send(number, commands);
            return;
        }
        let lease = self.leases[number].as_mut();
        let lease = lease.expect("a lease that has asked");
        let (operation, token) = (lease.operation(round), lease.token_of(round));
        let server = &mut self.servers[node];
        let answer = server.carry_out(operation, lease.entry(), token, time, setting.flaw);
        message.answer = Some(answer);
        self.messages.push(message);
    }

    /// Crashes a node. Commands that it has not carried out are lost; answers may still arrive.
    fn crash(&mut self, node: usize, setting: &Setting) {
        let time = self.time;
        self.servers[node].away = Some(Away::Crashed);
        let is_lost = |message: &mut Message| message.node == node && message.answer.is_none();
        let lost: Vec<_> = self.messages.extract_if(.., is_lost).collect();
        for Message { lease, round, .. } in lost {
            if self.lease(lease).awaits(round, node) {
                let late = Err(NodeError::TimedOut);
                let commands = (self.lease(lease)).answered(round, node, late, setting, time);
                self.send(lease, commands);
            }
        }
    }

    fn decide(&mut self, number: usize, setting: &Setting) {
        let time = self.time;
        let lease = self.lease(number);
        let was_lost = lease.is_held() && !lease.believes(time);
        let (outcome, commands) = lease.decide(setting, time);
        let is_valid = lease.believes(time);
        if setting.is_timed() && was_lost && is_valid {
            self.mistake = Some(Mistake::Revived);
        }
        if outcome == Outcome::Granted {
            if !is_valid {
                self.mistake = Some(Mistake::GrantedLate);
            }
            self.note_grant(number);
        }
        self.send(number, commands);
    }

    /// Checks the token of a lease that has just been granted.
    fn note_grant(&mut self, number: usize) {
        let lease = self.lease(number);
        let (token, above) = (lease.token, lease.above);
        let Some(token) = token else {
            return;
        };
        if above.is_some_and(|above| token <= above) {
            self.mistake = Some(Mistake::SmallToken);
        }
        if self.tokens.contains(&token) {
            self.mistake = Some(Mistake::RepeatedToken);
        }
        self.tokens.push(token);
        self.tokens.sort_unstable();
    }

    /// Removes what nothing depends on any longer: answers that nobody awaits.
    fn tidy(&mut self) {
        let leases = &self.leases;
        self.messages.retain(|message| {
            let lease = leases[message.lease].as_ref();
            let lease = lease.expect("a lease that has asked");
            message.answer.is_none() || lease.awaits(message.round, message.node)
        });
        self.messages.sort_unstable();
    }
}

impl Model for Setting {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let start = self.start.as_deref().cloned();
        vec![start.unwrap_or_else(|| World::new(self))]
    }

    fn actions(&self, state: &World, steps: &mut Vec<Step>) {
        if state.mistake.is_none() {
            state.steps(self, steps);
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        world.act(step, self);
        if let Some(reached) = &self.reached {
            let (appearance, is_settled) = (world.appearance(), world.is_settled());
            let seen = [(appearance, false), (appearance, is_settled)];
            reached.lock().unwrap().extend(seen);
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}
