//! What can happen next in a world.

use super::{
    super::{
        action::{Action, Answers, Step},
        lease::Lease,
        message::Message,
        server::Away,
        setting::{ATTEMPTS, EXPIRY_TICKS, NODES, Setting},
    },
    World,
};

impl World {
    /// Adds the steps that are possible next.
    pub(super) fn steps(&self, setting: &Setting, steps: &mut Vec<Step>) {
        let mut actions = Vec::new();
        for client in 0..setting.clients.len() {
            if self.next_attempt(client, setting).is_some() {
                actions.push(Action::Start { client });
            }
            // Clients are alike, so they start in order.
            let has_started = self.leases[client * ATTEMPTS].is_some();
            let next_is_alike = setting.clients.get(client + 1) == Some(&setting.clients[client]);
            if next_is_alike && !has_started && !setting.is_plain {
                break;
            }
        }
        self.command_actions(&mut actions);
        self.server_actions(setting, &mut actions);
        if self.left.ticks > 0 {
            actions.push(Action::Tick { ahead: None });
            let ahead = (0..NODES).filter(|_| self.left.ticks_ahead > 0);
            actions.extend(ahead.map(|node| Action::Tick { ahead: Some(node) }));
        }
        steps.extend(actions.into_iter().map(Step::from));
        for (number, lease) in self.leases() {
            self.lease_steps(number, lease, setting, steps);
        }
    }

    /// The messages that are not the same as the one before.
    fn different_messages(&self) -> impl Iterator<Item = (usize, &Message)> {
        let messages = self.messages.iter().enumerate();
        messages.filter(|(place, message)| {
            let before = place.checked_sub(1).map(|before| &self.messages[before]);
            before != Some(*message)
        })
    }

    fn command_actions(&self, actions: &mut Vec<Action>) {
        for (place, message) in self.different_messages() {
            if message.answer.is_none() && self.servers[message.node].away.is_none() {
                actions.push(Action::Deliver { message: place });
                if self.left.duplicates > 0 {
                    actions.push(Action::Duplicate { message: place });
                }
            }
        }
    }

    /// What a lease can do next, after any of the answers that it can hear without an effect on
    /// anything else.
    fn lease_steps(&self, number: usize, lease: &Lease, setting: &Setting, steps: &mut Vec<Step>) {
        let answers = (self.different_messages())
            .filter(|(_, message)| message.lease == number && message.answer.is_some());
        let (private, others): (Vec<_>, Vec<_>) =
            answers.partition(|(_, message)| self.is_private(message, setting));
        let places = |messages: Vec<(usize, &Message)>| -> Vec<usize> {
            messages.into_iter().map(|(place, _)| place).collect()
        };
        let (private, others) = (places(private), places(others));
        for heard in Answers::all_of(&private) {
            let mut lease = lease.clone();
            for message in heard.iter() {
                lease.hear(self.messages[message].clone(), setting, self.time);
            }
            let mut actions = Vec::new();
            if lease.verdict().is_some() {
                actions.push(Action::Decide { lease: number });
            }
            if lease.may_be_extended(setting, self.time) {
                actions.push(Action::Extend { lease: number });
            }
            // Two answers of one node may be heard in either order.
            let is_of = |message: usize, node| self.messages[message].node == node;
            for message in &others {
                let node = self.messages[*message].node;
                if heard.iter().all(|heard| is_of(heard, node)) {
                    actions.push(Action::Deliver { message: *message });
                }
            }
            steps.extend(actions.into_iter().map(|action| Step { heard, action }));
        }
        let mut actions = Vec::new();
        self.lease_actions(number, lease, setting, &mut actions);
        steps.extend(actions.into_iter().map(Step::from));
    }

    /// What a lease can do next and does not depend on the answers that it has not heard.
    fn lease_actions(
        &self,
        number: usize,
        lease: &Lease,
        setting: &Setting,
        actions: &mut Vec<Action>,
    ) {
        let has_waited = !setting.is_timed() || lease.may_have_waited(self.time);
        if lease.is_waiting() && has_waited && self.left.time_outs != Some(0) {
            actions.push(Action::TimeOut { lease: number });
        }
        if self.left.give_ups > 0 {
            let give_up = |(round, node)| Action::GiveUp {
                lease: number,
                round,
                node,
            };
            actions.extend(lease.keeping().into_iter().map(give_up));
        }
        if lease.is_held() {
            actions.push(Action::Release { lease: number });
        }
        if lease.clone().hand_over(setting, self.time, None) {
            actions.push(Action::HandOver { lease: number });
        }
    }

    fn server_actions(&self, setting: &Setting, actions: &mut Vec<Action>) {
        for (node, server) in self.servers.iter().enumerate() {
            match server.away {
                Some(Away::Crashed) => actions.push(Action::Return { node }),
                Some(Away::Empty { since }) => {
                    if !setting.is_timed() || self.time >= since + EXPIRY_TICKS {
                        actions.push(Action::Return { node });
                    }
                }
                None => {
                    if self.left.losses > 0 {
                        actions.push(Action::LoseData { node });
                    }
                    if self.left.crashes > 0 {
                        actions.push(Action::Crash { node });
                    }
                }
            }
            if self.left.expiries > 0 && !server.is_free(self.time) {
                actions.push(Action::Expire { node });
            }
        }
    }
}
