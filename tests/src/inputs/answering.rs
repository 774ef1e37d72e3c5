//! Servers that answer as the input says.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use redsync::{
    NodeError,
    node::redis::{Driver, Reply},
};

/// A server that sends these replies, whatever it is asked.
pub(super) struct Replies(Mutex<VecDeque<Result<Reply, NodeError>>>);

impl Replies {
    pub(super) fn new(replies: impl IntoIterator<Item = Result<Reply, NodeError>>) -> Self {
        Self(Mutex::new(replies.into_iter().collect()))
    }
}

impl Driver for Replies {
    fn address(&self) -> &str {
        "replies"
    }

    async fn command(&self, _: &[&[u8]]) -> Result<Reply, NodeError> {
        let mut replies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        replies.pop_front().unwrap_or(Err(NodeError::TimedOut))
    }
}
