//! What a simulation has to contain, so that its silence means something.

use std::time::Duration;

use crate::history::Figures;

/// What there is in an hour at least: a third to a half of what there was when this was written.
const OF_AN_HOUR: [(&str, u64, fn(&Figures) -> usize); 4] = [
    ("grants", 10_000, |figures| figures.grants),
    ("locks that were handed over", 450, |figures| {
        figures.hand_overs
    }),
    ("lost guards", 70, |figures| figures.lost),
    ("faults", 5_000, |figures| figures.faults),
];

/// What there is too little of in so much simulated time.
#[must_use]
pub fn shortages(figures: &Figures, time: Duration) -> Vec<String> {
    let too_few = OF_AN_HOUR.iter().filter_map(|(name, of_an_hour, count)| {
        let (count, least) = (count(figures) as u64, of_an_hour * time.as_secs() / 3600);
        (count < least)
            .then(|| format!("{count} {name} are too few; at least {least} were expected"))
    });
    too_few.collect()
}

#[test]
fn a_simulation_in_which_little_happens_is_refused() {
    let time = Duration::from_secs(3 * 1800);
    let enough = Figures {
        grants: 15_000,
        hand_overs: 675,
        lost: 105,
        faults: 7_500,
        ..Figures::default()
    };
    assert_eq!(shortages(&enough, time), [""; 0]);
    let less = |change: fn(&mut Figures)| {
        let mut figures = enough;
        change(&mut figures);
        shortages(&figures, time)
    };
    let few_grants = "14999 grants are too few; at least 15000 were expected";
    assert_eq!(less(|figures| figures.grants -= 1), [few_grants]);
    assert_eq!(less(|figures| figures.hand_overs -= 1).len(), 1);
    assert_eq!(less(|figures| figures.lost -= 1).len(), 1);
    assert_eq!(less(|figures| figures.faults -= 1).len(), 1);
    // Clients that idle.
    assert_eq!(shortages(&Figures::default(), time).len(), 4);
}
