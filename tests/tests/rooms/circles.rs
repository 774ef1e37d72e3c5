//! The circles among imports.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::Imports;

/// Describes each circle: a set of files that all import each other, directly or through others.
pub(crate) fn of(imports: &Imports) -> Vec<String> {
    let mut direct = BTreeMap::<&str, Vec<&str>>::new();
    for (from, to, _) in imports.iter() {
        direct.entry(from).or_default().push(to);
    }
    let reached: BTreeMap<_, _> = direct.keys().map(|it| (*it, reach(&direct, it))).collect();
    let leads = |from: &str, to: &str| reached.get(from).is_some_and(|it| it.contains(to));

    let mut circles: Vec<BTreeSet<&str>> = Vec::new();
    for &file in direct.keys().filter(|it| leads(it, it)) {
        if circles.iter().any(|circle| circle.contains(file)) {
            continue;
        }
        let others = direct.keys().copied();
        circles.push(
            others
                .filter(|it| leads(file, it) && leads(it, file))
                .collect(),
        );
    }
    circles.iter().map(|circle| show(circle, imports)).collect()
}

/// The files that one file imports, directly or through others.
fn reach<'a>(direct: &BTreeMap<&'a str, Vec<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        let imported = direct.get(file).into_iter().flatten();
        next.extend(imported.copied().filter(|it| reached.insert(*it)));
    }
    reached
}

fn show(circle: &BTreeSet<&str>, imports: &Imports) -> String {
    let mut text = format!("a circle of {} modules:", circle.len());
    for (from, to, names) in imports.iter() {
        if circle.contains(from) && circle.contains(to) {
            let names: Vec<_> = names.iter().map(|it| &**it).collect();
            text += &format!("\n  {from} -> {to}: {}", names.join(", "));
        }
    }
    text
}
