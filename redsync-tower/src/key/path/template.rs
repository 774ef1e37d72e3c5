//! Templates of names, such as `order:{id}`, and the parameters of routes.

use std::{fmt, iter};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::key::error::KeyError;

/// Everything but the unreserved characters (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A template: texts that are in the name as they are, and parameters that stand for a value.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Parameter(Box<str>),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// What is wrong with the template: the end of a sentence that begins with it.
    pub(super) fn parse(template: &str) -> Result<Self, &'static str> {
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
            let follows_another = parts.iter().any(|part| matches!(part, Part::Parameter(_)));
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            if literal.len() == rest.len() {
                break;
            }
            if follows_another && !literal.contains(separates) {
                return Err("has two parameters without a separator between them");
            }
            let (name, after) = parameter.split_once('}').ok_or("has a `{` without a `}`")?;
            if name.is_empty() || name.contains(['{', '*']) {
                return Err("has a parameter without a plain name");
            }
            parts.push(Part::Parameter(name.into()));
            rest = after;
        }
        Ok(Self(parts))
    }

    /// Makes the name with these values of the parameters.
    ///
    /// # Errors
    ///
    /// [`KeyError::Misconfigured`] if a parameter has no value, or more than one.
    pub(super) fn fill_in(&self, values: &[(&str, &str)]) -> Result<String, KeyError> {
        let mut filled_in = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => filled_in.push_str(literal),
                Part::Parameter(parameter) => {
                    let mut values = values.iter().filter(|(name, _)| *name == &**parameter);
                    let value = values.next();
                    let (_, value) = value.ok_or_else(|| self.cannot_fill_in(parameter, "no"))?;
                    // This happens with nested routers. Either value could be meant.
                    if values.next().is_some() {
                        return Err(self.cannot_fill_in(parameter, "more than one"));
                    }
                    filled_in.extend(utf8_percent_encode(value, RESERVED));
                }
            }
        }
        Ok(filled_in)
    }

    fn cannot_fill_in(&self, parameter: &str, count: &str) -> KeyError {
        let detail = format!(
            "the key template `{self}` needs the path parameter `{parameter}`, but there is {count} value \
             for it"
        );
        KeyError::Misconfigured(detail.into())
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Literal(literal) => f.write_str(literal),
            Part::Parameter(parameter) => write!(f, "{{{parameter}}}"),
        })
    }
}

/// Whether a character is in no value after it was encoded, and so separates two of them.
fn separates(c: char) -> bool {
    !c.is_ascii_alphanumeric() && !"-._~%".contains(c)
}

/// The names of the parameters of a route, in the syntax of axum: `{name}` and `{*name}`, while
/// `{{` and `}}` stand for braces.
pub(super) fn parameters(route: &str) -> impl Iterator<Item = &str> {
    let mut rest = route;
    iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('{')?;
            if let Some(after) = after.strip_prefix('{') {
                rest = after;
                continue;
            }
            let (name, after) = after.split_once('}')?;
            rest = after;
            return Some(name.strip_prefix('*').unwrap_or(name));
        }
    })
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
            assert!(Template::parse(template).is_err(), "{template}");
        }
    }

    #[test]
    fn the_parameters_of_a_route_are_found() {
        let of = |route| parameters(route).collect::<Vec<_>>();
        assert_eq!(of("/orders/{id}/items/{item}"), ["id", "item"]);
        assert_eq!(of("/{a}/{{b}}/{*rest}"), ["a", "rest"]);
        assert_eq!(of("/{id}/{id}"), ["id", "id"]);
        assert!(of("/orders").is_empty());
    }

    #[test]
    fn a_template_consists_of_literals_and_parameters() {
        let literal = |text: &str| Part::Literal(text.into());
        let parameter = |name: &str| Part::Parameter(name.into());
        let parse = |template| Template::parse(template).unwrap().0;
        assert_eq!(parse("order"), [literal("order")]);
        assert_eq!(parse("{id}"), [parameter("id")]);
        assert_eq!(parse("order:{id}"), [literal("order:"), parameter("id")]);
        assert_eq!(
            parse("{a}-:{b}/x"),
            [parameter("a"), literal("-:"), parameter("b"), literal("/x")]
        );
    }
}
