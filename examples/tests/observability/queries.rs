//! The queries of the alerts and of the dashboard, and what they select.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

const ALERTS: &str = include_str!("../../observability/alerts.yml");
const DASHBOARD: &str = include_str!("../../observability/dashboard.json");
const DOCS: &str = include_str!("../../../redsync/src/docs/operators.md");

/// A query, and the alert or the panel that has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) name: String,
    pub(crate) expr: String,
    /// For how long it has to hold, if it is that of an alert.
    duration: Option<String>,
}

impl Query {
    /// The labels that it groups by, but for that of buckets.
    pub(crate) fn grouping(&self) -> BTreeSet<&str> {
        let groups = self.expr.split(" by (").skip(1);
        let groups = groups.map(|rest| rest.split_once(')').expect("a group").0);
        let labels = groups.flat_map(|group| group.split(',').map(str::trim));
        labels.collect()
    }
}

pub(crate) fn alerts() -> Vec<Query> {
    rules(ALERTS)
}

/// The alerts in the block of the docs.
pub(crate) fn alerts_of_the_docs() -> Vec<Query> {
    let (_, rest) = DOCS.split_once("```yaml\n").expect("a block");
    rules(rest.split_once("```").expect("its end").0)
}

fn rules(yaml: &str) -> Vec<Query> {
    let yaml = YamlLoader::load_from_str(yaml).expect("YAML");
    let text = |of: &Yaml, key: &str| of[key].as_str().map(str::to_owned);
    let groups = yaml[0]["groups"].as_vec().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_vec().expect("rules"));
    rules
        .map(|rule| {
            assert!(rule["annotations"]["summary"].as_str().is_some());
            Query {
                name: text(rule, "alert").expect("an alert"),
                expr: text(rule, "expr").expect("a query"),
                duration: text(rule, "for"),
            }
        })
        .collect()
}

/// The bounds of buckets that the docs recommend.
pub(crate) fn buckets_of_the_docs() -> BTreeSet<String> {
    let (_, rest) = DOCS.split_once("[0.001,").expect("buckets");
    let (bounds, _) = rest.split_once(']').expect("their end");
    let bounds = std::iter::once("0.001").chain(bounds.split(','));
    let number = |bound: &str| bound.trim().parse::<f64>().expect("a number").to_string();
    bounds.map(number).collect()
}

/// The queries of the dashboard.
pub(crate) fn panels() -> Vec<Query> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| Query {
            name: panel["title"].as_str().expect("a title").to_owned(),
            expr: target["expr"].as_str().expect("a query").to_owned(),
            duration: None,
        })
    });
    targets.collect()
}

/// The name of a metric, and what is asked of its labels.
#[derive(Debug)]
pub(crate) struct Selector {
    name: String,
    /// The values that a label may have.
    labels: BTreeMap<String, Vec<String>>,
}

impl Selector {
    /// All selectors of a query.
    pub(crate) fn all(query: &str) -> Vec<Self> {
        let starts = query.match_indices("redsync_").map(|(start, _)| start);
        starts.map(|start| Self::at(&query[start..])).collect()
    }

    fn at(text: &str) -> Self {
        let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let end = text.find(|char| !is_part(char)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let conditions = rest.strip_prefix('{').map_or("", |rest| {
            rest.split_once('}').expect("the end of a selector").0
        });
        let conditions = conditions.split(',').filter(|text| !text.is_empty());
        Self {
            name: name.to_owned(),
            labels: conditions.filter_map(condition).collect(),
        }
    }

    pub(crate) fn selects(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let has = |(label, values): (&String, &Vec<String>)| {
            labels
                .get(label)
                .is_some_and(|value| values.contains(value))
        };
        self.name == name && self.labels.iter().all(has)
    }
}

/// `label="value"` or `label=~"one|other"`. A variable of the dashboard may have any value.
fn condition(text: &str) -> Option<(String, Vec<String>)> {
    let (label, values) = text.split_once('=').expect("a condition");
    let values = values.trim_start_matches('~').trim_matches('"');
    let alternatives = values.split('|').map(str::to_owned).collect();
    (!values.starts_with('$')).then(|| (label.trim().to_owned(), alternatives))
}
