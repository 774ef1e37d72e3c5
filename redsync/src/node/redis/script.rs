//! Lua scripts, sent by their hash.

use std::{borrow::Cow, sync::OnceLock};

use super::{Driver, Reply};
use crate::NodeError;

/// A script that changes a lock, with what such scripts have in common.
macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(
            include_str!("redis/prelude.lua"),
            include_str!(concat!("redis/", $name, ".lua"))
        ))
    };
}

/// A script.
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
        keys: &[Cow<'_, str>],
        args: &[&str],
    ) -> Result<Reply, NodeError> {
        let hash = self
            .hash
            .get_or_init(|| sha1_smol::Sha1::from(self.code).digest().to_string());
        let count = keys.len().to_string();
        let command = |verb, script| {
            let head = [verb, script, &*count].into_iter();
            let keys = keys.iter().map(|key| &**key);
            let parts = head.chain(keys).chain(args.iter().copied());
            parts.map(str::as_bytes).collect::<Vec<&[u8]>>()
        };
        match driver.command(&command("EVALSHA", hash)).await {
            Err(NodeError::Refused { code, .. }) if &*code == "NOSCRIPT" => {
                driver.command(&command("EVAL", self.code)).await
            }
            reply => reply,
        }
    }
}
