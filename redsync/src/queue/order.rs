//! The order of the waiters for one name, and those of them that are at its head.
//!
//! Pure: it knows of neither tasks nor nodes.

use std::collections::BTreeMap;

use crate::Mode;

/// The number of a waiter. A waiter with a smaller number came earlier, and has the same number in
/// the queue of each of its names.
pub(super) type Number = u64;

/// Waiters for one name, in the order of their numbers.
///
/// The first is at the head. If it is shared, so is the whole *run* of shared ones up to the first
/// exclusive one: they can hold the name side by side.
pub(super) struct Order<W> {
    shared: BTreeMap<Number, W>,
    exclusive: BTreeMap<Number, W>,
}

impl<W> Default for Order<W> {
    fn default() -> Self {
        Self {
            shared: BTreeMap::new(),
            exclusive: BTreeMap::new(),
        }
    }
}

impl<W> Order<W> {
    const fn of(&mut self, mode: Mode) -> &mut BTreeMap<Number, W> {
        match mode {
            Mode::Shared => &mut self.shared,
            Mode::Exclusive => &mut self.exclusive,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shared.len() + self.exclusive.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Inserts a waiter where its number belongs.
    pub(super) fn insert(&mut self, number: Number, mode: Mode, waiter: W) {
        self.of(mode).insert(number, waiter);
    }

    /// Takes a waiter out, if it is still there.
    pub(super) fn remove(&mut self, number: Number, mode: Mode) -> Option<W> {
        self.of(mode).remove(&number)
    }

    fn first_exclusive(&self) -> Option<Number> {
        self.exclusive.keys().next().copied()
    }

    fn first_shared(&self) -> Option<Number> {
        self.shared.keys().next().copied()
    }

    /// Whether there is an exclusive waiter with another number.
    pub(super) fn has_exclusive_besides(&self, number: Number) -> bool {
        self.exclusive.keys().any(|other| *other != number)
    }

    /// Whether a waiter is at the head.
    pub(super) fn is_head(&self, number: Number, mode: Mode) -> bool {
        match mode {
            Mode::Shared => {
                self.shared.contains_key(&number)
                    && self.first_exclusive().is_none_or(|first| number < first)
            }
            Mode::Exclusive => {
                self.first_exclusive() == Some(number)
                    && self.first_shared().is_none_or(|first| number < first)
            }
        }
    }

    /// The run of shared waiters at the head: none if the first waiter is exclusive.
    pub(super) fn run(&self) -> impl Iterator<Item = &W> {
        self.run_from(0)
    }

    /// Those of the run at the head that have this number or a larger one.
    pub(super) fn run_from(&self, number: Number) -> impl Iterator<Item = &W> {
        let end = self.first_exclusive().unwrap_or(Number::MAX);
        let run = self.shared.range(number.min(end)..end);
        run.map(|(_, waiter)| waiter)
    }

    /// The exclusive waiters before the first shared one.
    pub(super) fn exclusive_run(&self) -> impl Iterator<Item = &W> {
        let end = self.first_shared().unwrap_or(Number::MAX);
        self.exclusive.range(..end).map(|(_, waiter)| waiter)
    }

    /// The exclusive waiter at the head, if the first is one.
    pub(super) fn exclusive_head(&self) -> Option<&W> {
        self.exclusive_run().next()
    }

    /// All waiters.
    pub(super) fn all(&self) -> impl Iterator<Item = &W> {
        self.shared.values().chain(self.exclusive.values())
    }

    /// All waiters at the head.
    pub(super) fn heads(&self) -> impl Iterator<Item = &W> {
        self.run().chain(self.exclusive_head())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(modes: &str) -> Order<Number> {
        let mut order = Order::default();
        for (number, mode) in (0..).zip(modes.chars()) {
            order.insert(number, mode_of(mode), number);
        }
        order
    }

    fn mode_of(mode: char) -> Mode {
        match mode {
            'r' => Mode::Shared,
            _ => Mode::Exclusive,
        }
    }

    fn heads(order: &Order<Number>) -> Vec<Number> {
        order.heads().copied().collect()
    }

    #[test]
    fn the_first_is_at_the_head_and_a_run_of_shared_ones_is() {
        for (modes, expected) in [
            ("", &[][..]),
            ("w", &[0]),
            ("ww", &[0]),
            ("wr", &[0]),
            ("r", &[0]),
            ("rrr", &[0, 1, 2]),
            ("rrwr", &[0, 1]),
        ] {
            let order = order(modes);
            assert_eq!(heads(&order), expected, "{modes}");
            for (number, mode) in (0..).zip(modes.chars()) {
                let is_head = order.is_head(number, mode_of(mode));
                assert_eq!(is_head, expected.contains(&number), "{number} of {modes}");
            }
        }
    }

    #[test]
    fn a_waiter_that_leaves_lets_others_move_up() {
        let mut order = order("rwrw");
        assert_eq!(order.remove(1, Mode::Exclusive), Some(1));
        assert_eq!(order.remove(1, Mode::Exclusive), None);
        assert_eq!(heads(&order), [0, 2]);
        order.remove(0, Mode::Shared);
        order.remove(2, Mode::Shared);
        assert_eq!(heads(&order), [3]);
        order.remove(3, Mode::Exclusive);
        assert!(order.is_empty());
    }

    #[test]
    fn a_waiter_that_comes_back_is_where_it_was() {
        let mut order = order("www");
        order.remove(0, Mode::Exclusive);
        assert_eq!(heads(&order), [1]);
        order.insert(0, Mode::Exclusive, 0);
        assert_eq!(heads(&order), [0]);
    }

    #[test]
    fn an_order_has_as_many_waiters_as_have_entered() {
        assert!(order("").is_empty());
        let order = order("rwr");
        assert_eq!(order.len(), 3);
        assert!(!order.is_empty());
    }

    #[test]
    fn an_exclusive_waiter_is_not_besides_itself() {
        assert!(!order("rr").has_exclusive_besides(0));
        assert!(!order("rw").has_exclusive_besides(1));
        assert!(order("rw").has_exclusive_besides(0));
        assert!(order("ww").has_exclusive_besides(1));
    }
}
