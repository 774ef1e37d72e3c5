//! Sets of instants, as intervals.

/// Disjoint intervals in their order. An interval contains its beginning, but not its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Intervals(Vec<(u64, u64)>);

impl Intervals {
    /// The instants at which at least `count` of the intervals are current.
    pub(super) fn of_at_least(
        count: usize,
        intervals: impl IntoIterator<Item = (u64, u64)>,
    ) -> Self {
        let ends = intervals.into_iter().filter(|(from, to)| from < to);
        let mut changes: Vec<_> = ends
            .flat_map(|(from, to)| [(from, 1_isize), (to, -1)])
            .collect();
        changes.sort_unstable();
        let (mut merged, mut current, mut since) = (Vec::new(), 0, None);
        let mut changes = changes.into_iter().peekable();
        while let Some((at, change)) = changes.next() {
            current += change;
            if changes.peek().is_some_and(|(next, _)| *next == at) {
                continue;
            }
            match (since, current >= count as isize) {
                (None, true) => since = Some(at),
                (Some(from), false) => {
                    merged.push((from, at));
                    since = None;
                }
                _ => {}
            }
        }
        Self(merged)
    }

    /// How much of the time from one instant to another is in the intervals.
    pub(super) fn time_within(&self, from: u64, to: u64) -> u64 {
        let parts = self.parts_within(from, to).map(|(from, to)| to - from);
        parts.sum()
    }

    /// The longest time without a break, from one instant to another, that is in the intervals.
    pub(super) fn longest_within(&self, from: u64, to: u64) -> u64 {
        let parts = self.parts_within(from, to).map(|(from, to)| to - from);
        parts.max().unwrap_or_default()
    }

    /// What is within the intervals, from one instant to another.
    pub(super) fn parts_within(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
        let first = self.0.partition_point(|(_, end)| *end <= from);
        let later = self.0[first..].iter();
        let parts = later.take_while(move |(begin, _)| *begin < to);
        parts.map(move |(begin, end)| (from.max(*begin), to.min(*end)))
    }
}

#[test]
fn what_is_within_several_intervals_is_counted() {
    let intervals = || [(0, 10), (5, 15), (15, 20), (30, 30)];
    let (once, twice) = (
        Intervals::of_at_least(1, intervals()),
        Intervals::of_at_least(2, intervals()),
    );
    assert_eq!(once.time_within(0, 100), 20);
    assert_eq!(once.longest_within(3, 100), 17);
    assert_eq!(twice.time_within(0, 100), 5);
    assert_eq!(twice.time_within(7, 9), 2);
    assert_eq!(twice.time_within(10, 100), 0);
}
