//! The goals that redsync has set itself, and whether this run meets them.

mod list;

use redsync_tests::bench::{Bound, aligned};

use crate::{
    figures::Figures,
    implementation::Implementation,
    results::{Measured, Results, Subject},
    setting::Setting,
};

type Figure = fn(&Figures) -> Option<f64>;

const P50: Figure = |it| it.p50_us;
const PER_SECOND: Figure = |it| it.ops_per_s;
const CPU: Figure = |it| it.cpu_us();

/// A figure, which is made of the figures of one or more measurements, and its bound.
struct Goal {
    what: String,
    bound: Bound,
    /// The measurements that the figure needs.
    subjects: Vec<Subject>,
    /// Computes the figure from these measurements, in this order.
    figure: Box<dyn Fn(&[&Measured]) -> Option<f64>>,
}

/// One line for each goal: the figure, the bound, the measured value, and whether the goal is met.
pub(crate) fn of(results: &Results) -> String {
    let mut lines = vec![["goal", "bound", "measured", ""].map(str::to_owned).into()];
    lines.extend(list::all().iter().map(|goal| goal.line(results)));
    aligned(&lines, 1)
}

/// Everything that the goals need measured.
pub(crate) fn subjects() -> Vec<Subject> {
    list::all()
        .into_iter()
        .flat_map(|goal| goal.subjects)
        .collect()
}

impl Goal {
    /// A goal about a figure of one measurement.
    fn of(
        what: &str,
        (setting, implementation): Subject,
        bound: Bound,
        figure: impl Fn(&Figures) -> Option<f64> + 'static,
    ) -> Self {
        Self {
            what: format!("{setting}: {what}"),
            bound,
            subjects: vec![(setting, implementation)],
            figure: Box::new(move |measured| figure(&measured[0].figures())),
        }
    }

    /// A goal about the ratio of two measurements' figures.
    fn ratio(
        what: &str,
        (ours, figure): (Subject, Figure),
        (theirs, other): (Subject, Figure),
        bound: Bound,
    ) -> Self {
        Self {
            what: format!("{}: {what}", ours.0),
            bound,
            subjects: vec![ours, theirs],
            figure: Box::new(move |measured| {
                Some(figure(&measured[0].figures())? / other(&measured[1].figures())?)
            }),
        }
    }

    /// A goal about the ratio of a figure to the same figure of a peer.
    fn beside(
        peer: Implementation,
        setting: Setting,
        (name, figure): (&str, Figure),
        bound: Bound,
    ) -> Self {
        let ours = ((setting, Implementation::Deadpool), figure);
        let what = format!("{name} / that of {}", peer.title());
        Self::ratio(&what, ours, ((setting, peer), figure), bound)
    }

    fn line(&self, results: &Results) -> Vec<String> {
        let measured: Option<Vec<_>> = self
            .subjects
            .iter()
            .map(|(setting, implementation)| results.find(setting, *implementation))
            .collect();
        let figure = measured.and_then(|measured| (self.figure)(&measured));
        let verdict = self.bound.verdict(figure);
        let figure = figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.2}"));
        let bound = self.bound.text(|limit| format!("{limit:.2}"));
        vec![self.what.clone(), bound, figure, verdict.to_owned()]
    }
}
