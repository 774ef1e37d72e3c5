//! A driver that counts which scripts and commands its server answers.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redis::Value;
use redsync::{
    NodeError,
    node::redis::{Deadpool, Driver, Reply},
};
use redsync_tests::{RedisServer, files};

#[derive(Clone)]
pub(super) struct Counting(Arc<Inner>);

struct Inner {
    driver: Deadpool,
    scripts: Scripts,
    /// The optional commands, in the order in which they are tried, and whether the server has
    /// them.
    native: [(&'static str, bool); 2],
    counts: Mutex<BTreeMap<String, u64>>,
}

/// The names of all scripts, by their hashes and code.
struct Scripts {
    names: Vec<String>,
    by_hash: HashMap<String, String>,
}

impl Counting {
    pub(super) fn new(server: &RedisServer) -> Self {
        let native = ["DELIFEQ", "DELEX"].map(|name| {
            let known: Vec<Value> = server.query(&["COMMAND", "INFO", name]);
            (name, known[0] != Value::Nil)
        });
        Self(Arc::new(Inner {
            driver: Deadpool::connect(&server.url()).expect("a URL"),
            scripts: Scripts::load(),
            native,
            counts: Mutex::default(),
        }))
    }

    pub(super) fn print(&self) {
        for (what, count) in self.counts().iter() {
            println!("{count:>9}  {what}");
        }
    }

    /// Fails if a script was never run, or a command never sent.
    pub(super) fn assert_complete(&self) {
        let mut expected = self.0.scripts.names.clone();
        expected.extend(["SET".into(), "EVALSHA: NOSCRIPT".into()]);
        for (name, is_known) in &self.0.native {
            if *is_known {
                expected.push((*name).into());
                // The other one is not needed.
                break;
            }
            expected.push(format!("{name}: refused"));
        }
        let counts = self.counts();
        expected.retain(|what| !counts.contains_key(what));
        assert!(expected.is_empty(), "never answered: {expected:?}");
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        (self.0.counts.lock()).unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, command: &[&[u8]], reply: &Result<Reply, NodeError>) {
        let word = String::from_utf8_lossy(command[0]);
        let script = match &*word {
            "EVAL" => self.0.scripts.name(&hash(command[1])),
            "EVALSHA" => self.0.scripts.name(&String::from_utf8_lossy(command[1])),
            _ => None,
        };
        let what = match (script, reply) {
            (_, Err(NodeError::Refused { code, .. })) if &**code == "NOSCRIPT" => {
                format!("{word}: NOSCRIPT")
            }
            (Some(script), Ok(_)) => script.to_owned(),
            (Some(script), Err(_)) => format!("{script}: refused"),
            (None, Ok(_)) => word.into_owned(),
            (None, Err(_)) => format!("{word}: refused"),
        };
        *self.counts().entry(what).or_default() += 1;
    }
}

impl Driver for Counting {
    fn address(&self) -> &str {
        self.0.driver.address()
    }

    async fn command(&self, command: &[&[u8]]) -> Result<Reply, NodeError> {
        let reply = self.0.driver.command(command).await;
        self.count(command, &reply);
        reply
    }
}

impl Scripts {
    /// Finds all scripts of the crate.
    fn load() -> Self {
        let name = |path: &Path| {
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        };
        let paths = files::files(&files::root().join("redsync/src/node/redis"), "lua").into_iter();
        let mut files: BTreeMap<String, String> = paths
            .map(|path| (name(&path), files::read(&path)))
            .collect();
        let prelude = files.remove("prelude.lua").expect("the prelude");
        let mut by_hash = HashMap::new();
        for (name, code) in &files {
            for code in [code.clone(), format!("{prelude}{code}")] {
                by_hash.insert(hash(code.as_bytes()), name.clone());
            }
        }
        Self {
            names: files.into_keys().collect(),
            by_hash,
        }
    }

    fn name(&self, hash: &str) -> Option<&str> {
        self.by_hash.get(hash).map(String::as_str)
    }
}

fn hash(code: &[u8]) -> String {
    let code = String::from_utf8_lossy(code);
    redis::Script::new(&code).get_hash().to_owned()
}
