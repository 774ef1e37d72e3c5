//! Sending over one connection: the commands of many locks go out together, in one write.
//!
//! Commands for one connection are put into a [list](super::list). One task, the
//! [collector](super::collector), takes the whole list and sends it as one pipeline, without
//! waiting for more commands. To redis-rs a pipeline is one message, whose cost its commands share.
//! The same task reads the replies, and counts each answer for the lock that it belongs to.

use std::{mem, sync::Arc};

use redis::{Cmd, Value};
use tokio::{sync::oneshot, time::Instant};

use super::{
    collector::Collector,
    health::Health,
    item::{Item, Undelivered},
    kind::SharedConnection,
    list::List,
    sent::UnderWay,
};
use crate::{node::redis::conversation::Conversation, sync::Mutex};

/// The sending side of a connection that many commands share.
pub(crate) struct Sender<C: SharedConnection> {
    connection: C,
    list: Arc<List>,
    under_way: Arc<Mutex<UnderWay>>,
}

impl<C: SharedConnection> Sender<C> {
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn new(connection: C) -> Self {
        let list = Arc::new(List::new());
        let under_way = Arc::default();
        if C::PIPELINES {
            let collector = Collector::new(
                connection.clone(),
                Arc::clone(&list),
                Arc::clone(&under_way),
            );
            tokio::spawn(collector.run());
        }
        Self {
            connection,
            list,
            under_way,
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.list.health()
    }

    /// Uses the connection until then, although it is silent.
    pub(crate) fn trust_until(&self, until: Instant) {
        self.list.trust_until(until);
    }

    /// Sends no more commands, because another connection takes over. The commands in the list go
    /// to that connection, because they have certainly not been sent. So do releases and extensions
    /// that were sent, because they may be carried out twice; otherwise a release that was sent
    /// into the silence would leave its key. An acquisition that was sent is given up: it may still
    /// arrive, so it is not sent again, and its release does not wait for it. The collector still
    /// waits for the replies to commands whose callers do.
    pub(crate) fn abandon_for(&self, other: &Self) {
        let now = Instant::now();
        let sent = self.under_way.lock().take_conversations();
        let (repeatable, given_up): (Vec<_>, Vec<_>) =
            sent.into_iter().partition(Conversation::may_be_repeated);
        let repeatable = repeatable.into_iter().map(|conversation| {
            conversation.is_asked_again();
            Item::Conversation(conversation)
        });
        // The releases first: an acquisition that waits may want the same name.
        let waiting = self.list.close_and_take();
        for item in repeatable.chain(waiting) {
            if let Err(item) = other.push(now, item) {
                item.fail::<C>(Undelivered::unsent());
            }
        }
        given_up.into_iter().for_each(Conversation::give_up);
    }

    /// Drops the commands that the collector has sent. Its runtime stands still, so the collector
    /// cannot drop them itself.
    pub(crate) fn abandon_sent(&self) {
        let sent = mem::take(&mut self.under_way.lock().sent);
        for item in sent.into_iter().flat_map(|sent| sent.items) {
            item.fail::<C>(Undelivered::unread());
        }
    }

    /// Whether the list takes no more commands.
    pub(crate) fn is_closed(&self) -> bool {
        self.list.is_closed()
    }

    /// Adds an item to the list, or returns it if the list is closed or the connection may not be
    /// used. That depends on its health, and on how many items are in the list, which have not been
    /// sent.
    pub(crate) fn push_if<T: Into<Item>>(
        &self,
        may_be_used: impl FnOnce(&Health, usize) -> bool,
        now: Instant,
        item: T,
    ) -> Result<(), T> {
        if C::PIPELINES {
            self.list.push_if(may_be_used, now, item)
        } else {
            Err(item)
        }
    }

    /// Adds an item to the list, or returns it if the list is closed.
    pub(crate) fn push<T: Into<Item>>(&self, now: Instant, item: T) -> Result<(), T> {
        self.push_if(|_, _| true, now, item)
    }

    /// Sends a command, and waits for its reply.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the command may or may not be sent.
    pub(crate) async fn send(&self, command: Cmd) -> Result<Value, Undelivered> {
        if C::PIPELINES {
            let (reply, answer) = oneshot::channel();
            let item = Item::Command(command, reply);
            if self.push(Instant::now(), item).is_err() {
                return Err(Undelivered::unsent());
            }
            return answer.await.unwrap_or_else(|_| Err(Undelivered::unread()));
        }
        self.send_now(command).await
    }

    /// Sends a `PING` and waits for its reply. It does not go through the list, whose commands have
    /// to wait while too many are under way.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn ping(&self) -> Result<Value, Undelivered> {
        if self.is_closed() {
            return Err(Undelivered::unsent());
        }
        self.send_now(redis::cmd("PING")).await
    }

    /// Sends a command without the list, and waits for its reply.
    async fn send_now(&self, command: Cmd) -> Result<Value, Undelivered> {
        let mut counted = Counted::new(&self.list);
        let mut connection = self.connection.clone();
        let reply = connection.send_one(&command).await;
        self.list.heard(&reply);
        counted.is_over = !matches!(&reply, Err(error) if error.is_timeout());
        reply
            .and_then(Value::extract_error)
            .map_err(|error| Undelivered {
                error,
                is_unsent: false,
            })
    }
}

impl<C: SharedConnection> Drop for Sender<C> {
    /// Ends the collector once all its commands are answered.
    fn drop(&mut self) {
        self.list.close();
    }
}

/// Counts a command as under way until it is dropped.
struct Counted<'a> {
    list: &'a List,
    /// Whether it was answered. If it was not, the silence that began with it goes on.
    is_over: bool,
}

impl<'a> Counted<'a> {
    fn new(list: &'a List) -> Self {
        list.sent();
        Self {
            list,
            is_over: false,
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.is_over {
            self.list.over(1);
        } else {
            self.list.abandoned(1);
        }
    }
}

#[cfg(test)]
mod tests;
