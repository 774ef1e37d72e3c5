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
    item::{Item, MAX_PATIENCE, Undelivered},
    kind::SharedConnection,
    list::{Found, List},
    replies::refusal,
    sent::{Replies, Sent, Spares, UnderWay},
};
use crate::{
    node::{NodeError, redis::conversation::Conversation},
    sync::Mutex,
};

/// The largest number of commands that are sent together. Their replies arrive together, too, when
/// the last command has been answered. (With 512 tasks on three nodes, a limit of 16 yields 131,000
/// locks a second, 64 yields 140,000, 256 yields 150,000, and 1,024 yields 135,000.)
const MAX_TOGETHER: usize = 256;

/// While this number of commands are under way, the others stay in the list. A server that is
/// slower than its clients answers no sooner if it is sent more. In the list a command costs
/// little, and is dropped if its lock no longer wants it.
const MAX_UNDER_WAY: usize = 1024;

/// Sends the commands in the list, until the list is closed and all commands are answered.
pub(super) struct Collector<C: SharedConnection> {
    connection: C,
    list: Arc<List>,
    under_way: Arc<Mutex<UnderWay>>,
    /// Fires no later than the first of the sent commands has to be abandoned. It may fire too
    /// early, because moving it at each reply would cost more.
    alarm: Option<Pin<Box<Sleep>>>,
    spares: Spares,
}

/// Commands that were sent together, with their replies.
struct Answered {
    sent: Sent,
    replies: Replies,
    /// Whether the replies had arrived when they were first read.
    is_first_poll: bool,
}

impl<C: SharedConnection> Collector<C> {
    pub(super) fn new(connection: C, list: Arc<List>, under_way: Arc<Mutex<UnderWay>>) -> Self {
        Self {
            connection,
            list,
            under_way,
            alarm: None,
            spares: Spares::default(),
        }
    }

    pub(super) async fn run(mut self) {
        let has_threads = Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread;
        // Whether the last write contained several commands.
        let mut is_busy = false;
        while poll_fn(|cx| self.poll_for_more(cx)).await {
            // After idle time: let the runtime poll its I/O first. If the server has closed the
            // connection, the connection's task learns of it now, and it is certain that a command
            // which follows was not sent. (On several threads that are all busy, the task may learn
            // of it later. The command is then written, and it is unknown whether it was carried
            // out, so it fails. An acquisition is not sent again, because the first may still
            // arrive after its release.)
            let has_rested = self.list.take_rested();
            // On a busy connection: let other threads add to the list, so that more commands share
            // a write. (With 512 tasks on two threads, this saves a third of the CPU time. On a
            // single thread, all tasks that are ready to add to the list have run before this one.)
            if has_rested || (is_busy && has_threads) {
                yield_now().await;
            }
            is_busy = self.send() > 1;
        }
    }

    /// Resolves to true when there is more to send, and to false when there will never be more.
    fn poll_for_more(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            let mut index = 0;
            while let Some(answered) = self.take_answered(&mut index, cx) {
                self.deliver(answered);
            }
            if self.abandon_late(cx) {
                continue;
            }
            let under_way = self.under_way.lock().commands();
            if under_way >= MAX_UNDER_WAY {
                return Poll::Pending;
            }
            return match self.list.poll(cx) {
                Found::Commands => Poll::Ready(true),
                Found::End if under_way == 0 => Poll::Ready(false),
                Found::End | Found::Nothing => Poll::Pending,
            };
        }
    }

    /// Takes the next commands that have been answered, from `index` on. Moves `index` past
    /// commands that have not been answered.
    fn take_answered(&self, index: &mut usize, cx: &mut Context<'_>) -> Option<Answered> {
        let sent = &mut self.under_way.lock().sent;
        while let Some(together) = sent.get_mut(*index) {
            let is_first_poll = !mem::replace(&mut together.was_polled, true);
            match together.replies.poll(cx) {
                Poll::Pending => *index += 1,
                Poll::Ready(replies) => {
                    return Some(Answered {
                        sent: sent.remove(*index),
                        replies,
                        is_first_poll,
                    });
                }
            }
        }
        None
    }

    /// Stops waiting for commands that have not been answered in time. Returns whether there were
    /// any.
    ///
    /// The connection still reads their replies and discards them, so later commands get their own
    /// replies.
    fn abandon_late(&mut self, cx: &mut Context<'_>) -> bool {
        let first = (self.under_way.lock().sent.iter())
            .map(|sent| sent.abandon_at)
            .min();
        let Some(first) = first else {
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
        let late: Vec<_> = (self.under_way.lock().sent)
            .extract_if(.., |sent| sent.abandon_at <= now)
            .collect();
        let abandoned = late.iter().map(|sent| sent.items.len()).sum();
        // Dropping a question reports it as unanswered.
        drop(late);
        self.list.abandoned(abandoned);
        self.alarm = None;
        true
    }

    /// Sends commands in the list, up to the number that may be under way at the same time. Returns
    /// how many it has sent. They are written when their future is first polled.
    fn send(&mut self) -> usize {
        let mut count = 0;
        while self.under_way.lock().commands() < MAX_UNDER_WAY {
            let mut items = self.spares.items();
            self.list.take(&mut items, MAX_TOGETHER);
            if items.is_empty() {
                self.spares.keep_items(items);
                break;
            }
            count += items.len();
            self.send_together(items);
        }
        count
    }

    fn send_together(&mut self, mut items: Vec<Item>) {
        let before = items.len();
        let now = Instant::now();
        items.retain_mut(|item| item.may_be_sent(now));
        if items.len() < before {
            self.list.over(before - items.len());
        }
        if items.is_empty() {
            return self.spares.keep_items(items);
        }
        // Their replies arrive together. So none is abandoned before the one with the latest limit.
        let patience = items.iter().filter_map(|item| item.patience(now)).max();
        let abandon_at = now + patience.unwrap_or(MAX_PATIENCE);
        let mut under_way = self.under_way.lock();
        under_way.sent.push(Sent {
            replies: self.spares.sending(self.connection.clone(), &items),
            items,
            was_polled: false,
            abandon_at,
        });
        if under_way.has_successor {
            // They were taken out of the list before that.
            let conversations = under_way.take_conversations();
            drop(under_way);
            conversations.into_iter().for_each(Conversation::leave);
        }
    }

    /// Gives each command its reply.
    ///
    /// An answer wakes tasks and records metrics, so `under_way` must not be locked.
    fn deliver(&mut self, answered: Answered) {
        let Answered {
            sent,
            replies,
            is_first_poll,
        } = answered;
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
                    // A value, or an error with which the server answered.
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
            // The server has become a replica in the meantime.
            if !C::RECONNECTS && reply.as_ref().is_err_and(is_read_only) {
                self.list.close();
            }
            if let Some(item) = item.reply::<C>(reply) {
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
            let error = error.clone();
            item.fail::<C>(Undelivered { error, is_unsent });
        }
        self.list.over(count);
    }
}

fn is_read_only(error: &RedisError) -> bool {
    matches!(refusal(error), Some(NodeError::Refused { code, .. }) if &*code == "READONLY")
}

impl<C: SharedConnection> Drop for Collector<C> {
    /// Fails all commands that are left. There are some if the runtime shuts down, after which
    /// nothing can be sent.
    fn drop(&mut self) {
        for item in self.list.close_and_take() {
            item.fail::<C>(Undelivered::unsent());
        }
        let sent = mem::take(&mut self.under_way.lock().sent);
        for item in sent.into_iter().flat_map(|sent| sent.items) {
            item.fail::<C>(Undelivered::unread());
        }
    }
}
