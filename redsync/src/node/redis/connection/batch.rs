//! The commands of many locks, sent together in one write.
//!
//! Commands for one connection are put into a list. One task, the collector, takes the whole list
//! and sends it as one pipeline, without waiting for more commands. To redis-rs a pipeline is one
//! message, whose cost its commands share. The same task reads the replies, and counts each answer
//! for the lock that it belongs to.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::oneshot,
    task::yield_now,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::ReusableBoxFuture;

use super::{
    health::Health,
    replies::{failure, reply},
    shared::SharedConnection,
};
use crate::node::{NodeError, redis::exchange::Conversation};

/// How many commands are sent together at most. None of them is answered before the last one. (With
/// 512 tasks on three nodes, a limit of 16 yields 131,000 locks a second, 64 yields 140,000, 256
/// yields 150,000, and 1,024 yields 135,000.)
const MAX_TOGETHER: usize = 256;

/// A connection that has been idle for this long may have been closed by the server in the
/// meantime. The runtime polls the socket once before anything is sent over it.
const RESTED: Duration = Duration::from_millis(1);

/// How long to wait for the reply to a command whose caller sets no limit.
const MAX_PATIENCE: Duration = Duration::from_secs(60);

/// A connection that is shared by many commands.
pub(crate) struct Batch<C: SharedConnection> {
    connection: C,
    list: Arc<List>,
}

struct List(Mutex<State>);

struct State {
    waiting: Vec<Item>,
    /// Wakes the collector. None while the collector is running.
    collector: Option<Waker>,
    /// Whether the list takes no more commands.
    is_closed: bool,
    /// Whether the connection had been idle for a while when a command was added.
    has_rested: bool,
    health: Health,
}

/// One command in the list.
pub(crate) enum Item {
    /// A command about a lock. Its answer is counted where the reply is read.
    Conversation(Conversation),
    /// A command whose caller waits for the reply.
    Command(Cmd, oneshot::Sender<Result<Value, Undelivered>>),
}

/// Why a command has no reply.
#[derive(Debug)]
pub(crate) struct Undelivered {
    pub(crate) error: RedisError,
    /// Whether the command has certainly not been sent.
    pub(crate) is_unsent: bool,
}

impl Undelivered {
    /// The collector has ended, and the commands in its list with it.
    fn closed(is_unsent: bool) -> Self {
        Self {
            error: (redis::ErrorKind::Io, "the connection was abandoned").into(),
            is_unsent,
        }
    }
}

impl<C: SharedConnection> Batch<C> {
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn new(connection: C) -> Self {
        let list = Arc::new(List(Mutex::new(State {
            waiting: Vec::new(),
            collector: None,
            is_closed: false,
            has_rested: false,
            health: Health::new(Instant::now()),
        })));
        if C::PIPELINES {
            let collector = Collector {
                connection: connection.clone(),
                list: Arc::clone(&list),
                sent: Vec::new(),
                alarm: None,
                spares: Spares::default(),
                has_threads: Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread,
                is_busy: false,
            };
            tokio::spawn(collector.run());
        }
        Self { connection, list }
    }

    pub(crate) fn health(&self) -> Health {
        self.list.state().health
    }

    /// Whether the list takes no more commands.
    pub(crate) fn is_closed(&self) -> bool {
        self.list.state().is_closed
    }

    /// Adds an item to the list if the connection may be used. Returns whether it did.
    pub(crate) fn push_if(
        &self,
        may_be_used: impl FnOnce(&Health, Instant) -> bool,
        now: Instant,
        item: impl FnOnce() -> Item,
    ) -> bool {
        let mut state = self.list.state();
        if state.is_closed || !C::PIPELINES || !may_be_used(&state.health, now) {
            return false;
        }
        state.has_rested |= state.health.rest(now) > RESTED;
        state.health.sent(now);
        state.waiting.push(item());
        let collector = state.collector.take();
        drop(state);
        if let Some(collector) = collector {
            collector.wake();
        }
        true
    }

    /// Sends a command, and waits for its reply.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the command may or may not be sent.
    pub(crate) async fn send(&self, command: Cmd) -> Result<Value, Undelivered> {
        if C::PIPELINES {
            let (reply, answer) = oneshot::channel();
            let item = || Item::Command(command, reply);
            if !self.push_if(|_, _| true, Instant::now(), item) {
                return Err(Undelivered::closed(true));
            }
            return answer
                .await
                .unwrap_or_else(|_| Err(Undelivered::closed(false)));
        }
        let _counted = Counted::new(&self.list);
        let mut connection = self.connection.clone();
        let reply = connection.send_one(&command).await;
        self.list.heard(&reply);
        reply
            .and_then(Value::extract_error)
            .map_err(|error| Undelivered {
                error,
                is_unsent: false,
            })
    }
}

impl<C: SharedConnection> Drop for Batch<C> {
    /// Ends the collector once all its commands are answered.
    fn drop(&mut self) {
        self.list.close();
    }
}

impl List {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let collector = state.collector.take();
        drop(state);
        if let Some(collector) = collector {
            collector.wake();
        }
    }

    /// Notes a sign of life: any reply, or any error but a time-out.
    fn heard<T>(&self, reply: &RedisResult<T>) {
        if !matches!(reply, Err(error) if error.is_timeout()) {
            self.state().health.heard(Instant::now());
        }
    }
}

/// Counts a command as under way until it is dropped.
struct Counted<'a>(&'a List);

impl<'a> Counted<'a> {
    fn new(list: &'a List) -> Self {
        list.state().health.sent(Instant::now());
        Self(list)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.state().health.over(1);
    }
}

/// Sends the commands in the list, for as long as the [`Batch`] exists.
struct Collector<C: SharedConnection> {
    connection: C,
    list: Arc<List>,
    sent: Vec<Sent>,
    /// Fires no later than the first of the sent commands is abandoned. It may fire for nothing: to
    /// move it at each reply would cost more.
    alarm: Option<Pin<Box<Sleep>>>,
    spares: Spares,
    /// Whether other threads may add to the list while this task runs.
    has_threads: bool,
    /// Whether the last write contained several commands.
    is_busy: bool,
}

/// Commands that were sent together.
struct Sent {
    items: Vec<Item>,
    replies: ReusableBoxFuture<'static, Replies>,
    was_polled: bool,
    /// When to stop waiting for the replies.
    give_up_at: Instant,
}

/// The replies to commands that were sent together. A single command is returned for reuse.
enum Replies {
    One(RedisResult<Value>, Cmd),
    Many(RedisResult<Vec<Value>>),
}

/// Allocations of commands that have been answered, for reuse.
#[derive(Default)]
struct Spares {
    command: Option<Cmd>,
    items: Vec<Vec<Item>>,
    one: Vec<ReusableBoxFuture<'static, Replies>>,
    many: Vec<ReusableBoxFuture<'static, Replies>>,
}

/// How many spares of one kind are kept.
const MAX_SPARES: usize = 16;

fn keep<T>(spares: &mut Vec<T>, spare: T) {
    if spares.len() < MAX_SPARES {
        spares.push(spare);
    }
}

fn boxed(
    spare: Option<ReusableBoxFuture<'static, Replies>>,
    replies: impl Future<Output = Replies> + Send + 'static,
) -> ReusableBoxFuture<'static, Replies> {
    match spare {
        Some(mut spare) => {
            spare.set(replies);
            spare
        }
        None => ReusableBoxFuture::new(replies),
    }
}

impl<C: SharedConnection> Collector<C> {
    async fn run(mut self) {
        while poll_fn(|cx| self.poll_for_more(cx)).await {
            // After idle time: let the runtime poll its I/O first. If the server has closed the
            // connection, the connection's task learns of it now, and it is certain that a command
            // which follows was not sent.
            let has_rested = mem::take(&mut self.list.state().has_rested);
            // On a busy connection: let other threads add to the list, so that more commands share
            // a write. (With 512 tasks on two threads, this saves a third of the CPU time. On a
            // single thread, all tasks that are ready to add to the list have run before this one.)
            if has_rested || self.is_busy {
                yield_now().await;
            }
            self.send();
        }
    }

    /// Resolves to true when there is more to send, and to false when there will never be more.
    fn poll_for_more(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            let mut index = 0;
            while index < self.sent.len() {
                let sent = &mut self.sent[index];
                let is_first_poll = !mem::replace(&mut sent.was_polled, true);
                match sent.replies.poll(cx) {
                    Poll::Pending => index += 1,
                    Poll::Ready(replies) => {
                        let sent = self.sent.remove(index);
                        self.deliver(sent, replies, is_first_poll);
                    }
                }
            }
            if self.give_up_late(cx) {
                continue;
            }
            let mut state = self.list.state();
            if !state.waiting.is_empty() {
                return Poll::Ready(true);
            }
            if state.is_closed && self.sent.is_empty() {
                return Poll::Ready(false);
            }
            match &mut state.collector {
                Some(waker) => waker.clone_from(cx.waker()),
                waker @ None => *waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
    }

    /// Stops waiting for commands that have not been answered in time. Returns whether there were
    /// any.
    ///
    /// The connection still reads their replies and discards them, so later commands get their own
    /// replies.
    fn give_up_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(first) = self.sent.iter().map(|sent| sent.give_up_at).min() else {
            return false;
        };
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(sleep_until(first)));
        if alarm.deadline() > first {
            alarm.as_mut().reset(first);
        }
        if alarm.as_mut().poll(cx).is_pending() {
            return false;
        }
        let now = Instant::now();
        let mut given_up = 0;
        for late in self.sent.extract_if(.., |sent| sent.give_up_at <= now) {
            given_up += late.items.len();
            // Dropping a question reports it as unanswered.
            drop(late);
        }
        self.list.state().health.over(given_up);
        self.alarm = None;
        true
    }

    /// Sends all commands in the list. They are written when their future is first polled.
    fn send(&mut self) {
        let mut items = self.spares.items.pop().unwrap_or_default();
        mem::swap(&mut items, &mut self.list.state().waiting);
        self.is_busy = self.has_threads && items.len() > 1;
        while items.len() > MAX_TOGETHER {
            let rest = items.split_off(MAX_TOGETHER);
            self.send_together(items);
            items = rest;
        }
        self.send_together(items);
    }

    fn send_together(&mut self, mut items: Vec<Item>) {
        let before = items.len();
        items.retain_mut(Item::may_be_sent);
        if items.len() < before {
            self.list.state().health.over(before - items.len());
        }
        // The limit of the first command is used for all. Mostly they are about locks with the same
        // options; and if a command is abandoned too early, its release follows it on the same
        // connection.
        let patience = items.first().map(Item::patience);
        let give_up_at = Instant::now() + patience.unwrap_or_default();
        let mut connection = self.connection.clone();
        let replies = match &mut items[..] {
            [] => return keep(&mut self.spares.items, items),
            [item] => {
                let mut command = self.spares.command.take().unwrap_or_default();
                item.write(&mut command);
                boxed(self.spares.one.pop(), async move {
                    let reply = connection.send_one(&command).await;
                    Replies::One(reply, command)
                })
            }
            several => {
                let count = several.len();
                let mut pipeline = Pipeline::with_capacity(count);
                for item in several {
                    let mut command = Cmd::with_capacity(6, 128);
                    item.write(&mut command);
                    pipeline.add_command(command);
                }
                boxed(self.spares.many.pop(), async move {
                    Replies::Many(connection.send_many(&pipeline, count).await)
                })
            }
        };
        self.sent.push(Sent {
            items,
            replies,
            was_polled: false,
            give_up_at,
        });
    }

    /// Gives each command its reply.
    fn deliver(&mut self, sent: Sent, replies: Replies, is_first_poll: bool) {
        let Sent {
            mut items,
            replies: future,
            ..
        } = sent;
        match replies {
            Replies::One(reply, mut command) => {
                keep(&mut self.spares.one, future);
                command.clear();
                self.spares.command = Some(command);
                self.list.heard(&reply);
                match reply {
                    Ok(value) => self.answer(items.drain(..), [value]),
                    Err(error) => self.fail(items.drain(..), &error, is_first_poll),
                }
            }
            Replies::Many(replies) => {
                keep(&mut self.spares.many, future);
                self.list.heard(&replies);
                match replies {
                    Ok(values) => self.answer(items.drain(..), values),
                    Err(error) => self.fail(items.drain(..), &error, is_first_poll),
                }
            }
        }
        keep(&mut self.spares.items, items);
    }

    fn answer(
        &self,
        items: impl ExactSizeIterator<Item = Item>,
        values: impl IntoIterator<Item = Value>,
    ) {
        let count = items.len();
        let mut again = 0;
        for (item, value) in items.zip(values) {
            let value = value.extract_error();
            // The server has become a replica.
            if !C::RECONNECTS && matches!(&value, Err(error) if error.code() == Some("READONLY")) {
                self.list.state().is_closed = true;
            }
            if let Some(item) = item.reply(value) {
                self.list.state().waiting.push(item);
                again += 1;
            }
        }
        self.list.state().health.over(count - again);
    }

    fn fail(
        &self,
        items: impl ExactSizeIterator<Item = Item>,
        error: &RedisError,
        is_first_poll: bool,
    ) {
        // If the connection's task has ended, the error is there at the first poll, and nothing was
        // written. If the error comes later, the command may have been written.
        let is_unsent = C::SENDS_ONCE && is_first_poll && error.is_unrecoverable_error();
        if error.is_unrecoverable_error() && !C::RECONNECTS {
            self.list.state().is_closed = true;
        }
        let count = items.len();
        for item in items {
            item.fail::<C>(error.clone(), is_unsent);
        }
        self.list.state().health.over(count);
    }
}

impl<C: SharedConnection> Drop for Collector<C> {
    /// Runs also when the runtime shuts down. Nothing can be sent after that.
    fn drop(&mut self) {
        self.list.close();
        let waiting = mem::take(&mut self.list.state().waiting);
        for item in waiting {
            item.fail::<C>(Undelivered::closed(true).error, true);
        }
        for item in self.sent.drain(..).flat_map(|sent| sent.items) {
            item.fail::<C>(Undelivered::closed(false).error, false);
        }
    }
}

impl Item {
    /// How long to wait for the reply.
    fn patience(&self) -> Duration {
        match self {
            Self::Conversation(conversation) => conversation.patience(),
            // Its caller limits the time.
            Self::Command(..) => MAX_PATIENCE,
        }
    }

    /// Whether it is still worth sending.
    fn may_be_sent(&mut self) -> bool {
        match self {
            Self::Conversation(conversation) => conversation.may_be_sent(),
            // If the caller no longer waits, the command need not be sent.
            Self::Command(_, reply) => !reply.is_closed(),
        }
    }

    fn write(&self, command: &mut Cmd) {
        match self {
            Self::Conversation(conversation) => conversation.write(command),
            Self::Command(own, _) => command.clone_from(own),
        }
    }

    /// Takes the reply. Returns the item if another command follows.
    fn reply(self, value: RedisResult<Value>) -> Option<Self> {
        match self {
            Self::Conversation(conversation) => {
                let reply = match value {
                    Ok(value) => reply(value),
                    Err(error) => Err(failure(error, true)),
                };
                return conversation.reply(reply).map(Self::Conversation);
            }
            Self::Command(_, reply) => {
                // Fails if the caller no longer waits, which is fine.
                let _ = reply.send(value.map_err(|error| Undelivered {
                    error,
                    is_unsent: false,
                }));
            }
        }
        None
    }

    fn fail<C: SharedConnection>(self, error: RedisError, is_unsent: bool) {
        match self {
            Self::Conversation(conversation) if is_unsent => {
                conversation.unsent(NodeError::Unreachable(Arc::new(error)));
            }
            Self::Conversation(conversation) => {
                conversation.fail(failure(error, C::SENDS_ONCE));
            }
            Self::Command(_, reply) => {
                let _ = reply.send(Err(Undelivered { error, is_unsent }));
            }
        }
    }
}
