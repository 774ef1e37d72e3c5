//! The public functions of the libraries that return futures, found in their sources.

use std::collections::BTreeSet;

use redsync_tests::files::{files, read, root};
use syn::{
    Attribute, File, ImplItem, Item, ItemImpl, ItemMacro, PathSegment, ReturnType, Signature,
    TraitItem, Type, Visibility,
    visit::{self, Visit},
};

/// The names of all public functions that are async or return a future, and of all public futures.
///
/// The suite `node::contract` is not among them: it tests nodes, and holds nothing.
pub(crate) fn public_futures() -> BTreeSet<String> {
    let packages = ["redsync", "redsync-tower"].into_iter();
    let paths = packages.flat_map(|package| files(&root().join(package).join("src"), "rs"));
    let contract = root().join("redsync/src/node/contract");
    let files: Vec<File> = paths
        .filter(|path| !path.with_extension("").starts_with(&contract))
        .map(|path| syn::parse_file(&read(&path)).unwrap())
        .collect();
    let items = || files.iter().flat_map(|file| &file.items);
    let public: BTreeSet<String> = items().flat_map(public_types).collect();
    let futures: BTreeSet<String> = items().filter_map(future).collect();
    let mut found: BTreeSet<String> = public.intersection(&futures).cloned().collect();
    let returned = found.clone();
    for item in items() {
        found.extend(functions(item, &returned));
    }
    found
}

/// The public types that an item declares, those in `pin_project!` included.
fn public_types(item: &Item) -> Vec<String> {
    match item {
        Item::Struct(item) if is_public(&item.vis) => vec![item.ident.to_string()],
        Item::Enum(item) if is_public(&item.vis) => vec![item.ident.to_string()],
        Item::Macro(ItemMacro { mac, .. }) if mac.path.is_ident("pin_project") => {
            // A type without its attribute `project`, as the macro leaves it.
            let inside = mac.parse_body::<File>();
            let inside = inside.map_or_else(|_| Vec::new(), |file| file.items);
            inside.iter().flat_map(public_types).collect()
        }
        _ => Vec::new(),
    }
}

/// The type that an item implements `Future` for.
fn future(item: &Item) -> Option<String> {
    let Item::Impl(item) = item else { return None };
    let (path, _) = item.trait_.as_ref()?;
    path.segments
        .last()?
        .ident
        .eq("Future")
        .then(|| self_type(item))?
}

/// The public functions of an item that are async or return a future.
fn functions(item: &Item, futures: &BTreeSet<String>) -> Vec<String> {
    let returns = |signature: &Signature| returns_future(signature, futures);
    match item {
        Item::Fn(item) if is_public(&item.vis) && returns(&item.sig) => {
            vec![item.sig.ident.to_string()]
        }
        Item::Impl(item) if item.trait_.is_none() && !is_for_tests(&item.attrs) => {
            let functions = item.items.iter().filter_map(|function| match function {
                ImplItem::Fn(function) if is_public(&function.vis) => Some(&function.sig),
                _ => None,
            });
            named(
                self_type(item).as_deref(),
                functions.filter(|it| returns(it)),
            )
        }
        Item::Trait(item) if is_public(&item.vis) => {
            let functions = item.items.iter().filter_map(|function| match function {
                TraitItem::Fn(function) => Some(&function.sig),
                _ => None,
            });
            named(
                Some(&item.ident.to_string()),
                functions.filter(|it| returns(it)),
            )
        }
        _ => Vec::new(),
    }
}

fn named<'a>(owner: Option<&str>, functions: impl Iterator<Item = &'a Signature>) -> Vec<String> {
    let owner = owner.unwrap_or("?");
    functions
        .map(|it| format!("{owner}::{}", it.ident))
        .collect()
}

fn returns_future(signature: &Signature, futures: &BTreeSet<String>) -> bool {
    struct Finder<'a>(&'a BTreeSet<String>, bool);

    impl Visit<'_> for Finder<'_> {
        fn visit_path_segment(&mut self, segment: &PathSegment) {
            let name = segment.ident.to_string();
            self.1 |= name == "Future" || name == "BoxFuture" || self.0.contains(&name);
            visit::visit_path_segment(self, segment);
        }
    }

    let mut finder = Finder(futures, signature.asyncness.is_some());
    if let ReturnType::Type(_, returned) = &signature.output {
        finder.visit_type(returned);
    }
    finder.1
}

fn self_type(item: &ItemImpl) -> Option<String> {
    let Type::Path(path) = &*item.self_ty else {
        return None;
    };
    Some(path.path.segments.last()?.ident.to_string())
}

const fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|it| {
        it.path().is_ident("cfg")
            && it
                .parse_args::<syn::Path>()
                .is_ok_and(|it| it.is_ident("test"))
    })
}
