//! Other processes: this program again, for one test that is ignored otherwise.

use std::{
    env,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
};

/// Names the servers.
const URLS: &str = "REDSYNC_TEST_URLS";

/// Begins what the other process says, among what the harness of the tests prints.
const SAYS: &str = "says: ";

/// Killed and reaped when it is dropped.
pub(crate) struct Process {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Runs a test of this program that is ignored.
    pub(crate) fn start(test: &str, urls: &[String]) -> Self {
        let program = env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(URLS, urls.join(" "))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("another process");
        let output = child.stdout.take().expect("a pipe");
        Self {
            child,
            output: BufReader::new(output).lines(),
        }
    }

    /// What it says next. Blocks until then.
    ///
    /// # Panics
    ///
    /// If it ends without a word.
    pub(crate) fn said(&mut self) -> String {
        loop {
            let line = self.output.next().expect("it has ended");
            let line = line.expect("text");
            // The harness may have begun the line.
            if let Some((_, said)) = line.split_once(SAYS) {
                return said.to_owned();
            }
        }
    }

    /// Kills it with SIGKILL, and reaps it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("a process to reap");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the other process: the servers. [`None`] if nobody has started it.
pub(crate) fn urls() -> Option<Vec<String>> {
    let urls = env::var(URLS).ok()?;
    Some(urls.split(' ').map(str::to_owned).collect())
}

/// In the other process.
pub(crate) fn say(what: &str) {
    println!("{SAYS}{what}");
}
