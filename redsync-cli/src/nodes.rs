//! The nodes that the arguments name.

use redsync::{ConfigError, Mutex, Redsync, node::redis::RedisNode};

use crate::arguments::Nodes;

/// The name of the connections in the servers' `CLIENT LIST`.
const CLIENT: &str = "redsync-cli";

impl Nodes {
    pub(crate) fn connect(&self) -> Result<Redsync, ConfigError> {
        let nodes: Result<Vec<_>, _> = self.urls.iter().map(|url| node(url)).collect();
        Redsync::new(nodes?)?.with_defaults(|mutex| mutex.with_node_timeout(self.node_timeout))
    }

    /// How many nodes make a quorum.
    pub(crate) const fn quorum(&self) -> usize {
        self.urls.len() / 2 + 1
    }
}

fn node(url: &str) -> Result<RedisNode, ConfigError> {
    Ok(RedisNode::connect(url.trim())?.with_client_name(CLIENT))
}

/// The mutex with one name, or with several.
pub(crate) fn mutex(redsync: &Redsync, names: &[String]) -> Mutex {
    redsync.mutex_many(names.iter().map(String::as_str))
}
