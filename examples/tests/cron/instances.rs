//! Instances of the program, and what they have logged.

use redsync_tests::{Program, Servers};

pub(crate) struct Instance {
    pub(crate) program: Program,
}

/// Starts an instance whose clock is ahead by so much, and whose runs take so long.
pub(crate) fn start(servers: &Servers, ahead_ms: u32, work_ms: u32) -> Instance {
    let env = [
        ("REDIS_URLS", &*servers.urls().join(",")),
        ("RUST_LOG", "info,cron=debug"),
        ("EVERY_MS", "2500"),
        ("CLOCKS_MS", "600"),
        ("EXPIRY_MS", "1500"),
        ("CLOCK_AHEAD_MS", &*ahead_ms.to_string()),
        ("WORK_MS", &*work_ms.to_string()),
    ];
    let program = Program::start("cron", &env);
    Instance { program }
}

/// The numbers of the runs that these instances have begun, each as often as it began.
pub(crate) fn runs(instances: &[Instance]) -> Vec<u64> {
    instances.iter().flat_map(Instance::began).collect()
}

impl Instance {
    /// How many lines of its log contain these words.
    pub(crate) fn count(&self, words: &str) -> usize {
        let log = self.program.log();
        log.lines().filter(|line| line.contains(words)).count()
    }

    /// The numbers of the runs that it has begun.
    pub(crate) fn began(&self) -> Vec<u64> {
        let log = self.program.log();
        (log.lines().filter(|line| line.ends_with(": begins")))
            .map(|line| number_after(line, "run "))
            .collect()
    }

    /// The number of the run and the token of each step.
    pub(crate) fn tokens(&self) -> Vec<(u64, u64)> {
        let log = self.program.log();
        (log.lines().filter(|line| line.contains(": step ")))
            .map(|line| (number_after(line, "run "), number_after(line, "token ")))
            .collect()
    }
}

fn number_after(line: &str, word: &str) -> u64 {
    let (_, rest) = line.split_once(word).expect("a number after the word");
    let digits = rest.split(|char: char| !char.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).expect(line)
}
