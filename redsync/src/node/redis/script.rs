//! Lua scripts, sent by their hash.

use std::sync::OnceLock;

use super::{Driver, Reply};
use crate::NodeError;

/// A script on one key.
pub(super) struct Script {
    code: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    pub(super) const fn new(code: &'static str) -> Self {
        Self {
            code,
            hash: OnceLock::new(),
        }
    }

    /// Runs by hash; if the server does not know the script (a first use, a restart,
    /// `SCRIPT FLUSH`), by code, which teaches it. Nothing runs twice: a server that answers
    /// `NOSCRIPT` has run nothing.
    pub(super) async fn run<D: Driver>(
        &self,
        driver: &D,
        key: &str,
        args: &[&str],
    ) -> Result<Reply, NodeError> {
        let hash = self
            .hash
            .get_or_init(|| sha1_smol::Sha1::from(self.code).digest().to_string());
        match driver.command(&command("EVALSHA", hash, key, args)).await {
            Err(NodeError::Refused { code, .. }) if &*code == "NOSCRIPT" => {
                driver.command(&command("EVAL", self.code, key, args)).await
            }
            reply => reply,
        }
    }
}

fn command<'a>(verb: &'a str, script: &'a str, key: &'a str, args: &[&'a str]) -> Vec<&'a [u8]> {
    let head = [verb, script, "1", key];
    head.iter().chain(args).map(|arg| arg.as_bytes()).collect()
}
