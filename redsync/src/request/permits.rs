//! The permits of a semaphore that a search tries, and their order.

use super::Request;
use crate::options::MAX_PERMITS;

/// Some of the permits of a request, which are tried in a circle from one of them on.
pub(crate) struct Permits {
    /// A bit for each permit that is in the set.
    set: u64,
    /// Where the circle goes on.
    at: usize,
}

const _: () = assert!(MAX_PERMITS <= u64::BITS as usize);

impl Permits {
    pub(crate) const fn none() -> Self {
        Self { set: 0, at: 0 }
    }

    /// All permits of a request, beginning at a random one, so that the attempts of many spread.
    pub(crate) fn all(request: &Request) -> Self {
        Self::of(request, |_| true)
    }

    /// The permits that are worth an attempt. If there are none, one is tried all the same, because
    /// the caller needs its failure.
    pub(crate) fn of(request: &Request, is_worth: impl Fn(usize) -> bool) -> Self {
        if !request.is_semaphore() {
            return Self { set: 1, at: 0 };
        }
        let permits = request.permits().count();
        let at = fastrand::usize(..permits);
        let worth = (0..permits).filter(|permit| is_worth(*permit));
        let set = worth.fold(0, |set, permit| set | 1 << permit);
        Self {
            set: if set == 0 { 1 << at } else { set },
            at,
        }
    }

    /// Begins with this permit, if it is one of them.
    pub(crate) fn from(mut self, permit: Option<usize>) -> Self {
        self.at = permit.unwrap_or(self.at);
        self
    }

    pub(crate) fn take_next(&mut self) -> Option<usize> {
        if self.set == 0 {
            return None;
        }
        let bits = u64::BITS;
        let distance = self.set.rotate_right(self.at as u32).trailing_zeros();
        let next = (self.at as u32 + distance) % bits;
        self.set &= !(1 << next);
        self.at = next as usize;
        Some(next as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Arc};

    use super::*;
    use crate::options::Options;

    fn request(permits: usize) -> Request {
        let mut options = Options::default();
        options.kind.permits = permits;
        Request::new(&["export".into()].into(), &Arc::new(options)).unwrap()
    }

    fn order(mut permits: Permits) -> Vec<usize> {
        std::iter::from_fn(|| permits.take_next()).collect()
    }

    #[test]
    fn each_permit_is_tried_once_from_a_random_one_on() {
        for count in [1, 2, 3, 63, 64] {
            let request = request(count);
            let mut firsts = HashSet::new();
            for _ in 0..200 {
                let order = order(Permits::all(&request));
                let circle = (0..count).map(|at| (order[0] + at) % count);
                assert_eq!(order, circle.collect::<Vec<_>>());
                firsts.insert(order[0]);
            }
            assert!(firsts.len() > count / 2, "{firsts:?} of {count}");
        }
    }

    #[test]
    fn a_permit_that_was_seen_free_is_tried_first_and_those_held_here_are_not_tried() {
        let request = request(4);
        let permits = || Permits::of(&request, |permit| permit != 1);
        assert_eq!(order(permits().from(Some(2))), [2, 3, 0]);
        assert_eq!(order(permits().from(Some(1))), [2, 3, 0]);
        assert_eq!(order(permits()).len(), 3);
        // One is tried for the failure.
        assert_eq!(order(Permits::of(&request, |_| false)).len(), 1);
    }
}
