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
pub(super) struct Replies {
    address: String,
    replies: Mutex<VecDeque<Result<Reply, NodeError>>>,
}

impl Replies {
    pub(super) fn new(replies: impl IntoIterator<Item = Result<Reply, NodeError>>) -> Self {
        Self::at("replies", replies)
    }

    pub(super) fn at(
        address: impl Into<String>,
        replies: impl IntoIterator<Item = Result<Reply, NodeError>>,
    ) -> Self {
        Self {
            address: address.into(),
            replies: Mutex::new(replies.into_iter().collect()),
        }
    }
}

impl Driver for Replies {
    fn address(&self) -> &str {
        &self.address
    }

    async fn command(&self, _: &[&[u8]]) -> Result<Reply, NodeError> {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.pop_front().unwrap_or(Err(NodeError::TimedOut))
    }
}
