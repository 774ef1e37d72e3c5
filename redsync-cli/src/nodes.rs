//! The nodes that the arguments name.

use redsync::{ConfigError, Mutex, Redsync, node::redis::RedisNode};

use crate::{
    arguments::Nodes,
    exit::{Failure, code},
};

/// The name of the connections in the servers' `CLIENT LIST`.
const CLIENT: &str = "redsync-cli";

impl Nodes {
    pub(crate) fn connect(&self) -> Result<Redsync, Failure> {
        if self.urls.iter().all(|url| url.trim().is_empty()) {
            return Err(Failure::new(
                code::USAGE,
                "no nodes are given; use --node, or the environment variable REDSYNC_NODES",
            ));
        }
        let nodes: Result<Vec<_>, _> = self.urls.iter().map(|url| node(url)).collect();
        let redsync = Redsync::new(nodes?)?
            .with_defaults(|mutex| mutex.with_node_timeout(self.node_timeout))?;
        Ok(redsync)
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
