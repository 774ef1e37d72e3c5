//! Compare-and-delete as a command, where the server has one.

use std::sync::atomic::{AtomicU8, Ordering};

use super::{Driver, Reply, unexpected};
use crate::NodeError;

/// Which command a server has for deleting a key if its value is a given one. It takes the server
/// half the time that a script does.
///
/// What it has is found out by trying, once: a server that does not know a command says so, and has
/// done nothing.
#[derive(Default)]
pub(super) struct DeleteIfEqual {
    form: AtomicU8,
}

/// `DELIFEQ key value`: Valkey, from 9.0.
const DELIFEQ: u8 = 0;
/// `DELEX key IFEQ value`: Redis, from 8.4.
const DELEX: u8 = 1;

impl DeleteIfEqual {
    pub(super) const fn new() -> Self {
        Self {
            form: AtomicU8::new(DELIFEQ),
        }
    }

    /// Whether the key was deleted; [`None`] if that takes a script.
    pub(super) async fn run<D: Driver>(
        &self,
        driver: &D,
        key: &str,
        value: &str,
    ) -> Result<Option<bool>, NodeError> {
        let (key, value) = (key.as_bytes(), value.as_bytes());
        loop {
            let form = self.form.load(Ordering::Relaxed);
            let command: &[&[u8]] = match form {
                DELIFEQ => &[b"DELIFEQ", key, value],
                DELEX => &[b"DELEX", key, b"IFEQ", value],
                _ => return Ok(None),
            };
            match driver.command(command).await {
                Ok(Reply::Integer(1)) => return Ok(Some(true)),
                Ok(Reply::Integer(0)) => return Ok(Some(false)),
                Ok(reply) => return Err(unexpected(&reply)),
                Err(error) if is_missing(&error) => {
                    self.form.fetch_max(form + 1, Ordering::Relaxed);
                }
                // A key of another type, perhaps; a script can tell.
                Err(NodeError::Refused { code, .. }) if matches!(&*code, "ERR" | "WRONGTYPE") => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether the server does not know the command, or its user may not run it.
fn is_missing(error: &NodeError) -> bool {
    let NodeError::Refused { code, message, .. } = error else {
        return false;
    };
    match &**code {
        "ERR" => message.contains("command"),
        "NOPERM" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A server that has one command for this, or none.
    struct Having {
        command: &'static str,
        error: (&'static str, &'static str),
        asked: Mutex<Vec<String>>,
    }

    impl Driver for Having {
        fn address(&self) -> &str {
            "having"
        }

        async fn command(&self, command: &[&[u8]]) -> Result<Reply, NodeError> {
            let words: Vec<_> = (command.iter().copied().map(String::from_utf8_lossy)).collect();
            self.asked.lock().unwrap().push(words.join(" "));
            if words[0] != self.command {
                return Err(NodeError::refused(self.error.0, self.error.1));
            }
            Ok(Reply::Integer(words.ends_with(&["mine".into()]).into()))
        }
    }

    async fn asked(command: &'static str, error: (&'static str, &'static str)) -> Vec<String> {
        let asked = Mutex::default();
        let server = Having {
            command,
            error,
            asked,
        };
        let delete = DeleteIfEqual::default();
        let has = !command.is_empty();
        let deleted = delete.run(&server, "a", "mine").await.unwrap();
        assert_eq!(deleted, has.then_some(true));
        let deleted = delete.run(&server, "a", "other").await.unwrap();
        assert_eq!(deleted, has.then_some(false));
        server.asked.into_inner().unwrap()
    }

    const UNKNOWN: (&str, &str) = ("ERR", "unknown command 'X'");

    #[tokio::test]
    async fn a_server_is_asked_once_for_each_command_that_it_does_not_have() {
        let delifeq = ["DELIFEQ a mine", "DELIFEQ a other"];
        assert_eq!(asked("DELIFEQ", UNKNOWN).await, delifeq);
        let delex = ["DELIFEQ a mine", "DELEX a IFEQ mine", "DELEX a IFEQ other"];
        assert_eq!(asked("DELEX", UNKNOWN).await, delex);
        let neither = ["DELIFEQ a mine", "DELEX a IFEQ mine"];
        assert_eq!(asked("", UNKNOWN).await, neither);
        assert_eq!(asked("", ("NOPERM", "")).await, neither);
    }

    #[tokio::test]
    async fn an_error_about_the_key_is_for_the_script() {
        for error in [("WRONGTYPE", ""), ("ERR", "Key should be of string type")] {
            let asked = asked("", error).await;
            assert_eq!(asked, ["DELIFEQ a mine", "DELIFEQ a other"]);
        }
    }
}
