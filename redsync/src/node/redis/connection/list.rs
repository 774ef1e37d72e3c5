//! The commands that wait to be sent over a connection.

use std::{
    collections::VecDeque,
    mem,
    task::{Context, Waker},
    time::Duration,
};

use redis::RedisResult;
use tokio::time::Instant;

use super::{health::Health, item::Item};
use crate::sync::{Mutex, MutexGuard};

/// A connection that has been idle for this long may have been closed by the server in the
/// meantime.
const RESTED: Duration = Duration::from_micros(200);

/// The list, and the health of its connection.
pub(super) struct List(Mutex<State>);

struct State {
    waiting: VecDeque<Item>,
    /// Wakes the collector. None while the collector is running.
    collector: Option<Waker>,
    /// Whether the list takes no more commands.
    is_closed: bool,
    /// Whether the connection had been idle for a while when a command was added.
    has_rested: bool,
    health: Health,
}

/// What the collector finds in the list.
pub(super) enum Found {
    /// There are commands to send.
    Commands,
    Nothing,
    /// There is nothing, and there will never be anything.
    End,
}

impl List {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            waiting: VecDeque::new(),
            collector: None,
            is_closed: false,
            has_rested: false,
            health: Health::new(Instant::now()),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    pub(super) fn health(&self) -> Health {
        self.state().health
    }

    /// Whether the list takes no more commands.
    pub(super) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Adds an item, or returns it if the list is closed or the connection may not be used. That
    /// depends on its health, and on how many items wait already.
    pub(super) fn push_if<T: Into<Item>>(
        &self,
        may_be_used: impl FnOnce(&Health, usize) -> bool,
        now: Instant,
        item: T,
    ) -> Result<(), T> {
        let mut state = self.state();
        if state.is_closed || !may_be_used(&state.health, state.waiting.len()) {
            return Err(item);
        }
        state.has_rested |= state.health.rest(now) > RESTED;
        state.health.sent(now);
        state.waiting.push_back(item.into());
        let collector = state.collector.take();
        drop(state);
        if let Some(collector) = collector {
            collector.wake();
        }
        Ok(())
    }

    /// Adds an item again, for its next command.
    pub(super) fn push_again(&self, item: Item) {
        self.state().waiting.push_back(item);
    }

    /// Looks for commands. If there are none, the collector is woken when one is added.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Found {
        let mut state = self.state();
        if !state.waiting.is_empty() {
            return Found::Commands;
        }
        match &mut state.collector {
            Some(waker) => waker.clone_from(cx.waker()),
            waker @ None => *waker = Some(cx.waker().clone()),
        }
        if state.is_closed {
            Found::End
        } else {
            Found::Nothing
        }
    }

    /// Moves the first items to the end of `items`, up to this number.
    pub(super) fn take(&self, items: &mut Vec<Item>, most: usize) {
        let waiting = &mut self.state().waiting;
        items.extend(waiting.drain(..most.min(waiting.len())));
    }

    /// Whether the connection had been idle when a command was added. Reported once.
    pub(super) fn take_rested(&self) -> bool {
        mem::take(&mut self.state().has_rested)
    }

    /// Closes the list: it takes no more commands.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let collector = state.collector.take();
        drop(state);
        if let Some(collector) = collector {
            collector.wake();
        }
    }

    /// Closes the list, and takes the items that the collector has not taken.
    pub(super) fn close_and_take(&self) -> VecDeque<Item> {
        self.close();
        mem::take(&mut self.state().waiting)
    }

    /// Counts a command that is sent without the list.
    pub(super) fn sent(&self) {
        self.state().health.sent(Instant::now());
    }

    /// Notes a sign of life: any reply, or any error but a time-out.
    pub(super) fn heard<T>(&self, reply: &RedisResult<T>) {
        if !matches!(reply, Err(error) if error.is_timeout()) {
            self.state().health.heard(Instant::now());
        }
    }

    /// Counts this number of commands as answered, or as not sent after all.
    pub(super) fn over(&self, commands: usize) {
        self.state().health.over(commands);
    }

    /// Counts this number of commands as no longer waited for.
    pub(super) fn abandoned(&self, commands: usize) {
        self.state().health.abandoned(commands);
    }

    /// Uses the connection until then, although it is silent.
    pub(super) fn trust_until(&self, until: Instant) {
        self.state().health.trust_until(until);
    }
}
