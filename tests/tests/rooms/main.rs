//! How the crates' modules import each other: no module is part of a circle, and no room. A room is
//! a file at the top of a crate, together with the folder of its name.
//!
//! A module is a file. It imports another if a `use`, or a path in its code, leads to an item that the
//! other file *defines*. Re-exports are followed: a name from the root of the crate is an import of the
//! module that defines it. These are not imports:
//!
//! * the declaration of a module inside this one, and the re-export of its items;
//! * method calls, which name no module;
//! * docs, attributes, and code that is compiled for unit tests only;
//! * the arguments of a macro that are neither expressions nor statements.

mod circles;
mod imports;
mod modules;
mod names;
mod planted;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use self::imports::Imports;
use self::modules::Modules;

/// The files of a crate, by their paths below `src`.
type Sources = BTreeMap<String, String>;

#[test]
fn no_module_of_the_core_is_part_of_a_circle() {
    check("redsync", 30);
}

#[test]
fn no_module_of_the_layer_is_part_of_a_circle() {
    check("redsync-tower", 15);
}

#[test]
fn no_module_of_the_command_line_is_part_of_a_circle() {
    check("redsync-cli", 15);
}

fn check(package: &str, modules_at_least: usize) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = Modules::of(&read(&tests.parent().unwrap().join(package).join("src")));
    let imports = Imports::of(&modules);
    let (files, count) = (modules.files().count(), imports.iter().count());
    println!("{package}: {files} modules, {count} imports");
    assert!(files >= modules_at_least, "found only {files} modules");
    assert!(count >= files, "found only {count} imports");

    let circles = circles::of(&imports);
    assert!(circles.is_empty(), "{package}\n{}", circles.join("\n"));
    let circles = circles::of(&imports.between_rooms());
    assert!(circles.is_empty(), "{package}\n{}", circles.join("\n"));
}

fn read(src: &Path) -> Sources {
    let mut sources = Sources::new();
    let mut directories: Vec<PathBuf> = vec![src.into()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(src).unwrap().to_str().unwrap();
                sources.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}
