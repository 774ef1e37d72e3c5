//! Errors that servers answer with.

use redsync::NodeError;

const HASH: &str = "3f2a9c0d3f2a9c0d3f2a9c0d3f2a9c0d3f2a9c0d";

/// Checks that an error does not repeat the arguments of a command, and that the code of an error
/// in a script is that of the command's error, however old the server is.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check(code: &str, message: &str) {
    let unknown = format!("{message}, with args beginning with: 's3cr3t' {message}");
    let refused = NodeError::refused(code, &unknown);
    let shown = format!("{refused} {refused:?}");
    assert!(!shown.contains("s3cr3t"), "{code} {message:?} made {shown}");

    let is_code = code.len() > 1 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_code {
        return;
    }
    // Up to what repeats the arguments.
    let message = message
        .split(", with args")
        .next()
        .unwrap_or_default()
        .trim();
    let by_hash = format!("{message} script: {HASH}");
    for (word, rest, message) in [
        ("@user_script:", format!("14: -{code} {message}"), message),
        (
            "@user_script:",
            format!("14: @user_script: 14: -{code} {message}"),
            message,
        ),
        (
            "ERR",
            format!("Error running script (call to f_{HASH}): @user_script:14: -{code} {message}"),
            &by_hash,
        ),
    ] {
        let refused = NodeError::refused(word, &rest);
        let NodeError::Refused {
            code: of_command,
            message: rest_of_command,
            ..
        } = &refused
        else {
            panic!("{rest} made {refused:?}");
        };
        assert_eq!(
            (&**of_command, rest_of_command.trim()),
            (code, message.trim()),
            "{rest}"
        );
    }
}
