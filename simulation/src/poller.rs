//! A client that polls, as those of go-redsync do. It is a process of its own, and has no queue.

use std::sync::Arc;

use fastrand::Rng;
use futures_util::future::join_all;
use redsync::node::{AcquireVote, Entry, Node};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Flaw,
    chance::{ms, whole},
    link::{Link, Sender},
    process::World,
    setting::{EXPIRY, NAMES, NODE_TIMEOUT},
};
use crate::history::{Call, End, Wants, What};

pub(super) struct Poller {
    world: Arc<World>,
    links: Vec<Link>,
    rng: Rng,
    process: u32,
    calls: u64,
}

impl Poller {
    pub(super) fn new(world: &Arc<World>, mut rng: Rng) -> Self {
        let process = world.next_process();
        world.recorder.record(What::Polls { process });
        Self {
            links: world.links(&Arc::new(Sender::new()), &mut rng),
            process,
            world: Arc::clone(world),
            calls: 0,
            rng,
        }
    }

    pub(super) async fn live(mut self) -> Result<(), String> {
        while Instant::now() < self.world.end {
            sleep(whole(&mut self.rng, 0, 8_000)).await;
            self.section().await;
        }
        Ok(())
    }

    async fn section(&mut self) {
        let call = Call {
            process: self.process,
            number: self.calls,
        };
        self.calls += 1;
        let name = NAMES[self.rng.usize(..2)];
        let recorder = self.world.recorder.clone();
        let wants = Wants::Exclusive([name.into()].into());
        recorder.record(What::Waits { call, wants });
        let (entry, until) = loop {
            let value = format!("{:032x}", self.rng.u128(..));
            let entry = Entry::new(name, value.as_str().into(), EXPIRY);
            if let Some(until) = self.attempt(&entry).await {
                break (entry, until);
            }
            if Instant::now() >= self.world.end {
                recorder.record(What::Leaves { call });
                return;
            }
            sleep(whole(&mut self.rng, 50, 250)).await;
        };
        let until_recorded = recorder.instant(until);
        recorder.record(What::Holds {
            call,
            until: until_recorded,
            token: None,
            permit: None,
            resumes: None,
        });
        sleep(whole(&mut self.rng, 0, 30)).await;
        let until = if self.world.is(Flaw::ExtensionAfterTheEnd) {
            self.extend_late(call, &entry, until).await
        } else {
            until
        };
        let is_lost = Instant::now() >= until;
        recorder.record(What::Ends {
            call,
            until: recorder.instant(until),
            end: if is_lost { End::Lost } else { End::Released },
        });
        self.release(&entry).await;
    }

    /// Returns up to when it holds the lock, if it does.
    async fn attempt(&self, entry: &Entry) -> Option<Instant> {
        let start = Instant::now();
        let votes = join_all(self.links.iter().map(async |link| {
            let vote = timeout(NODE_TIMEOUT, link.acquire(entry)).await;
            matches!(vote, Ok(Ok(AcquireVote::Acquired { .. })))
        }));
        let granted = votes.await.into_iter().filter(|vote| *vote).count();
        // As go-redsync has it.
        let until = start + EXPIRY - EXPIRY / 100 - ms(2);
        if granted > self.links.len() / 2 && Instant::now() < until {
            return Some(until);
        }
        self.release(entry).await;
        None
    }

    async fn release(&self, entry: &Entry) {
        join_all(
            self.links
                .iter()
                .map(|link| timeout(NODE_TIMEOUT, link.release(entry))),
        )
        .await;
    }

    async fn extend_late(&self, call: Call, entry: &Entry, until: Instant) -> Instant {
        sleep(until.saturating_duration_since(Instant::now()) + ms(5)).await;
        let (since, start) = (self.world.recorder.now(), Instant::now());
        let votes = join_all(self.links.iter().map(async |link| {
            let vote = timeout(NODE_TIMEOUT, link.extend(entry, None, true)).await;
            matches!(
                vote,
                Ok(Ok(
                    redsync::node::ExtendVote::Healed | redsync::node::ExtendVote::Extended
                ))
            )
        }));
        if votes.await.into_iter().filter(|vote| *vote).count() <= self.links.len() / 2 {
            return until;
        }
        let until = start + EXPIRY - EXPIRY / 50;
        self.world.recorder.record(What::Extends {
            call,
            since,
            until: self.world.recorder.instant(until),
        });
        until
    }
}
