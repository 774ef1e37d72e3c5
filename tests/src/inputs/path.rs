//! Templates of paths, and the values that are filled in.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, catch_unwind},
    sync::Once,
};

use redsync_tower::key::{self, PathKey};

/// Checks that a template makes a key or is refused, and that two lists of values make the same
/// name only if they are equal. A value that a list lacks is empty.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check(template: &str, one: &[String], other: &[String]) {
    let Some(key) = parsed(template) else { return };
    let parameters = parameters(template);
    let value = |values: &[String], index: usize| values.get(index).cloned().unwrap_or_default();
    let values = |values: &[String]| -> Vec<String> {
        let indices = 0..parameters.len();
        indices.map(|index| value(values, index)).collect()
    };
    let name = |values: &[String]| {
        let named = parameters.iter().copied();
        let key = key.name(named.zip(values.iter().map(String::as_str)));
        let key = key.expect("each parameter has one value");
        key.names().map(str::to_owned).collect::<Vec<_>>()
    };
    let (one, other) = (values(one), values(other));
    let parts = [value(&one, 0), value(&one, 1), value(&other, 0)];
    for [one, other] in [shifted(template, &parts), [one, other]] {
        let (one, other) = (values(&one), values(&other));
        assert_eq!(
            name(&one) == name(&other),
            one == other,
            "{template} with {one:?} and with {other:?}"
        );
    }
    if !parameters.is_empty() {
        assert!(key.name([]).is_err(), "a parameter has no value");
    }
}

/// Two lists of values that would make the same name, if what separates two parameters were not
/// encoded in values.
fn shifted(template: &str, [first, second, third]: &[String; 3]) -> [Vec<String>; 2] {
    let after = template.split_once('}').map_or("", |(_, after)| after);
    let separator = after.split_once('{').map_or(after, |(literal, _)| literal);
    [
        vec![first.clone(), format!("{second}{separator}{third}")],
        vec![format!("{first}{separator}{second}"), third.clone()],
    ]
}

/// The names of the parameters of a template, each once.
fn parameters(template: &str) -> Vec<&str> {
    let opened = template.split('{').skip(1);
    let mut names: Vec<_> = opened.filter_map(|rest| rest.split('}').next()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The key of a template, or nothing if the template is refused in the words that the docs
/// announce.
fn parsed(template: &str) -> Option<PathKey> {
    thread_local!(static MAY_BE_REFUSED: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // That of a fuzzer ends the process.
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !(MAY_BE_REFUSED.get() && is_refusal(panic.payload())) {
                others(panic);
            }
        }));
    });
    MAY_BE_REFUSED.set(true);
    let key = catch_unwind(|| key::path(template));
    MAY_BE_REFUSED.set(false);
    key.inspect_err(|why| assert!(is_refusal(&**why), "another panic for {template}"))
        .ok()
}

fn is_refusal(panic: &dyn Any) -> bool {
    let message = panic.downcast_ref::<String>();
    message.is_some_and(|message| message.starts_with("the key template `"))
}
