//! Keys from parameters of the matched path.

use std::{
    future::{Future, Ready, ready},
    mem,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use axum::extract::{FromRequestParts, RawPathParams};
use http::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Key, KeyOutput, error::KeyError, lock_key::LockKey};

/// Everything but the unreserved characters (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Takes the key from parameters of the matched path. Each `{name}` in the template stands for the
/// value of that parameter.
///
/// A wildcard, `{*name}` in the route, is `{name}` in the template.
///
/// ```
/// use redsync::Redsync;
/// use redsync_tower::{RedlockLayer, key};
///
/// // For the route `/tenants/{tenant}/orders/{id}`.
/// let key = key::path("tenant:{tenant}:order:{id}");
/// let layer = RedlockLayer::new(Redsync::in_memory(3), key);
/// ```
///
/// Values are percent-decoded first. Then everything but letters, digits and `-._~` is
/// percent-encoded: `/orders/1` and `/orders/%31` have one name, and a `:` in a value cannot be
/// mistaken for the `:` of the template. So two requests have the same name only if all their values
/// are equal. Code that locks by hand gets the same name from [`PathKey::name`].
///
/// **Values are compared as text.** `/orders/42`, `/orders/042` and `/orders/+42` are three names,
/// although a handler with `Path<u64>` reads the number 42 from each. If the handler has a typed
/// path, take the key from the same extractor: see [`from_extractor`](super::from_extractor).
///
/// A value that is not UTF-8 is answered with 400. A route that has no such parameter, or has
/// several with that name, is a mistake in the program: the response has status 500, and an error
/// event contains the method, the route and the template. (That includes requests that no route
/// matches, which `Router::layer` sees and `route_layer` does not.)
///
/// # Panics
///
/// Panics if the template is empty, has an unmatched brace or a parameter without a name, or if two
/// parameters have nothing but letters, digits and `-._~%` between them, which would make different
/// values indistinguishable.
#[must_use]
pub fn path(template: &str) -> PathKey {
    match parse(template) {
        Ok(parts) => PathKey {
            parts: parts.into(),
        },
        Err(why) => panic!("the key template `{template}` {why}"),
    }
}

/// A key from parameters of the matched path. See [`path`].
#[derive(Clone, Debug)]
pub struct PathKey {
    // Cheap to clone, since routers clone their services for each request.
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
            return Err("has a `}` without a `{`");
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
            return Err("has two parameters without a separator between them");
        }
        let (name, after) = parameter.split_once('}').ok_or("has a `{` without a `}`")?;
        if name.is_empty() || name.contains(['{', '*']) {
            return Err("has a parameter without a plain name");
        }
        parts.push(Part::Parameter(name.into()));
        rest = after;
    }
    Ok(parts)
}

impl PathKey {
    /// Makes the key of a request with these values of the parameters, for code that locks by hand
    /// what a layer locks for requests. Values are given as they are after decoding. Parameters that
    /// the template does not have are ignored, as those of a route are.
    ///
    /// [`RedlockLayer::mutex`](crate::RedlockLayer::mutex) has an example.
    ///
    /// ```
    /// use redsync_tower::key::{self, LockKey};
    ///
    /// let key = key::path("user:{email}");
    /// let name = key.name([("email", "ann@example.com")])?;
    /// assert_eq!(name, LockKey::from("user:ann%40example.com"));
    /// # Ok::<_, redsync_tower::key::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Misconfigured`] if a parameter of the template has no value, or more than one.
    pub fn name<'a>(
        &self,
        values: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<LockKey, KeyError> {
        let values: Vec<_> = values.into_iter().collect();
        let mut name = String::new();
        for part in &*self.parts {
            match part {
                Part::Literal(literal) => name.push_str(literal),
                Part::Parameter(parameter) => {
                    let mut values = (values.iter().filter(|(name, _)| *name == &**parameter))
                        .map(|(_, value)| value);
                    let value = values.next();
                    let value = value.ok_or_else(|| self.cannot_be_filled_in(parameter, "no"))?;
                    // This happens with nested routers. Either value could be meant.
                    if values.next().is_some() {
                        return Err(self.cannot_be_filled_in(parameter, "more than one"));
                    }
                    name.extend(utf8_percent_encode(value, RESERVED));
                }
            }
        }
        Ok(name.into())
    }

    fn cannot_be_filled_in(&self, parameter: &str, count: &str) -> KeyError {
        let detail = format!(
            "the key template `{}` needs the path parameter `{parameter}`, but there is {count} value \
             for it",
            self.template()
        );
        KeyError::Misconfigured(detail.into())
    }

    fn template(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Literal(literal) => literal.to_string(),
            Part::Parameter(parameter) => format!("{{{parameter}}}"),
        });
        parts.collect()
    }
}

impl<B> Key<B> for PathKey {
    type Future = Ready<KeyOutput<B>>;

    fn key(&self, mut request: Request<B>) -> Self::Future {
        let key = params(&mut request).and_then(|params| self.name(params.iter().flatten()));
        ready((request, key.map(Some)))
    }
}

/// The decoded parameters, or [`None`] if no route was matched.
fn params<B>(request: &mut Request<B>) -> Result<Option<RawPathParams>, KeyError> {
    // axum keeps the parameters in a private extension, which its extractors read from `Parts`. So
    // `Parts` borrow the request's extensions.
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.extensions = mem::take(request.extensions_mut());
    let params = {
        // The extractor only looks into the extensions, so it is ready at once.
        let extract = pin!(RawPathParams::from_request_parts(&mut parts, &()));
        extract.poll(&mut Context::from_waker(Waker::noop()))
    };
    *request.extensions_mut() = parts.extensions;
    match params {
        Poll::Ready(Ok(params)) => Ok(Some(params)),
        Poll::Ready(Err(rejection)) if rejection.status().is_client_error() => {
            Err(KeyError::BadRequest(rejection.body_text().into()))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_templates_are_refused() {
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
    fn a_template_consists_of_literals_and_parameters() {
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
