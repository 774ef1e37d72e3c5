//! What can happen next in a world.

use super::{
    super::{
        action::Action,
        flaw::Flaw,
        lease::{Lease, Phase},
        server::Away,
        setting::{ATTEMPTS, EXPIRY_TICKS, NODES, Setting},
    },
    World,
};

impl World {
    /// Adds the actions that are possible next.
    pub(super) fn actions(&self, setting: &Setting, actions: &mut Vec<Action>) {
        for client in 0..setting.clients.len() {
            if self.next_attempt(client, setting).is_some() {
                actions.push(Action::Start { client });
            }
            // Clients are alike, so they start in order.
            let has_started = self.leases[client * ATTEMPTS].is_some();
            let next_is_alike = setting.clients.get(client + 1) == Some(&setting.clients[client]);
            if next_is_alike && !has_started {
                break;
            }
        }
        self.message_actions(actions);
        for (number, lease) in self.leases() {
            self.lease_actions(number, lease, setting, actions);
        }
        self.server_actions(setting, actions);
        if self.left.ticks > 0 {
            actions.push(Action::Tick { ahead: None });
            let ahead = (0..NODES).filter(|_| self.left.ticks_ahead > 0);
            actions.extend(ahead.map(|node| Action::Tick { ahead: Some(node) }));
        }
    }

    fn message_actions(&self, actions: &mut Vec<Action>) {
        for (number, message) in self.messages.iter().enumerate() {
            let is_new = number == 0 || self.messages[number - 1] != *message;
            let is_up = self.servers[message.node].away.is_none();
            if is_new && (is_up || message.answer.is_some()) {
                actions.push(Action::Deliver { message: number });
                if self.left.duplicates > 0 && message.answer.is_none() {
                    actions.push(Action::Duplicate { message: number });
                }
            }
        }
    }

    fn lease_actions(
        &self,
        number: usize,
        lease: &Lease,
        setting: &Setting,
        actions: &mut Vec<Action>,
    ) {
        if lease.verdict().is_some() {
            actions.push(Action::Decide { lease: number });
        }
        let has_waited = !setting.is_timed() || lease.has_waited(self.time);
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
        let is_valid = !setting.is_timed() || lease.believes(self.time);
        if lease.phase == Phase::Held {
            if lease.extensions > 0 && (is_valid || setting.has(Flaw::ExtensionAfterTheEnd)) {
                actions.push(Action::Extend { lease: number });
            }
            if lease.hand_overs > 0 && is_valid {
                actions.push(Action::HandOver { lease: number });
            }
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
