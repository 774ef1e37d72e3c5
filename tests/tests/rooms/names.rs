//! Name resolution: from a path in one module to the module that defines the item.

use crate::modules::Modules;

/// The kind of a name, since a module and an item may have the same name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Module,
    Item,
}

/// The result of a look-up.
#[derive(Clone)]
enum Found {
    Module(usize),
    Item { module: usize, name: String },
}

/// An item of the crate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Defined {
    pub(crate) module: usize,
    pub(crate) name: String,
}

/// The item that a path in this module leads to, or [`None`] if it leads to another crate, or names
/// nothing but a module.
pub(crate) fn item(modules: &Modules, module: usize, path: &[String]) -> Option<Defined> {
    let mut names = Names {
        modules,
        under_way: Vec::new(),
    };
    match names.resolve(module, path, Kind::Item)? {
        Found::Item { module, name } => Some(Defined { module, name }),
        Found::Module(_) => None,
    }
}

/// The macro that a path in this module leads to: an item, or one that is defined in a module
/// around this one, earlier in the text.
pub(crate) fn called_macro(modules: &Modules, module: usize, path: &[String]) -> Option<Defined> {
    let is_macro = |it: &Defined| modules.get(it.module).macros.contains(&it.name);
    if let Some(found) = item(modules, module, path).filter(is_macro) {
        return Some(found);
    }
    let [name] = path else {
        return None;
    };
    let mut around = Some(module);
    while let Some(module) = around {
        let name = name.clone();
        let defined = Some(Defined { module, name }).filter(is_macro);
        if defined.is_some() {
            return defined;
        }
        around = modules.get(module).parent;
    }
    None
}

struct Names<'a> {
    modules: &'a Modules,
    /// The names that are being looked up. Imports may lead back to them.
    under_way: Vec<(usize, String, Kind)>,
}

impl Names<'_> {
    fn resolve(&mut self, from: usize, path: &[String], kind: Kind) -> Option<Found> {
        let (mut module, mut rest) = (from, path);
        while let Some((first, others)) = rest.split_first() {
            module = match &**first {
                "crate" => 0,
                "self" => module,
                "super" => self.modules.get(module).parent?,
                _ => break,
            };
            rest = others;
        }
        while let Some((name, others)) = rest.split_first() {
            if others.is_empty() {
                return self.look_up(module, name, kind);
            }
            match self.look_up(module, name, Kind::Module) {
                Some(Found::Module(inner)) => module = inner,
                // The rest of the path names a variant or an associated item.
                _ if kind == Kind::Item => return self.look_up(module, name, kind),
                _ => return None,
            }
            rest = others;
        }
        (kind == Kind::Module).then_some(Found::Module(module))
    }

    fn look_up(&mut self, module: usize, name: &str, kind: Kind) -> Option<Found> {
        let this = (module, name.to_owned(), kind);
        if self.under_way.contains(&this) {
            return None;
        }
        self.under_way.push(this);
        let found = self.look_into(module, name, kind);
        self.under_way.pop();
        found
    }

    fn look_into(&mut self, module: usize, name: &str, kind: Kind) -> Option<Found> {
        let modules = self.modules;
        let this = modules.get(module);
        match kind {
            Kind::Module => {
                if let Some(child) = this.children.get(name) {
                    return Some(Found::Module(*child));
                }
            }
            Kind::Item => {
                if this.defines.contains(name) {
                    let name = name.to_owned();
                    return Some(Found::Item { module, name });
                }
            }
        }
        let named = this.uses.iter().filter(|it| it.name.is_some());
        for import in named.filter(|it| it.name.as_deref() == Some(name)) {
            if let Some(found) = self.resolve(module, &import.path, kind) {
                return Some(found);
            }
        }
        for import in this.uses.iter().filter(|it| it.name.is_none()) {
            if let Some(Found::Module(from)) = self.resolve(module, &import.path, Kind::Module)
                && let Some(found) = self.look_up(from, name, kind)
            {
                return Some(found);
            }
        }
        None
    }
}
