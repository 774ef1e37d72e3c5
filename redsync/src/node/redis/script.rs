//! Lua scripts, sent by their hash.

use std::{borrow::Cow, sync::OnceLock};

use futures_util::future::FutureExt;

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
        keys: &[impl AsRef<str> + Sync],
        args: &[&str],
    ) -> Result<Reply, NodeError> {
        let hash = self
            .hash
            .get_or_init(|| sha1_smol::Sha1::from(self.code).digest().to_string());
        let count = match keys.len() {
            1 => Cow::Borrowed("1"),
            count => Cow::Owned(count.to_string()),
        };
        let mut command = Vec::with_capacity(3 + keys.len() + args.len());
        command.extend(["EVALSHA", hash, &count].map(str::as_bytes));
        command.extend(keys.iter().map(|key| key.as_ref().as_bytes()));
        command.extend(args.iter().map(|arg| arg.as_bytes()));
        match driver.command(&command).await {
            Err(NodeError::Refused { code, .. }) if &*code == "NOSCRIPT" => {
                command[..2].copy_from_slice(&[b"EVAL", self.code.as_bytes()]);
                driver.command(&command).boxed().await
            }
            reply => reply,
        }
    }
}
