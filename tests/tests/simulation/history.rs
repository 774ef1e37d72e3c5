//! The beliefs of all clients about their locks, and the check of them.

use tokio::time::Instant;

#[derive(Default)]
pub(crate) struct History {
    beliefs: Vec<Belief>,
    left: Option<Instant>,
}

/// A client believed that it held a lock from one instant up to another.
#[derive(Clone, Debug)]
struct Belief {
    name: String,
    from: Instant,
    to: Instant,
}

impl History {
    pub(crate) fn believed(&mut self, name: &str, from: Instant, to: Instant) {
        self.beliefs.push(Belief {
            name: name.to_owned(),
            from,
            to,
        });
    }

    /// Records that a lock was left to expire.
    pub(crate) fn left(&mut self, until: Instant) {
        self.left = self.left.max(Some(until));
    }

    pub(crate) const fn left_to_expire(&self) -> Option<Instant> {
        self.left
    }

    pub(crate) const fn grants(&self) -> usize {
        self.beliefs.len()
    }

    /// Checks that no two clients believed in the same lock at the same time.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut beliefs: Vec<&Belief> = self.beliefs.iter().collect();
        beliefs.sort_by_key(|belief| (&belief.name, belief.from));
        let first = beliefs.iter().map(|belief| belief.from).min();
        for pair in beliefs.windows(2) {
            let (one, other) = (pair[0], pair[1]);
            // As long as beliefs are disjoint, a later one also ends later.
            if one.name == other.name && other.from < one.to {
                let since = |at: Instant| at - first.unwrap_or(at);
                return Err(format!(
                    "two held {}: from {:?} to {:?} and from {:?} to {:?}",
                    one.name,
                    since(one.from),
                    since(one.to),
                    since(other.from),
                    since(other.to),
                ));
            }
        }
        Ok(())
    }
}

#[test]
fn overlaps_are_found_and_neighbours_are_not() {
    let start = Instant::now();
    let at = |millis| start + crate::ms(millis);
    let mut history = History::default();
    history.believed("a", at(0), at(10));
    history.believed("b", at(5), at(15));
    history.believed("a", at(10), at(20));
    history.check().unwrap();
    history.believed("b", at(14), at(30));
    assert!(history.check().unwrap_err().contains("two held b"));
}
