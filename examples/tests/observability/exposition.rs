//! What the endpoint prints: samples, in the text format of Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use crate::queries::Selector;

#[derive(Debug)]
pub(crate) struct Sample {
    name: String,
    pub(crate) labels: BTreeMap<String, String>,
    value: f64,
}

pub(crate) struct Exposition(Vec<Sample>);

impl Exposition {
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty());
        Self(
            lines
                .filter(|line| !line.starts_with('#'))
                .map(sample)
                .collect(),
        )
    }

    /// The samples that a selector finds.
    pub(crate) fn selected(&self, selector: &Selector) -> impl Iterator<Item = &Sample> {
        self.0
            .iter()
            .filter(|sample| selector.selects(&sample.name, &sample.labels))
    }

    pub(crate) fn values(&self, selector: &Selector) -> impl Iterator<Item = f64> {
        self.selected(selector).map(|sample| sample.value)
    }

    /// The upper bounds of the buckets of each histogram, but for the infinite one.
    pub(crate) fn histograms(&self) -> BTreeMap<&str, BTreeSet<String>> {
        let mut histograms = BTreeMap::<_, BTreeSet<_>>::new();
        for sample in &self.0 {
            if let Some(bound) = sample.labels.get("le") {
                let buckets = histograms.entry(&*sample.name).or_default();
                if bound != "+Inf" {
                    buckets.insert(bound.clone());
                }
            }
        }
        histograms
    }
}

/// No value of a label has a comma, a brace or a quote here.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect(line);
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.trim_end_matches('}').split(',');
    let label = |pair: &str| {
        let (label, value) = pair.split_once('=').expect(line);
        (label.to_owned(), value.trim_matches('"').to_owned())
    };
    Sample {
        name: name.to_owned(),
        labels: labels.filter(|pair| !pair.is_empty()).map(label).collect(),
        value: value.parse().expect(line),
    }
}
