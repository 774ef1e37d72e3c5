//! Commands that were sent together, and the memory that is used again for the next ones.

use std::future::Future;

use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::time::Instant;
use tokio_util::sync::ReusableBoxFuture;

use super::{item::Item, kind::SharedConnection};
use crate::node::redis::conversation::Conversation;

/// The commands that were sent over a connection and have not been answered.
#[derive(Default)]
pub(super) struct UnderWay {
    pub(super) sent: Vec<Sent>,
    /// Whether another connection has taken over.
    pub(super) has_successor: bool,
}

impl UnderWay {
    pub(super) fn commands(&self) -> usize {
        self.sent.iter().map(|sent| sent.items.len()).sum()
    }

    /// Lets another connection take over. Takes the questions of locks, whose answers nobody waits
    /// for here any longer.
    pub(super) fn take_conversations(&mut self) -> Vec<Conversation> {
        self.has_successor = true;
        let items = self.sent.iter_mut().flat_map(|sent| &mut sent.items);
        items.filter_map(Item::take_conversation).collect()
    }
}

/// Commands that were sent together.
pub(super) struct Sent {
    pub(super) items: Vec<Item>,
    pub(super) replies: ReusableBoxFuture<'static, Replies>,
    pub(super) was_polled: bool,
    /// When to stop waiting for the replies.
    pub(super) abandon_at: Instant,
}

/// The replies to commands that were sent together. A single command is returned for reuse.
pub(super) enum Replies {
    One(RedisResult<Value>, Cmd),
    Many(RedisResult<Vec<Value>>),
}

/// Allocations of commands that have been answered, for reuse.
#[derive(Default)]
pub(super) struct Spares {
    command: Option<Cmd>,
    items: Vec<Vec<Item>>,
    one: Vec<ReusableBoxFuture<'static, Replies>>,
    many: Vec<ReusableBoxFuture<'static, Replies>>,
}

/// How many spares of one kind are kept. A busy connection has at most four writes of the largest
/// size under way, and a quiet one has fewer commands under way than this.
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

impl Spares {
    /// Returns an empty vector.
    pub(super) fn items(&mut self) -> Vec<Item> {
        self.items.pop().unwrap_or_default()
    }

    /// Makes a future that sends items together and resolves to their replies. The commands are
    /// written when it is first polled.
    pub(super) fn sending<C: SharedConnection>(
        &mut self,
        mut connection: C,
        items: &[Item],
    ) -> ReusableBoxFuture<'static, Replies> {
        if let [item] = items {
            let mut command = self.command.take().unwrap_or_default();
            item.write(&mut command);
            return boxed(self.one.pop(), async move {
                let reply = connection.send_one(&command).await;
                Replies::One(reply, command)
            });
        }
        let count = items.len();
        let mut pipeline = Pipeline::with_capacity(count);
        for item in items {
            let mut command = Cmd::with_capacity(6, 128);
            item.write(&mut command);
            pipeline.add_command(command);
        }
        boxed(self.many.pop(), async move {
            Replies::Many(connection.send_many(&pipeline, count).await)
        })
    }

    /// Keeps the allocations of a command that was sent alone.
    pub(super) fn keep_one(
        &mut self,
        mut command: Cmd,
        future: ReusableBoxFuture<'static, Replies>,
    ) {
        command.clear();
        self.command = Some(command);
        keep(&mut self.one, future);
    }

    pub(super) fn keep_many(&mut self, future: ReusableBoxFuture<'static, Replies>) {
        keep(&mut self.many, future);
    }

    pub(super) fn keep_items(&mut self, mut items: Vec<Item>) {
        items.clear();
        keep(&mut self.items, items);
    }
}
