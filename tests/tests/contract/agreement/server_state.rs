//! The keys on the server, read and changed without the scripts of the crate.

use std::time::Duration;

use redsync::{
    Mode,
    node::{Holder, Holders},
};
use redsync_tests::RedisServer;

use super::{
    machine::Kind,
    operation::{COUNTERS, NAMES},
};

const RESET: &str = "
    redis.call('FLUSHALL')
    for _, key in ipairs(KEYS) do
      redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    end";

/// Lets time pass on the server: every key and every shared holder expires this much sooner.
const PASS: &str = "
    local passed = tonumber(ARGV[1])
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    for _, key in ipairs(redis.call('KEYS', '*')) do
      local left = redis.call('PTTL', key)
      if redis.call('TYPE', key).ok == 'zset' and redis.call('ZSCORE', key, '') then
        local members = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
        for i = 1, #members, 2 do
          redis.call('ZADD', key, members[i + 1] - passed, members[i])
        end
      end
      if left >= 0 and left <= passed then
        redis.call('DEL', key)
      elseif left >= 0 then
        redis.call('PEXPIRE', key, left - passed)
      end
    end";

/// Returns the type, the remaining time and the content of each key. With the members of a sorted
/// set is for how long they are in it.
const READ: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local reply = {}
    for i, key in ipairs(KEYS) do
      local kind = redis.call('TYPE', key).ok
      local content = {}
      if kind == 'string' then
        content = { redis.call('GET', key) }
      elseif kind == 'zset' then
        content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
        for i = 2, #content, 2 do
          content[i] = string.format('%.0f', content[i] - now)
        end
      end
      reply[i] = { kind, redis.call('PTTL', key), content }
    end
    return reply";

/// For how long a counter is kept.
const RETENTION: &str = "86400000";

/// By how much the expiry of a set may seem to differ from that of its last member, in ms. The
/// commands of a script read the clock at different times.
const ROUNDING: u64 = 50;

/// A key on the server.
#[derive(Debug)]
pub(super) struct Key {
    kind: String,
    /// In ms; negative without an expiry.
    left: i64,
    content: Vec<String>,
}

/// Removes all keys, and sets the counters of all names to where they start.
pub(super) fn reset(server: &RedisServer) {
    let [a, b, c] = NAMES.map(counter);
    let start = COUNTERS.to_string();
    server.command(&["EVAL", RESET, "3", &a, &b, &c, &start, RETENTION]);
}

pub(super) fn pass(server: &RedisServer, time: Duration) {
    server.command(&["EVAL", PASS, "0", &time.as_millis().to_string()]);
}

/// Reads the keys of all names, and then those of their counters.
pub(super) fn read(server: &RedisServer) -> (Vec<Key>, Vec<Key>) {
    let counters = NAMES.map(counter);
    let keys = NAMES.into_iter().chain(counters.iter().map(String::as_str));
    let count = (NAMES.len() + counters.len()).to_string();
    let command: Vec<&str> = ["EVAL", READ, &count].into_iter().chain(keys).collect();
    let found: Vec<(String, i64, Vec<String>)> = server.query(&command);
    let mut found = found.into_iter().map(|(kind, left, content)| Key {
        kind,
        left,
        content,
    });
    let names = found.by_ref().take(NAMES.len()).collect();
    (names, found.collect())
}

/// The key of the counter of a name.
pub(super) fn counter(name: &str) -> String {
    format!("{{{name}}}:fence")
}

impl Key {
    /// Who holds the name.
    ///
    /// # Errors
    ///
    /// If the key is not one that the crate makes.
    pub(super) fn holders(&self) -> Result<Option<Holders>, String> {
        let exclusive = |value: &String| Holders {
            mode: Mode::Exclusive,
            holders: vec![holder(value, self.left)],
        };
        match (&*self.kind, &self.content[..]) {
            ("none", _) => Ok(None),
            ("string", [value]) if self.left >= 0 => Ok(Some(exclusive(value))),
            ("zset", members) => self.shared(members),
            _ => Err(format!("{self:?} is not a lock")),
        }
    }

    /// Whether it is a key of another program, unchanged.
    pub(super) fn is(&self, kind: Kind) -> bool {
        let content = self.content.first().map_or("", String::as_str);
        self.kind == kind.name() && self.left < 0 && content == kind.content()
    }

    /// Whether it is a counter, or none. A counter expires.
    pub(super) fn may_be_a_counter(&self) -> bool {
        self.kind == "none" || self.kind == "string" && self.left >= 0
    }

    fn shared(&self, members: &[String]) -> Result<Option<Holders>, String> {
        let members: Vec<(&String, i64)> = members
            .chunks(2)
            .map(|member| (&member[0], member[1].parse().expect("a number")))
            .collect();
        let last = members.iter().map(|(_, left)| *left).max();
        let is_marked = members.iter().any(|(value, _)| value.is_empty());
        if !is_marked || last.is_none_or(|last| last.abs_diff(self.left) > ROUNDING) {
            return Err(format!("{self:?} does not end with its last member"));
        }
        let held = members
            .iter()
            .filter(|(value, left)| !value.is_empty() && *left > 0);
        let holders: Vec<Holder> = held.map(|(value, left)| holder(value, *left)).collect();
        Ok((!holders.is_empty()).then_some(Holders {
            mode: Mode::Shared,
            holders,
        }))
    }
}

fn holder(value: &str, left: i64) -> Holder {
    Holder {
        value: value.into(),
        remaining: u64::try_from(left).ok().map(Duration::from_millis),
    }
}
