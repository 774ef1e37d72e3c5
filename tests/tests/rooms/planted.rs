//! Tests of the check itself, with planted circles and with code that has none.

use crate::{Sources, circles, imports::Imports, modules::Modules};

fn circles_in<const N: usize>(files: [(&str, &str); N]) -> Vec<String> {
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
    circles::of(&Imports::of(&Modules::of(&Sources::from(files))))
}

fn imports_in<const N: usize>(files: [(&str, &str); N]) -> Vec<String> {
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
    Imports::of(&Modules::of(&Sources::from(files)))
        .iter()
        .flat_map(|(from, to, names)| names.iter().map(move |it| format!("{from} {to} {it}")))
        .collect()
}

#[test]
fn two_modules_that_import_each_other_are_a_circle() {
    let circles = circles_in([
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::{B, make}; pub struct A;"),
        ("b.rs", "use super::a::A; pub struct B; pub fn make() {}"),
        ("c.rs", "use crate::a::A;"),
    ]);
    let text = "a circle of 2 modules:\n  a.rs -> b.rs: B, make\n  b.rs -> a.rs: A";
    assert_eq!(circles, [text]);
}

#[test]
fn two_rooms_whose_files_import_each_other_are_a_circle() {
    let sources = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "mod c; pub struct A;"),
        ("a/c.rs", "use crate::b::B;"),
        ("b.rs", "use crate::a::A; pub struct B;"),
    ];
    assert_eq!(circles_in(sources), [""; 0]);
    let sources = sources.map(|(file, text)| (file.to_owned(), text.to_owned()));
    let imports = Imports::of(&Modules::of(&Sources::from(sources)));
    let text = "a circle of 2 modules:\n  a -> b: B\n  b -> a: A";
    assert_eq!(circles::of(&imports.between_rooms()), [text]);
}

#[test]
fn each_circle_is_shown_with_all_its_imports() {
    let circles = circles_in([
        ("lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "use crate::a::A; use crate::d::D; pub struct C;"),
        ("d.rs", "use crate::e::E; pub struct D;"),
        ("e.rs", "use crate::d::D; pub struct E;"),
    ]);
    let first = "a circle of 3 modules:\n  a.rs -> b.rs: B\n  b.rs -> c.rs: C\n  c.rs -> a.rs: A";
    let second = "a circle of 2 modules:\n  d.rs -> e.rs: E\n  e.rs -> d.rs: D";
    assert_eq!(circles, [first, second]);
}

#[test]
fn re_exports_hide_no_circle() {
    let a = ("a.rs", "use crate::Guard; pub struct A;");
    for root in [
        "mod a; mod b; pub use self::b::c::Guard;",
        "mod a; mod b; pub use b::Guard;",
        "mod a; mod b; pub use b::*;",
        "mod a; mod b; pub use crate::b::c::Inner as Guard;",
        "mod a; mod b; pub use self::inner::Guard; mod inner { pub use super::b::Guard; }",
    ] {
        let circles = circles_in([
            ("lib.rs", root),
            a,
            ("b.rs", "pub mod c; pub use self::c::Guard;"),
            (
                "b/c.rs",
                "use crate::a::A; pub struct Guard; pub struct Inner;",
            ),
        ]);
        assert_eq!(circles.len(), 1, "{root}");
        assert!(circles[0].contains("a.rs -> b/c.rs: "), "{}", circles[0]);
    }
}

#[test]
fn a_re_export_is_not_an_import_of_the_module_that_re_exports() {
    let imports = imports_in([
        ("lib.rs", "mod a; mod b; pub use self::b::B;"),
        ("a.rs", "use crate::{B, b::C};"),
        ("b.rs", "mod c; pub use self::c::C; pub struct B;"),
        ("b/c.rs", "pub struct C;"),
    ]);
    assert_eq!(imports, ["a.rs b.rs B", "a.rs b/c.rs C"]);
}

#[test]
fn a_module_that_exports_an_item_of_another_module_imports_it() {
    let imports = imports_in([
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "pub use crate::b::B;"),
        ("b.rs", "pub struct B;"),
    ]);
    assert_eq!(imports, ["a.rs b.rs B"]);
}

#[test]
fn parent_and_child_that_use_each_other_are_a_circle() {
    for parent in [
        "mod b; use self::b::B; pub struct A(B);",
        "mod b; pub use self::b::B; pub struct A(B);",
        "mod b; pub struct A(b::B);",
        "mod b; pub struct A; impl A { fn b() { let _ = b::B; } }",
    ] {
        let circles = circles_in([
            ("lib.rs", "mod a;"),
            ("a.rs", parent),
            ("a/b.rs", "use super::A; pub struct B;"),
        ]);
        assert_eq!(circles.len(), 1, "{parent}");
    }
    let circles = circles_in([
        ("lib.rs", "mod a;"),
        ("a.rs", "mod b; pub use self::b::B; pub struct A;"),
        ("a/b.rs", "use super::*; pub struct B(A);"),
    ]);
    assert!(circles.is_empty(), "the parent only re-exports");
}

#[test]
fn code_imports_what_its_paths_name() {
    let b = "pub struct B; pub enum E { V } pub fn f() {} pub const C: u8 = 0; pub trait T {}";
    for (code, name) in [
        ("fn x() { crate::b::f(); }", "f"),
        ("use crate::b; fn x() { b::f() }", "f"),
        ("use super::b::{self}; fn x() { b::f() }", "f"),
        ("use crate::b as z; fn x() -> z::B { todo!() }", "B"),
        ("use crate::b::*; fn x(_: Option<&B>) {}", "B"),
        ("fn x() { use crate::b::E::*; }", ""),
        ("fn x() { use crate::b::E::V; }", "E"),
        ("fn x() { match y { super::b::E::V => {} } }", "E"),
        ("fn x() { println!(\"{}\", crate::b::C); }", "C"),
        ("fn x() { vec![crate::b::C; 2]; }", "C"),
        ("struct X; impl crate::b::T for X {}", "T"),
        ("fn x(_: impl crate::b::T) {}", "T"),
        ("fn x() { <crate::b::B>::new(); }", "B"),
        ("mod inner { fn x() { super::super::b::f() } }", "f"),
    ] {
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", code), ("b.rs", b)];
        let expected = [format!("a.rs b.rs {name}")];
        let expected = if name.is_empty() { &[] } else { &expected[..] };
        assert_eq!(imports_in(files), expected, "{code}");
    }
}

#[test]
fn macros_are_imported_from_where_they_are_defined() {
    let imports = imports_in([
        (
            "lib.rs",
            "macro_rules! m { () => {} } mod a; mod b; fn f() {}",
        ),
        ("a.rs", "fn x() { m!(); f!(); println!(); crate::b::n!(); }"),
        ("b.rs", "macro_rules! n { () => {} } pub(crate) use n;"),
    ]);
    assert_eq!(imports, ["a.rs b.rs n", "a.rs lib.rs m"]);
}

#[test]
fn docs_tests_and_other_crates_are_not_imports() {
    for code in [
        "#[cfg(test)] mod tests { use crate::b::B; }",
        "#[cfg(test)] mod tests;",
        "#[cfg(all(test, feature = \"x\"))] use crate::b::B;",
        "struct A; impl A { #[cfg(test)] fn x() -> crate::b::B { todo!() } }",
        "//! [`B`](crate::b::B)",
        "/// [`B`](crate::b::B)\nstruct A;",
        "fn x() { b.f(); }",
        "use ::b::B; fn x() { ::b::f() }",
        "use b::b; use x::y::*; fn x() { b() }",
        "use y as y; fn x() { y::y() }",
        "fn x() { select! { x = crate::b::f() => {} } }",
    ] {
        let b = "pub struct B; pub fn f() {}";
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", code), ("b.rs", b)];
        assert_eq!(imports_in(files), [""; 0], "{code}");
    }
    let imports = imports_in([
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "#[cfg(any(test, feature = \"x\"))] use crate::b::B;",
        ),
        ("b.rs", "pub struct B;"),
    ]);
    assert_eq!(
        imports,
        ["a.rs b.rs B"],
        "the import exists without tests, too"
    );
}
