//! Which file imports which, and for which names.

use std::collections::{BTreeMap, BTreeSet};

use syn::{
    Attribute, Block, Expr, ImplItem, Item, Macro, Path, Token, Visibility,
    punctuated::Punctuated,
    visit::{self, Visit},
};

use crate::{
    modules::{self, Modules},
    names::{self, Defined},
};

/// The imports from one file to another, with their names.
#[derive(Default)]
pub(crate) struct Imports(BTreeMap<(String, String), BTreeSet<String>>);

impl Imports {
    pub(crate) fn of(modules: &Modules) -> Self {
        let mut imports = Self::default();
        for (index, module) in modules.iter() {
            for import in module.uses.iter().filter(|it| it.name.is_some()) {
                let Some(defined) = names::item(modules, index, &import.path) else {
                    continue;
                };
                if !(import.exported && is_inside(modules, defined.module, index)) {
                    imports.add(modules, index, defined);
                }
            }
            let mut code = Code {
                modules,
                module: index,
                imports: &mut imports,
            };
            module.items.iter().for_each(|item| code.visit_item(item));
        }
        imports
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &BTreeSet<String>)> {
        self.0
            .iter()
            .map(|((from, to), names)| (&**from, &**to, names))
    }

    /// The imports between rooms: a file and the folder of its name are one.
    pub(crate) fn between_rooms(&self) -> Self {
        let mut rooms = Self::default();
        for ((from, to), names) in &self.0 {
            let (from, to) = (room(from), room(to));
            if from != to {
                let all = rooms.0.entry((from.into(), to.into())).or_default();
                all.extend(names.iter().cloned());
            }
        }
        rooms
    }

    fn add(&mut self, modules: &Modules, from: usize, Defined { module, name }: Defined) {
        let (from, to) = (&modules.get(from).file, &modules.get(module).file);
        if from != to {
            let names = self.0.entry((from.clone(), to.clone())).or_default();
            names.insert(name);
        }
    }
}

fn room(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first)
}

fn is_inside(modules: &Modules, module: usize, outer: usize) -> bool {
    let mut around = Some(module);
    while let Some(module) = around {
        if module == outer {
            return true;
        }
        around = modules.get(module).parent;
    }
    false
}

/// The code of one module, without what is in the modules inside it.
struct Code<'a> {
    modules: &'a Modules,
    module: usize,
    imports: &'a mut Imports,
}

impl<'a> Visit<'a> for Code<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        if !matches!(item, Item::Mod(_)) && !modules::of_tests(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'a ImplItem) {
        if !modules::of_tests_in_impl(item) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_attribute(&mut self, _: &'a Attribute) {}

    fn visit_visibility(&mut self, _: &'a Visibility) {}

    fn visit_path(&mut self, path: &'a Path) {
        if let Some(path) = segments(path)
            && let Some(defined) = names::item(self.modules, self.module, &path)
        {
            self.imports.add(self.modules, self.module, defined);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'a Macro) {
        if let Some(path) = segments(&called.path)
            && let Some(defined) = names::called_macro(self.modules, self.module, &path)
        {
            self.imports.add(self.modules, self.module, defined);
        }
        let expressions = Punctuated::<Expr, Token![,]>::parse_terminated;
        if let Ok(expressions) = called.parse_body_with(expressions) {
            // They have a shorter lifetime than the code around them.
            let mut inside = self.inside();
            expressions.iter().for_each(|it| inside.visit_expr(it));
        } else if let Ok(statements) = called.parse_body_with(Block::parse_within) {
            let mut inside = self.inside();
            statements.iter().for_each(|it| inside.visit_stmt(it));
        }
    }
}

impl Code<'_> {
    const fn inside(&mut self) -> Code<'_> {
        Code {
            modules: self.modules,
            module: self.module,
            imports: self.imports,
        }
    }
}

/// The segments of a path that may lead into this crate.
fn segments(path: &Path) -> Option<Vec<String>> {
    let segments = path.segments.iter().map(|it| it.ident.to_string());
    path.leading_colon.is_none().then(|| segments.collect())
}
