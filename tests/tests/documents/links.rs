//! The links between documents lead to files and headings that exist. (rustdoc checks those to
//! items.)

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use redsync_tests::files::{files, read, root};

#[test]
fn each_link_of_a_document_leads_to_a_file_and_a_heading() {
    let documents: BTreeMap<PathBuf, String> = files(&root(), "md")
        .into_iter()
        .map(|path| (path.canonicalize().expect("a file"), read(&path)))
        .collect();
    assert!(documents.len() > 10, "{:?}", documents.keys());
    let mut broken = Vec::new();
    let mut links = 0;
    for (path, text) in &documents {
        for link in targets(text).filter(|link| !is_elsewhere(path, link)) {
            links += 1;
            if let Err(reason) = follow(path, &link, &documents) {
                broken.push(format!("{}: {link}: {reason}", path.display()));
            }
        }
    }
    assert!(links > 30, "{links} links");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Whether a link leads out of the repository, or from a page of a crate's docs to an item.
fn is_elsewhere(from: &Path, link: &str) -> bool {
    let target = link.split('#').next().unwrap_or_default();
    let is_page = from
        .parent()
        .is_some_and(|folder| folder.ends_with("src/docs"));
    let is_item = is_page && !target.is_empty() && !target.contains(['/', '.']);
    link.contains("://") || link.starts_with("mailto:") || is_item
}

fn follow(from: &Path, link: &str, documents: &BTreeMap<PathBuf, String>) -> Result<(), String> {
    let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
    let folder = from.parent().expect("a file is in a folder");
    let path = if target.is_empty() {
        from.to_owned()
    } else {
        let path = folder.join(target).canonicalize();
        path.map_err(|error| error.to_string())?
    };
    if anchor.is_empty() {
        return Ok(());
    }
    let text = documents.get(&path).ok_or("not a document")?;
    if headings(text).any(|heading| heading == anchor) {
        Ok(())
    } else {
        Err("no such heading".to_owned())
    }
}

/// The lines that are not part of a block of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// What the links of a document lead to: `[text](target)` and `[text]: target`.
fn targets(text: &str) -> impl Iterator<Item = String> {
    prose(text).flat_map(|line| {
        let inline = line.match_indices("](").filter_map(|(at, _)| {
            let target = line[at + 2..].split([')', ' ']).next();
            target.filter(|target| !target.is_empty())
        });
        let definition = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("]: "))
            .map(|(_, target)| target);
        let all: Vec<_> = inline.chain(definition).map(str::to_owned).collect();
        all
    })
}

/// The anchors of the headings, as GitHub and rustdoc make them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let headings = prose(text).filter_map(|line| {
        let heading = line.trim_start_matches('#');
        heading.strip_prefix(' ').filter(|_| line.starts_with('#'))
    });
    headings.map(|heading| {
        let heading = heading.trim().to_lowercase();
        let kept = heading
            .chars()
            .filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
        kept.map(|it| if it == ' ' { '-' } else { it }).collect()
    })
}

#[test]
fn a_broken_link_is_found() {
    let here = root().join("README.md");
    let documents = BTreeMap::from([(here.clone(), "# What *it* is\n".to_owned())]);
    let follow = |link| follow(&here, link, &documents);
    assert_eq!(follow("#what-it-is"), Ok(()));
    assert!(follow("#what-it-was").is_err());
    assert_eq!(follow("LICENSE"), Ok(()));
    assert!(follow("LICENCE").is_err());
    let text = "[a](b.md#c), [d](e)\n```\n[no](link)\n```\n[f]: g.md\n";
    assert!(targets(text).eq(["b.md#c", "e", "g.md"]));
}
