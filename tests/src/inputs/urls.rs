//! URLs of servers.

use redsync::node::redis::RedisNode;

/// What is put where a password may be.
const SECRET: &str = "s3cr3t";

/// Checks that a URL is one of a server or is refused, and that neither a refusal nor the node
/// shows a password, wherever it is: before the host, or in the query. `around` is what comes
/// before the password and after it.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check(scheme: &str, around: [&str; 2], host: &str, query: &str) {
    let [before, after] = around;
    // The scheme ends at the first of these.
    let ends_later = !scheme.contains("://") && [before, after].iter().any(|it| it.contains(':'));
    if ends_later {
        return;
    }
    for url in [
        format!("{scheme}{before}{SECRET}{after}@{host}"),
        format!("{scheme}{host}?{query}{SECRET}{after}"),
    ] {
        // The other parts may be the same word together.
        if url.matches(SECRET).count() > 1 {
            continue;
        }
        // Of a URL that is one, this may be the host or the path of a socket.
        let is_password = ["redis://", "rediss://", "valkey://"].contains(&scheme)
            && [before, after]
                .iter()
                .all(|it| !it.contains(['/', '?', '#', '\\']));
        let shown = match RedisNode::connect(&url) {
            Ok(node) if is_password => format!("{node:?}"),
            Ok(_) => continue,
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains(SECRET), "{url} made {shown}");
    }
}
