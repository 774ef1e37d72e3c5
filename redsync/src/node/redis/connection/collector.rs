//! The task that sends the commands for one connection together, and reads their replies.

use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use redis::{RedisError, RedisResult, Value};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::yield_now,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    item::{Item, Undelivered},
    list::{Found, List},
    replies::refusal,
    sent::{Replies, Sent, Spares},
    shared::SharedConnection,
};

/// How many commands are sent together, at the most: all are answered when the last of them is. (With
/// 512 tasks on three nodes, 16 give 131,000 locks a second, 64 give 140,000, 256 give 150,000, and
/// 1,024 give 135,000.)
const MAX_TOGETHER: usize = 256;

/// Sends what is in the list, until the list is closed and all is answered.
pub(super) struct Collector<C: SharedConnection> {
    connection: C,
    list: Arc<List>,
    sent: Vec<Sent>,
    /// No later than the first of them is given up. It is left to fire for nothing: to move it at
    /// each reply would cost more.
    alarm: Option<Pin<Box<Sleep>>>,
    spares: Spares,
    /// Whether other threads may add to the list while this task runs.
    has_threads: bool,
    /// Whether several commands were sent together the last time.
    is_busy: bool,
}

impl<C: SharedConnection> Collector<C> {
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(super) fn new(connection: C, list: Arc<List>) -> Self {
        Self {
            connection,
            list,
            sent: Vec::new(),
            alarm: None,
            spares: Spares::default(),
            has_threads: Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread,
            is_busy: false,
        }
    }

    pub(super) async fn run(mut self) {
        while poll_fn(|cx| self.poll_for_more(cx)).await {
            // A connection that has rested: this lets the runtime poll its I/O first. If the other side
            // has closed the connection, its task learns of that, and what is sent afterwards is known
            // not to have been sent.
            let has_rested = self.list.take_rested();
            // A busy one: other threads add to the list meanwhile, and more commands share a write.
            // (With 512 tasks on two threads, that is a third of the CPU time. On one thread, tasks
            // that are about to add to the list have come first anyway.)
            if has_rested || self.is_busy {
                yield_now().await;
            }
            self.send();
        }
    }

    /// Ready when there is more to send (true), or there will never be more (false).
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
            return match self.list.poll(cx) {
                Found::Commands => Poll::Ready(true),
                Found::End if self.sent.is_empty() => Poll::Ready(false),
                Found::End | Found::Nothing => Poll::Pending,
            };
        }
    }

    /// Gives up what has not been answered in time. Says whether there was any.
    ///
    /// The connection still reads the replies and throws them away, so what is sent behind them finds
    /// its own.
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
            // A question that is dropped is given up.
            drop(late);
        }
        self.list.over(given_up);
        self.alarm = None;
        true
    }

    /// Sends all that is in the list. What is sent is written when it is first polled.
    fn send(&mut self) {
        let mut items = self.list.take(self.spares.items());
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
            self.list.over(before - items.len());
        }
        // The patience of one stands for all: they are about locks of one kind, mostly, and a command
        // that is given up early is released behind itself on the same connection.
        let Some(patience) = items.first().map(Item::patience) else {
            return self.spares.keep_items(items);
        };
        self.sent.push(Sent {
            replies: self.spares.sending(self.connection.clone(), &items),
            items,
            was_polled: false,
            give_up_at: Instant::now() + patience,
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
            Replies::One(reply, command) => {
                self.spares.keep_one(command, future);
                self.list.heard(&reply);
                match reply {
                    Err(error) if refusal(&error).is_none() => {
                        self.fail(items.drain(..), &error, is_first_poll);
                    }
                    // A value, or an error that the server answered with.
                    reply => self.answer(items.drain(..), [reply]),
                }
            }
            Replies::Many(replies) => {
                self.spares.keep_many(future);
                self.list.heard(&replies);
                match replies {
                    Ok(values) => self.answer(items.drain(..), values.into_iter().map(Ok)),
                    Err(error) => self.fail(items.drain(..), &error, is_first_poll),
                }
            }
        }
        self.spares.keep_items(items);
    }

    fn answer(
        &self,
        items: impl ExactSizeIterator<Item = Item>,
        replies: impl IntoIterator<Item = RedisResult<Value>>,
    ) {
        let count = items.len();
        let mut again = 0;
        for (item, reply) in items.zip(replies) {
            let reply = reply.and_then(Value::extract_error);
            // The connection leads to what is a replica by now.
            if !C::RECONNECTS && matches!(&reply, Err(error) if error.code() == Some("READONLY")) {
                self.list.close();
            }
            if let Some(item) = item.reply(reply) {
                self.list.push_again(item);
                again += 1;
            }
        }
        self.list.over(count - again);
    }

    fn fail(
        &self,
        items: impl ExactSizeIterator<Item = Item>,
        error: &RedisError,
        is_first_poll: bool,
    ) {
        // A connection whose task has ended takes nothing, and says so at once. If the error comes
        // later, the command may have been written.
        let is_unsent = C::SENDS_ONCE && is_first_poll && error.is_unrecoverable_error();
        if error.is_unrecoverable_error() && !C::RECONNECTS {
            self.list.close();
        }
        let count = items.len();
        for item in items {
            item.fail::<C>(error.clone(), is_unsent);
        }
        self.list.over(count);
    }
}

impl<C: SharedConnection> Drop for Collector<C> {
    /// Also if its runtime shuts down, after which nothing can be sent.
    fn drop(&mut self) {
        self.list.close();
        for item in self.list.take(Vec::new()) {
            item.fail::<C>(Undelivered::closed(true).error, true);
        }
        for item in self.sent.drain(..).flat_map(|sent| sent.items) {
            item.fail::<C>(Undelivered::closed(false).error, false);
        }
    }
}
