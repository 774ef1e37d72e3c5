//! The errors of commands in scripts, as servers older than Redis 7.0 send them.
//!
//! A newer server answers `READONLY You can't write ... script: <hash>, on @user_script:14.`, with
//! the code of the command's error first. An older one puts the place in the script before it:
//!
//! * `ERR Error running script (call to f_<hash>): @user_script:14: @user_script: 14: -READONLY You
//!   ...`;
//! * `@user_script: 14: -READONLY You ...`, if the script returned the error and did not raise it.

/// What such a server says in place of the code `NOPERM`.
const NOT_PERMITTED: &str = "The user executing the script can't ";

/// Returns the code and the message of the command's error; [`None`] if this is no such error.
///
/// The message names the script by its hash, as that of a newer server does, if the error does.
pub(super) fn error_in_script(code: &str, message: &str) -> Option<(Box<str>, Box<str>)> {
    let (hash, error) = match code {
        "ERR" => {
            let call = message.strip_prefix("Error running script (call to f_")?;
            let (hash, error) = call.split_once("): ")?;
            (Some(hash), after_place(error)?)
        }
        SOURCE => (None, after_line(message)?),
        _ => return None,
    };
    // Where an error of the server itself was raised, its place is there twice.
    let error = after_place(error).unwrap_or(error);
    let error = error.strip_prefix('-').unwrap_or(error).trim();
    let (code, message) = match error.split_once(' ').unwrap_or((error, "")) {
        (code, message) if is_code(code) => (code, message),
        _ if error.starts_with(NOT_PERMITTED) => ("NOPERM", error),
        _ => ("ERR", error),
    };
    let message = match hash {
        Some(hash) => format!("{message} script: {hash}").into(),
        None => message.into(),
    };
    Some((code.into(), message))
}

/// How such a server names the source of a script.
const SOURCE: &str = "@user_script:";

fn after_place(error: &str) -> Option<&str> {
    after_line(error.strip_prefix(SOURCE)?.trim_start())
}

/// What follows the number of a line.
fn after_line(error: &str) -> Option<&str> {
    let (line, rest) = error.split_once(": ")?;
    let is_number = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(rest)
}

/// Whether a word is the code of an error, such as `READONLY`, and not the first word of a
/// sentence.
fn is_code(word: &str) -> bool {
    word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "3f2a9c0d3f2a9c0d3f2a9c0d3f2a9c0d3f2a9c0d";

    fn raised(error: &str) -> Option<(Box<str>, Box<str>)> {
        error_in_script(
            "ERR",
            &format!("Error running script (call to f_{HASH}): {error}"),
        )
    }

    fn is(found: Option<(Box<str>, Box<str>)>, code: &str, message: &str) {
        let (found_code, found_message) = found.expect("an error in a script");
        assert_eq!((&*found_code, &*found_message), (code, message));
    }

    #[test]
    fn the_code_is_that_of_the_command_whether_its_error_was_raised_or_returned() {
        let script = format!(" script: {HASH}");
        for (error, code, message) in [
            ("-READONLY You can't write.", "READONLY", "You can't write."),
            ("-OOM command not allowed", "OOM", "command not allowed"),
            (
                "-MISCONF Errors: disk: full",
                "MISCONF",
                "Errors: disk: full",
            ),
            ("WRONGTYPE Operation", "WRONGTYPE", "Operation"),
            ("ERR value: no", "ERR", "value: no"),
            ("-BUSY", "BUSY", ""),
            ("Unknown Redis command", "ERR", "Unknown Redis command"),
            ("A word", "ERR", "A word"),
            ("", "ERR", ""),
        ] {
            let with_script = format!("{message}{script}");
            is(
                raised(&format!("@user_script:14: @user_script: 14: {error}")),
                code,
                &with_script,
            );
            is(
                raised(&format!("@user_script:14: {error}")),
                code,
                &with_script,
            );
            is(
                error_in_script("@user_script:", &format!("14: {error}")),
                code,
                message,
            );
        }
        for denied in [
            "The user executing the script can't run this command or subcommand",
            "The user executing the script can't access at least one of the keys",
        ] {
            is(
                error_in_script("@user_script:", &format!("7: {denied}")),
                "NOPERM",
                denied,
            );
        }
    }

    /// A text that a script makes of what it found comes after the place of the error.
    #[test]
    fn what_a_key_or_an_argument_contains_is_not_taken_for_a_code() {
        let error = "@user_script:9: user_script:70: the key -READONLY @user_script:1: -OOM x";
        let message = &error["@user_script:9: ".len()..];
        is(raised(error), "ERR", &format!("{message} script: {HASH}"));
        is(
            error_in_script("@user_script:", "9: x -READONLY y"),
            "ERR",
            "x -READONLY y",
        );
        is(
            error_in_script("@user_script:", "9: -Readonly y"),
            "ERR",
            "Readonly y",
        );
        is(
            error_in_script("@user_script:", "9: --OOM y"),
            "ERR",
            "-OOM y",
        );
    }

    #[test]
    fn other_errors_are_none_in_a_script() {
        for (code, message) in [
            (
                "READONLY",
                "You can't write. script: f_0, on @user_script:14.",
            ),
            ("ERR", "unknown command '@user_script: 14: -READONLY'"),
            ("ERR", "Error running script"),
            ("ERR", "Error running script (call to f_"),
            ("ERR", "Error running script (call to f_0): -READONLY x"),
            (
                "ERR",
                "Error running script (call to f_0): @user_script:: -READONLY x",
            ),
            (
                "ERR",
                "Error running script (call to f_0): @user_script:x: -READONLY x",
            ),
            ("@user_script:", ""),
            ("@user_script:", "14"),
            ("@user_script:", "-1: -READONLY x"),
            ("@user_script:", "\u{661}: -READONLY x"),
            ("", "@user_script: 14: -READONLY"),
            ("ERR", "\u{1f512}\u{1f512}"),
        ] {
            assert_eq!(error_in_script(code, message), None, "{code} {message}");
        }
    }
}
