//! `redsync run` on a terminal.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command},
    sync::{Arc, Mutex},
    thread,
};

use nix::pty::{OpenptyResult, openpty};
use redsync_tests::{Servers, wait::until};

use crate::support::{ENDLESS, PROGRAM, Running, SOON, ends, until_free};

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

/// A terminal with a program in its foreground.
struct Terminal {
    keys: File,
    screen: Arc<Mutex<Vec<u8>>>,
    program: Child,
}

impl Terminal {
    /// Starts a program on a terminal of its own.
    fn start(servers: &Servers, program: &[&str]) -> Self {
        let OpenptyResult { master, slave } = openpty(None, None).unwrap();
        let end = |end: &OwnedFd| end.try_clone().unwrap();
        let program = Command::new("env")
            // See `redsync_at`.
            .args(["--default-signal", "setsid", "-c"])
            .args(program)
            .env("REDSYNC_NODES", servers.urls().join(","))
            .env("PS1", "$ ")
            .stdin(end(&slave))
            .stdout(end(&slave))
            .stderr(slave)
            .spawn()
            .unwrap();
        let screen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut from, to) = (File::from(end(&master)), Arc::clone(&screen));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                to.lock().unwrap().extend(&bytes[..count]);
            }
        });
        Self {
            keys: master.into(),
            screen,
            program,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn until_shows(&self, words: &str) {
        self.until(words, |screen| screen.contains(words));
    }

    /// Waits until a shell asks for a command. It may forget the keys that were pressed before.
    #[track_caller]
    fn until_asks(&self) {
        self.until("the shell's question", |screen| screen.ends_with("$ "));
    }

    #[track_caller]
    fn until(&self, what: &str, is_shown: impl Fn(&str) -> bool) {
        until(what, SOON, || is_shown(&self.screen()));
    }

    #[track_caller]
    fn ends(mut self) -> (Option<i32>, String) {
        let mut status = None;
        until("the end of the program", SOON, || {
            status = self.program.try_wait().unwrap();
            status.is_some()
        });
        (status.unwrap().code(), self.screen())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        if thread::panicking() {
            eprintln!("the screen: {:?}", self.screen());
        }
    }
}

const TRAP: &str = "trap 'echo interrupted' INT; trap 'exit 9' TERM; echo begun
    while :; do sleep 0.05; done";

#[test]
fn ctrl_c_comes_to_the_command_once() {
    let servers = Servers::start(1);
    let run = [PROGRAM, "run", "job", "--", "sh", "-c", TRAP];
    let mut terminal = Terminal::start(&servers, &run);
    terminal.until_shows("begun");
    terminal.press(CTRL_C);
    terminal.until_shows("interrupted");
    let pid = i32::try_from(terminal.program.id()).unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(9), "{screen}");
    assert_eq!(screen.matches("interrupted").count(), 1, "{screen}");
}

#[test]
fn a_command_that_reads_from_the_terminal_gets_it_and_then_ctrl_c_too() {
    let servers = Servers::start(1);
    let script = "trap 'echo interrupted' INT; echo begun; read line; echo \"read $line\"
        read line; echo \"again $line\"; exit 6";
    let run = [PROGRAM, "run", "job", "--", "sh", "-c", script];
    let mut terminal = Terminal::start(&servers, &run);
    terminal.until_shows("begun");
    terminal.press("words\n");
    terminal.until_shows("read words");
    terminal.press(CTRL_C);
    terminal.until_shows("interrupted");
    terminal.press("more\n");
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(6), "{screen}");
    assert_eq!(screen.matches("interrupted").count(), 1, "{screen}");
}

#[test]
fn ctrl_c_ends_the_wait() {
    let servers = Servers::start(1);
    let _holder = Running::begun(&servers, &["--label", "web-7", "job"], ENDLESS);
    let run = [PROGRAM, "run", "job", "--", "true"];
    let mut terminal = Terminal::start(&servers, &run);
    terminal.until_shows("waiting for `job`, held by web-7 (");
    terminal.press(CTRL_C);
    terminal.until("the line's removal", |screen| screen.ends_with("\r\x1b[K"));
    let (code, screen) = terminal.ends();
    assert_eq!(code, Some(130), "{screen}");
}

#[test]
fn a_wait_on_a_terminal_shows_nothing_if_the_user_says_so() {
    let servers = Servers::start(1);
    let _holder = Running::begun(&servers, &["job"], ENDLESS);
    let run = [
        PROGRAM, "run", "--quiet", "--wait", "2", "-E", "75", "job", "--", "true",
    ];
    let (code, screen) = Terminal::start(&servers, &run).ends();
    assert_eq!(code, Some(75));
    assert!(!screen.contains("waiting"), "{screen}");
}

#[test]
fn a_wait_on_a_terminal_shows_which_nodes_do_not_answer() {
    let servers = Servers::start(3);
    let _holder = Running::begun(&servers, &["--label", "web-7", "job"], ENDLESS);
    servers[1].stop();
    let run = [PROGRAM, "run", "job", "--", "true"];
    let terminal = Terminal::start(&servers, &run);
    let silent = servers[1].address();
    terminal.until("the node", |screen| {
        screen.contains("waiting for `job`, held by web-7 (")
            && screen.contains(&format!("; no answer from {silent}"))
    });
    servers[1].cont();
}

#[test]
fn a_job_of_a_shell_stops_at_ctrl_z_and_continues_in_the_foreground() {
    let servers = Servers::start(1);
    let mut shell = Terminal::start(&servers, &["bash", "--norc", "--noprofile", "-i"]);
    shell.until_asks();
    let script = r#"echo be""gun; while read line; do echo "got $line"; done"#;
    shell.press(&format!(
        "{PROGRAM} run --expiry 60s job -- sh -c '{script}'\n"
    ));
    shell.until_shows("begun");
    shell.press("one\n");
    shell.until_shows("got one");
    shell.press(CTRL_Z);
    shell.until_shows("Stopped");
    shell.until_asks();
    // The shell has the terminal again.
    shell.press("echo ba''ck\n");
    shell.until_shows("back");
    shell.until_asks();
    shell.press("fg\n");
    shell.press("two\n");
    shell.until_shows("got two");
    shell.press(CTRL_C);
    shell.until_asks();
    shell.press("echo code $?\n");
    shell.until_shows("code 130");
    until_free(&servers, "job");
    shell.press("exit\n");
    drop(shell.ends());
}

#[test]
fn a_job_of_a_shell_that_has_not_read_stops_at_ctrl_z_too() {
    let servers = Servers::start(1);
    let mut shell = Terminal::start(&servers, &["bash", "--norc", "--noprofile", "-i"]);
    shell.until_asks();
    // A shell that starts processes does not always stop: if its child is stopped before it is another program, the
    // shell still waits for that, and no signal stops it (vfork(2)).
    shell.press(&format!(
        "{PROGRAM} run --expiry 60s job -- sh -c 'echo be\"\"gun; exec sleep 1000'\n"
    ));
    shell.until_shows("begun");
    shell.press(CTRL_Z);
    shell.until_shows("Stopped");
    shell.until_asks();
    shell.press("bg\n");
    shell.until_asks();
    shell.press("kill %1; wait %1; echo code $?\n");
    shell.until_shows("code 143");
    until_free(&servers, "job");
    shell.press("exit\n");
    drop(shell.ends());
}

#[test]
fn a_terminal_is_asked_before_a_lock_is_released() {
    let servers = Servers::start(1);
    let _holder = Running::begun(&servers, &["--expiry", "60s", "job"], ENDLESS);
    for (answer, code) in [("n", 1), ("y", 0)] {
        let run = [PROGRAM, "release", "--force", "job"];
        let mut terminal = Terminal::start(&servers, &run);
        terminal.until_shows("Release it? [y/N]");
        terminal.press(&format!("{answer}\n"));
        let (status, screen) = terminal.ends();
        assert_eq!(status, Some(code), "{screen}");
        assert_eq!(servers[0].get("job").is_none(), code == 0);
    }
}

#[test]
fn a_holder_that_came_while_the_question_was_open_is_asked_about_anew() {
    let servers = Servers::start(1);
    let first = Running::begun(&servers, &["--expiry", "60s", "job"], ENDLESS);
    let mut terminal = Terminal::start(&servers, &[PROGRAM, "release", "--force", "job"]);
    terminal.until_shows("Release it? [y/N]");
    ends(&servers, &["release", "--force", "--yes", "job"]).assert_code(0);
    let _second = Running::begun(&servers, &["--expiry", "60s", "job"], ENDLESS);
    let held = servers[0].get("job");
    terminal.press("y\n");
    terminal.until("a second question", |screen| {
        screen.matches("Release it? [y/N]").count() == 2
    });
    terminal.press("n\n");
    let (status, screen) = terminal.ends();
    assert_eq!(status, Some(1), "{screen}");
    assert_eq!(servers[0].get("job"), held);
    drop(first);
}
