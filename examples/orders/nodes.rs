//! Which nodes answer.

use std::time::Duration;

use redsync_tower::redsync::{Redsync, Vote};
use serde::Serialize;
use tokio::{sync::watch, time};

/// How often the nodes are asked while somebody looks at the page.
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NodeState {
    pub(crate) address: String,
    pub(crate) answers: bool,
    /// What to tell a person.
    pub(crate) state: String,
}

/// The states of the nodes, for all who look at the page.
#[derive(Clone)]
pub(crate) struct Nodes {
    redsync: Redsync,
    states: watch::Sender<Vec<NodeState>>,
}

impl Nodes {
    /// Asks the nodes for the first time.
    pub(crate) async fn new(redsync: Redsync) -> Self {
        let states = watch::Sender::new(probe(&redsync).await);
        Self { redsync, states }
    }

    pub(crate) async fn probe(&self) -> Vec<NodeState> {
        probe(&self.redsync).await
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        let states = self.states.borrow();
        states.iter().map(|node| node.address.clone()).collect()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Vec<NodeState>> {
        self.states.subscribe()
    }

    /// Logs which nodes answer. The service starts even if nodes are down, because they may come back.
    pub(crate) fn report(&self) {
        let states = self.states.borrow();
        for node in states.iter().filter(|node| !node.answers) {
            tracing::warn!("the node {} {}", node.address, node.state);
        }
        let answering = states.iter().filter(|node| node.answers).count();
        let quorum = states.len() / 2 + 1;
        if answering < quorum {
            tracing::error!(
                "{answering} nodes answer and {quorum} are needed; until then, requests that need a \
                 lock are answered with 503"
            );
        } else {
            tracing::info!("{answering} nodes answer");
        }
    }

    /// Asks the nodes again and again while somebody watches. Never ends.
    pub(crate) async fn keep_probing(self) {
        let mut period = time::interval(PERIOD);
        period.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            if self.states.receiver_count() > 0 {
                let states = self.probe().await;
                self.states.send_if_modified(|known| {
                    let changed = *known != states;
                    *known = states;
                    changed
                });
            }
        }
    }
}

async fn probe(redsync: &Redsync) -> Vec<NodeState> {
    let votes = redsync.probe().await;
    let states = votes.iter().map(|node| {
        let failure = match node.vote() {
            Vote::Failed(error) => Some(error.to_string()),
            _ => None,
        };
        NodeState {
            address: node.address().to_owned(),
            answers: failure.is_none(),
            state: failure.unwrap_or_else(|| "answers".to_owned()),
        }
    });
    states.collect()
}
