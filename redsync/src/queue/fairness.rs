//! What is seen from here of other processes that want a name, and how to treat them.
//!
//! Processes that wait for one name do not know of each other. What one can see is that the name was held
//! when nobody here had it, and how often it changed hands. From that comes how long this process may
//! keep it, for how long it stays back when it has given it up, and whether it lets others come first.

use std::time::Duration;

use tokio::time::Instant;

/// For how long after another process was seen its wants are reckoned with.
const RIVALRY: Duration = Duration::from_millis(500);

/// By how much a turn is shorter while another process wants the name.
const RIVALS_PART: u32 = 10;

/// For how long a process stays back at the least, if others are known to want the name.
const SHORTEST_COURTESY: Duration = Duration::from_millis(1);

/// After staying back in vain so often in a row, they are gone.
const IN_VAIN: u32 = 4;

/// What a turn counts as at the least, where it is about staying back.
const SHORTEST_TURN: Duration = Duration::from_millis(10);

/// The longest time, in turns of others, for which a process lets those come first who have waited for
/// longer.
const MOST_TURNS: u32 = 3;

/// After so many turns that came earlier than usual, they are usual.
const NOTICED: u32 = 8;

#[derive(Default)]
pub(crate) struct Fairness {
    seen: Option<Instant>,
    /// How many turns they had since the last of this process, and how many that usually are.
    turns: u32,
    usual: u32,
    /// How many of its own came earlier than usual, in a row.
    early: u32,
    /// What is known to be too short for them to come, and how often in a row they did not.
    too_short: Duration,
    in_vain: u32,
    /// When this process last stayed back for others of whom it knew nothing, and how often it did.
    stayed_back: Option<Instant>,
    stays: u32,
}

impl Fairness {
    /// Another process was seen with the name.
    pub(crate) const fn seen(&mut self, now: Instant) {
        self.seen = Some(now);
        self.in_vain = 0;
    }

    fn are_there(&self, now: Instant) -> bool {
        self.seen.is_some_and(|seen| now - seen < RIVALRY)
    }

    /// For how long this process may keep the name, if that would be `turn` without them.
    pub(crate) fn turn(&self, turn: Duration, now: Instant) -> Duration {
        if self.are_there(now) {
            turn / RIVALS_PART
        } else {
            turn
        }
    }

    /// For how long to stay back when the name was given up, if at all.
    ///
    /// Who is told of it may be farther from the nodes than this process, and need longer to come than it
    /// takes to look whether they have. So it stays back if others are there, for twice as long if nobody
    /// came; and now and then if none are known, or they would never be.
    pub(crate) fn courtesy(&mut self, turn: Duration, now: Instant) -> Option<Duration> {
        let turn = turn.max(SHORTEST_TURN);
        if self.are_there(now) {
            return Some((2 * self.too_short).clamp(SHORTEST_COURTESY, turn / 2));
        }
        self.too_short = Duration::ZERO;
        if now - *self.stayed_back.get_or_insert(now) < RIVALRY {
            return None;
        }
        self.stayed_back = Some(now);
        self.stays = self.stays.wrapping_add(1);
        // The long ones are so few that they are not felt.
        let part = if self.stays.is_multiple_of(8) { 1 } else { 8 };
        Some(turn / part)
    }

    /// Nobody came while this process stayed back for so long.
    pub(crate) const fn nobody_came(&mut self, pause: Duration) {
        self.too_short = pause;
        self.in_vain += 1;
        if self.in_vain == IN_VAIN {
            self.in_vain = 0;
            self.seen = None;
        }
    }

    /// The turn of another has ended: for how many looks to give way.
    ///
    /// Those come first who have waited for more turns than usual, so that turns go about, where it would
    /// be chance.
    pub(crate) const fn turn_ended(&mut self) -> u32 {
        self.turns = self.turns.saturating_add(1);
        self.usual.saturating_sub(self.turns)
    }

    pub(crate) fn own_turn_begins(&mut self) {
        let turns = self.turns.min(MOST_TURNS);
        self.turns = 0;
        self.early = if turns < self.usual {
            self.early + 1
        } else {
            0
        };
        if turns > self.usual || self.early == NOTICED {
            self.usual = turns;
            self.early = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_millis(48);

    #[test]
    fn turns_are_short_while_others_want_the_name() {
        let mut fairness = Fairness::default();
        let now = Instant::now();
        assert_eq!(fairness.turn(TURN, now), TURN);
        fairness.seen(now);
        assert_eq!(fairness.turn(TURN, now), TURN / RIVALS_PART);
        assert_eq!(fairness.turn(TURN, now + RIVALRY), TURN);
    }

    #[test]
    fn who_stays_back_in_vain_stays_back_for_longer() {
        let mut fairness = Fairness::default();
        let now = Instant::now();
        fairness.seen(now);
        for stays in 0..IN_VAIN {
            let pause = SHORTEST_COURTESY * (1 << stays);
            assert_eq!(fairness.courtesy(TURN, now), Some(pause));
            fairness.nobody_came(pause);
        }
        // They are gone.
        assert_eq!(fairness.courtesy(TURN, now), None);
        assert_eq!(fairness.turn(TURN, now), TURN);
    }

    #[test]
    fn for_those_who_came_it_stays_back_for_as_long_as_it_took() {
        let mut fairness = Fairness::default();
        let mut now = Instant::now();
        fairness.seen(now);
        let far = Duration::from_millis(5);
        for _ in 0..20 {
            let pause = fairness.courtesy(TURN, now).unwrap();
            if pause < far {
                fairness.nobody_came(pause);
            } else {
                assert_eq!(pause, Duration::from_millis(8));
                fairness.seen(now);
            }
            now += RIVALRY / 10;
        }
    }

    #[test]
    fn strangers_are_given_a_chance_now_and_then() {
        let mut fairness = Fairness::default();
        let mut now = Instant::now();
        assert_eq!(fairness.courtesy(TURN, now), None);
        for stays in 1..=16 {
            assert_eq!(fairness.courtesy(TURN, now + RIVALRY / 2), None);
            now += RIVALRY;
            let part = if stays % 8 == 0 { 1 } else { 8 };
            assert_eq!(fairness.courtesy(TURN, now), Some(TURN / part));
        }
    }

    #[test]
    fn who_has_waited_for_as_many_turns_as_usual_gives_way_to_nobody() {
        let mut fairness = Fairness::default();
        let turn_after = |fairness: &mut Fairness, turns| {
            let looks: Vec<_> = (0..turns).map(|_| fairness.turn_ended()).collect();
            fairness.own_turn_begins();
            looks
        };
        assert_eq!(turn_after(&mut fairness, 5), [0; 5]);
        assert_eq!(turn_after(&mut fairness, 3), [2, 1, 0]);
        // One process less.
        for _ in 0..NOTICED {
            assert_eq!(turn_after(&mut fairness, 2), [2, 1]);
        }
        assert_eq!(turn_after(&mut fairness, 2), [1, 0]);
    }
}
