//! The modules of a crate, and what each defines and imports, from its sources.

use std::collections::{BTreeMap, BTreeSet};

use syn::{
    Attribute, ImplItem, Item, ItemMod, ItemUse, Meta, UseTree, Visibility,
    visit::{self, Visit},
};

use crate::Sources;

/// All modules, the root first. An inline module has an entry of its own, with the same file.
pub(crate) struct Modules(Vec<Module>);

#[derive(Default)]
pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) parent: Option<usize>,
    pub(crate) children: BTreeMap<String, usize>,
    /// The names that it defines, except the names of modules.
    pub(crate) defines: BTreeSet<String>,
    /// The defined names that are macros.
    pub(crate) macros: BTreeSet<String>,
    /// All of its imports, those inside functions included.
    pub(crate) uses: Vec<Use>,
    pub(crate) items: Vec<Item>,
    /// The directory of its children's files.
    directory: String,
}

/// One name of a `use`, or all names of a module.
pub(crate) struct Use {
    pub(crate) path: Vec<String>,
    /// [`None`] for `*`.
    pub(crate) name: Option<String>,
    pub(crate) exported: bool,
}

impl Modules {
    /// Reads `lib.rs`, or the `main.rs` of a program, and the modules that it leads to.
    pub(crate) fn of(sources: &Sources) -> Self {
        let is_library = sources.contains_key("lib.rs");
        let root = if is_library { "lib.rs" } else { "main.rs" };
        let mut modules = Self(vec![Module {
            file: root.to_owned(),
            ..Module::default()
        }]);
        let items = parse(root, &sources[root]);
        modules.fill(0, items, sources);
        modules
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Module)> {
        self.0.iter().enumerate()
    }

    pub(crate) fn get(&self, module: usize) -> &Module {
        &self.0[module]
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        let files: BTreeSet<_> = self.0.iter().map(|module| &*module.file).collect();
        files.into_iter()
    }

    fn fill(&mut self, module: usize, items: Vec<Item>, sources: &Sources) {
        let mut found = Found::default();
        items.iter().for_each(|item| found.visit_item(item));
        let this = &mut self.0[module];
        this.defines.extend(found.defines);
        this.defines.extend(found.macros.iter().cloned());
        this.macros.extend(found.macros);
        this.uses.extend(found.uses);
        this.items.extend(items);
        for child in found.children {
            self.add(module, child, sources);
        }
    }

    fn add(&mut self, parent: usize, declared: ItemMod, sources: &Sources) {
        let above = &self.0[parent];
        let name = declared.ident.to_string();
        let directory = format!("{}{name}/", above.directory);
        let (file, items) = if let Some((_, items)) = declared.content {
            (above.file.clone(), items)
        } else {
            let files = [
                format!("{}{name}.rs", above.directory),
                format!("{directory}mod.rs"),
            ];
            let file = files.into_iter().find(|file| sources.contains_key(file));
            let file = file.unwrap_or_else(|| panic!("{} has no file for {name}", above.file));
            let items = parse(&file, &sources[&file]);
            (file, items)
        };
        let module = match self.0[parent].children.get(&name) {
            // It is declared again, for other features.
            Some(module) => *module,
            None => self.0.len(),
        };
        if module == self.0.len() {
            self.0.push(Module {
                file,
                parent: Some(parent),
                directory,
                ..Module::default()
            });
            self.0[parent].children.insert(name, module);
        }
        self.fill(module, items, sources);
    }
}

fn parse(file: &str, text: &str) -> Vec<Item> {
    match syn::parse_file(text) {
        Ok(file) => file.items,
        Err(error) => panic!("{file} cannot be parsed: {error}"),
    }
}

/// What the items of one module declare.
#[derive(Default)]
struct Found {
    defines: Vec<String>,
    macros: Vec<String>,
    uses: Vec<Use>,
    children: Vec<ItemMod>,
}

impl<'a> Visit<'a> for Found {
    fn visit_item(&mut self, item: &'a Item) {
        if of_tests(item) {
            return;
        }
        match item {
            Item::Mod(module) => return self.children.push(module.clone()),
            Item::Use(item) => self.add_use(item),
            Item::Macro(item) => {
                let name = item.ident.as_ref().map(ToString::to_string);
                self.macros.extend(name);
            }
            _ => {}
        }
        let defined = match item {
            Item::Const(it) => Some(&it.ident),
            Item::Enum(it) => Some(&it.ident),
            Item::Fn(it) => Some(&it.sig.ident),
            Item::Static(it) => Some(&it.ident),
            Item::Struct(it) => Some(&it.ident),
            Item::Trait(it) => Some(&it.ident),
            Item::TraitAlias(it) => Some(&it.ident),
            Item::Type(it) => Some(&it.ident),
            Item::Union(it) => Some(&it.ident),
            _ => None,
        };
        self.defines.extend(defined.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'a ImplItem) {
        if !of_tests_in_impl(item) {
            visit::visit_impl_item(self, item);
        }
    }
}

impl Found {
    fn add_use(&mut self, item: &ItemUse) {
        if item.leading_colon.is_none() {
            let exported = !matches!(item.vis, Visibility::Inherited);
            self.add_tree(&item.tree, &[], exported);
        }
    }

    fn add_tree(&mut self, tree: &UseTree, prefix: &[String], exported: bool) {
        let mut add = |last: Option<&dyn ToString>, name: Option<&dyn ToString>| {
            let mut path = prefix.to_vec();
            // `use a::{self}` is `use a`.
            path.extend(last.map(ToString::to_string).filter(|it| it != "self"));
            let name = name.map(ToString::to_string).map(|name| match &*name {
                "self" => path.last().cloned().unwrap_or_default(),
                _ => name,
            });
            self.uses.push(Use {
                path,
                name,
                exported,
            });
        };
        match tree {
            UseTree::Name(it) => add(Some(&it.ident), Some(&it.ident)),
            UseTree::Rename(it) => add(Some(&it.ident), Some(&it.rename)),
            UseTree::Glob(_) => add(None, None),
            UseTree::Path(it) => {
                let prefix = [prefix, &[it.ident.to_string()]].concat();
                self.add_tree(&it.tree, &prefix, exported);
            }
            UseTree::Group(it) => {
                for tree in &it.items {
                    self.add_tree(tree, prefix, exported);
                }
            }
        }
    }
}

/// Whether an item is compiled for unit tests only.
pub(crate) fn of_tests(item: &Item) -> bool {
    let attributes = match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => return false,
    };
    attributes.iter().any(says_test)
}

/// Whether an item of an `impl` is compiled for unit tests only.
pub(crate) fn of_tests_in_impl(item: &ImplItem) -> bool {
    let attributes = match item {
        ImplItem::Const(it) => &it.attrs,
        ImplItem::Fn(it) => &it.attrs,
        ImplItem::Type(it) => &it.attrs,
        ImplItem::Macro(it) => &it.attrs,
        _ => return false,
    };
    attributes.iter().any(says_test)
}

/// Whether this is `#[cfg(test)]`, or `#[cfg(all(test, ...))]`.
fn says_test(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    let mut condition = list.tokens.to_string();
    condition.retain(|it| !it.is_whitespace());
    let all = condition
        .strip_prefix("all(")
        .and_then(|it| it.strip_suffix(")"));
    list.path.is_ident("cfg") && all.unwrap_or(&condition).split(',').any(|it| it == "test")
}
