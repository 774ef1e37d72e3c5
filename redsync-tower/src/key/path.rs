use std::{future::ready, mem, sync::Arc};

use axum::extract::{FromRequestParts, RawPathParams};
use futures_util::FutureExt;
use http::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Key, KeyError, LockKey, ReadyKey};

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Locks by parameters of the matched path: each `{name}` in the template is replaced by the value
/// of that parameter (`{*name}` in the route, `{name}` here).
///
/// ```
/// use redsync::Redsync;
/// use redsync_tower::{RedlockLayer, key};
///
/// // For `/tenants/{tenant}/orders/{id}`.
/// let key = key::path("tenant:{tenant}:order:{id}");
/// let layer = RedlockLayer::new(Redsync::in_memory(3), key);
/// ```
///
/// Values are taken decoded, and all but letters, digits and `-._~` is percent-encoded in the
/// name, so that `/orders/%31` and `/orders/1` are one key and `:` in a value is not the `:` of the
/// template. A value that is not UTF-8 is answered with 400. A route that has no such parameter, or
/// several of that name, is a mistake in the program: 500, and an error event that names the
/// parameter. (`Router::layer` also sees requests that no route matches; `route_layer` does not.)
///
/// # Panics
///
/// If the template is empty, has a brace without its other, an empty name, or two parameters with
/// nothing but letters, digits and `-._~%` between them: the names could not be told apart.
#[must_use]
pub fn path(template: &str) -> PathKey {
    match parse(template) {
        Ok(parts) => PathKey {
            parts: parts.into(),
        },
        Err(why) => panic!("the key template `{template}` {why}"),
    }
}

/// A key from the parameters of the matched path; see [`path`].
#[derive(Clone, Debug)]
pub struct PathKey {
    // Services are cloned for each request, also for those that pass.
    parts: Arc<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Parameter(Box<str>),
}

fn parse(template: &str) -> Result<Vec<Part>, &'static str> {
    if template.is_empty() {
        return Err("is empty");
    }
    let mut parts = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let (literal, parameter) = rest.split_once('{').unwrap_or((rest, ""));
        if literal.contains('}') {
            return Err("has a `}` without its `{`");
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        if literal.len() == rest.len() {
            break;
        }
        let separates = |c: char| !c.is_ascii_alphanumeric() && !"-._~%".contains(c);
        if !parts.is_empty() && matches!(parts.last(), Some(Part::Parameter(_)))
            || parts.len() > 1 && !literal.contains(separates)
        {
            return Err("has two parameters with nothing between them that tells them apart");
        }
        let (name, after) = parameter
            .split_once('}')
            .ok_or("has a `{` without its `}`")?;
        if name.is_empty() || name.contains(['{', '*']) {
            return Err("has a parameter without a plain name");
        }
        parts.push(Part::Parameter(name.into()));
        rest = after;
    }
    Ok(parts)
}

impl PathKey {
    fn fill_in(&self, params: Option<&RawPathParams>) -> Result<LockKey, KeyError> {
        let mut name = String::new();
        for part in &*self.parts {
            match part {
                Part::Literal(literal) => name.push_str(literal),
                Part::Parameter(parameter) => {
                    let wrong = |has| {
                        let words = format!("the route has {has} path parameter `{parameter}`");
                        KeyError::Misconfigured(words.into())
                    };
                    let mut values = (params.into_iter().flatten())
                        .filter_map(|(name, value)| (name == &**parameter).then_some(value));
                    let value = values.next().ok_or_else(|| wrong("no"))?;
                    // As where a service is nested: which is meant, nobody knows.
                    if values.next().is_some() {
                        return Err(wrong("more than one"));
                    }
                    name.extend(utf8_percent_encode(value, RESERVED));
                }
            }
        }
        Ok(name.into())
    }
}

impl<B> Key<B> for PathKey {
    type Future = ReadyKey<B>;

    fn key(&self, mut request: Request<B>) -> Self::Future {
        let key = params(&mut request).and_then(|params| self.fill_in(params.as_ref()));
        ready((request, key.map(Some)))
    }
}

/// The decoded parameters; [`None`] where no route was matched.
fn params<B>(request: &mut Request<B>) -> Result<Option<RawPathParams>, KeyError> {
    // axum keeps them in an extension that only its extractors can read, and those read `Parts`:
    // lend them the extensions.
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.extensions = mem::take(request.extensions_mut());
    let params = RawPathParams::from_request_parts(&mut parts, &()).now_or_never();
    *request.extensions_mut() = parts.extensions;
    match params {
        Some(Ok(params)) => Ok(Some(params)),
        Some(Err(rejection)) if rejection.status().is_client_error() => {
            Err(KeyError::BadRequest(rejection.body_text().into()))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_can_be_mistaken_are_refused() {
        for template in [
            "",
            "{",
            "}",
            "a}",
            "{a",
            "{}",
            "{{a}}",
            "{*a}",
            "{a}{b}",
            "{a}-{b}",
            "a{b}c{d}",
            "{a}%{b}",
            "{a}:{b}x{c}",
        ] {
            assert!(parse(template).is_err(), "{template}");
        }
    }

    #[test]
    fn templates_are_literals_and_parameters() {
        let literal = |text: &str| Part::Literal(text.into());
        let parameter = |name: &str| Part::Parameter(name.into());
        assert_eq!(parse("order"), Ok(vec![literal("order")]));
        assert_eq!(parse("{id}"), Ok(vec![parameter("id")]));
        assert_eq!(
            parse("order:{id}"),
            Ok(vec![literal("order:"), parameter("id")])
        );
        assert_eq!(
            parse("{a}-:{b}/x"),
            Ok(vec![
                parameter("a"),
                literal("-:"),
                parameter("b"),
                literal("/x")
            ])
        );
    }
}
