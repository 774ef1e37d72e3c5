//! How the crates' modules import each other: no module is part of a circle, and no room. A room is
//! a file at the top of a crate, together with the folder of its name.
//!
//! A module is a file. It imports another if a `use`, or a path in its code, leads to an item that
//! the other file *defines*. Re-exports are followed: a name from the root of the crate is an
//! import of the module that defines it. These are not imports:
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

use std::{collections::BTreeMap, path::Path};

use redsync_tests::files;

use self::{imports::Imports, modules::Modules};

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
    let modules = Modules::of(&read(&files::root().join(package).join("src")));
    let imports = Imports::of(&modules);
    let (found, count) = (modules.files().count(), imports.iter().count());
    println!("{package}: {found} modules, {count} imports");
    assert!(found >= modules_at_least, "found only {found} modules");
    assert!(count >= found, "found only {count} imports");

    let circles = circles::of(&imports);
    assert!(circles.is_empty(), "{package}\n{}", circles.join("\n"));
    let circles = circles::of(&imports.between_rooms());
    assert!(circles.is_empty(), "{package}\n{}", circles.join("\n"));
}

fn read(src: &Path) -> Sources {
    let name = |path: &Path| path.strip_prefix(src).unwrap().to_str().unwrap().to_owned();
    let files = files::files(src, "rs").into_iter();
    files
        .map(|path| (name(&path), files::read(&path)))
        .collect()
}
