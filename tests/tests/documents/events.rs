//! The page for operators has each warning and error of both crates.

use redsync_tests::files::{files, read, root};
use syn::visit::{self, Visit};

/// Collects the messages of `warn!` and `error!`.
#[derive(Default)]
struct Messages {
    found: Vec<String>,
    /// The texts that a variable `message` can have, which an event then prints.
    indirect: Vec<String>,
    has_indirect: bool,
}

impl<'ast> Visit<'ast> for Messages {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let syn::Pat::Ident(variable) = &local.pat
            && variable.ident == "message"
            && let Some(init) = &local.init
        {
            let mut texts = Texts::default();
            texts.visit_expr(&init.expr);
            self.indirect.extend(texts.0);
        }
        visit::visit_local(self, local);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call.path.segments.last().expect("a macro has a name");
        if name.ident != "warn" && name.ident != "error" {
            return;
        }
        // The message comes last.
        let tokens = call.tokens.clone().into_iter();
        let texts = tokens.filter_map(|token| syn::parse2::<syn::LitStr>(token.into()).ok());
        match texts.last().expect("an event has a message").value() {
            message if message == "{message}" => self.has_indirect = true,
            message => self.found.push(message),
        }
    }
}

/// Collects literals.
#[derive(Default)]
struct Texts(Vec<String>);

impl<'ast> Visit<'ast> for Texts {
    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.0.push(literal.value());
    }
}

fn messages() -> Vec<String> {
    let mut all = Vec::new();
    for package in ["redsync", "redsync-tower"] {
        for path in files(&root().join(package).join("src"), "rs") {
            let file = syn::parse_file(&read(&path)).expect("a file of Rust");
            let mut messages = Messages::default();
            messages.visit_file(&file);
            all.append(&mut messages.found);
            if messages.has_indirect {
                assert!(!messages.indirect.is_empty(), "{}", path.display());
                all.append(&mut messages.indirect);
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

#[test]
fn the_page_for_operators_has_each_warning_and_error() {
    let page = read(&root().join("redsync/src/docs/operators.md"));
    let messages = messages();
    assert!(messages.len() > 15, "{messages:#?}");
    let missing: Vec<_> = messages
        .iter()
        .filter(|message| !page.contains(&format!("| `{message}` |")))
        .collect();
    assert!(missing.is_empty(), "not on the page: {missing:#?}");
}

#[test]
fn the_page_for_operators_has_no_event_that_does_not_exist() {
    let page = read(&root().join("redsync/src/docs/operators.md"));
    let messages = messages();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    for event in rows.filter_map(|row| row.split_once('`')).map(|it| it.0) {
        assert!(messages.iter().any(|message| message == event), "{event}");
    }
}
