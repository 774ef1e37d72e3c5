//! What has to hold in every state, and what has to happen in some.

use stateright::Property;

use super::{
    lease::Phase,
    setting::{EXPIRY_TICKS, Setting},
    world::{Mistake, World},
};
use crate::Mode;

pub(super) const EXCLUSION: &str = "no two holders at once, unless both share";
pub(super) const TOKENS: &str = "tokens are unique, and grow from one holder to the next";
pub(super) const LOST: &str = "a lock that was lost stays lost";
pub(super) const GRANTED: &str = "a lock is valid when it is granted";
pub(super) const LATE: &str = "no lock is extended or healed that is over";
pub(super) const MILESTONE: &str = "the milestone is reached";
pub(super) const CLEANED: &str = "no key outlives its lease, if nothing comes late";
pub(super) const AGAIN: &str = "when all is over, the lock can be had again";

/// What may never be broken.
pub(super) const ALL: [&str; 7] = [EXCLUSION, TOKENS, LOST, GRANTED, LATE, CLEANED, AGAIN];

pub(super) fn of(setting: &Setting) -> Vec<Property<Setting>> {
    if setting.milestone.is_some() {
        return vec![Property::sometimes(
            MILESTONE,
            |setting: &Setting, world: &World| {
                setting
                    .milestone
                    .is_some_and(|is_reached| is_reached(world))
            },
        )];
    }
    let mut properties = vec![
        Property::always(TOKENS, |_, world: &World| {
            !matches!(
                world.mistake,
                Some(Mistake::SmallToken | Mistake::RepeatedToken)
            )
        }),
        Property::always(LOST, |_, world: &World| {
            world.mistake != Some(Mistake::Revived)
        }),
        Property::always(GRANTED, |_, world: &World| {
            world.mistake != Some(Mistake::GrantedLate)
        }),
        Property::always(LATE, |_, world: &World| !world.has_extended_late),
        Property::always(CLEANED, is_cleaned),
        Property::always(AGAIN, |setting: &Setting, world: &World| {
            !world.is_quiet() || world.grants_a_fresh_attempt(setting)
        }),
        Property::sometimes("the lock is held", |_, world: &World| {
            world.leases().any(|(_, lease)| lease.is_held())
        }),
    ];
    if setting.has_validity() {
        properties.push(Property::always(EXCLUSION, is_exclusive));
    }
    if setting.is_fenced {
        properties.push(Property::sometimes(
            "counters are raised",
            |_, world: &World| {
                (world.leases()).any(|(_, lease)| matches!(lease.phase, Phase::Raising(_)))
            },
        ));
    }
    if setting.budget.extensions > 0 {
        properties.push(Property::sometimes(
            "a lock is extended",
            |setting: &Setting, world: &World| {
                let extensions = setting.budget.extensions;
                (world.leases())
                    .any(|(_, lease)| lease.phase == Phase::Held && lease.extensions < extensions)
            },
        ));
    }
    properties
}

fn is_exclusive(_: &Setting, world: &World) -> bool {
    let holders = || (world.leases()).filter(|(_, lease)| lease.believes(world.time));
    let all_share = holders().all(|(_, lease)| lease.mode() == Mode::Shared);
    all_share || holders().count() < 2
}

/// When the world is settled, no node has a key, also if another node is away.
fn is_cleaned(setting: &Setting, world: &World) -> bool {
    let (left, budget) = (world.left, setting.budget);
    // An acquisition that is carried out twice may arrive after its release, and one that is given
    // up may do so when the release is no longer repeated.
    let is_repeated = left.give_ups == budget.give_ups || world.time < EXPIRY_TICKS;
    let nothing_comes_late = left.duplicates == budget.duplicates && is_repeated;
    let is_free = || (world.servers.iter()).all(|server| server.is_free(world.time));
    !world.is_settled() || !nothing_comes_late || is_free()
}
