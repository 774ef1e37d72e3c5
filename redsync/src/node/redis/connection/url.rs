//! Parsing of server URLs, without exposing their credentials.

use std::{fmt, time::Duration};

use redis::{
    ConnectionInfo, IntoConnectionInfo,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use crate::ConfigError;

/// After this long without traffic, the system sends the first probe, and then one per interval.
/// Firewalls forget connections after minutes.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// After this long without an acknowledgement of what was sent, the system ends the connection. A
/// server that hangs still acknowledges, because its system does.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Parses a URL into where and how to connect.
pub(crate) fn parse(url: &str) -> Result<ConnectionInfo, ConfigError> {
    let info = url
        .into_connection_info()
        .map_err(|error| refused(url, &error))?;
    #[cfg(feature = "tls-rustls")]
    super::tls::prepare(info.addr());
    // Nobody who looks for locks needs the name of the client library, and a proxy may close each
    // connection at the command that sets it.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    Ok(info
        .set_redis_settings(settings)
        .set_tcp_settings(tcp_settings()))
}

/// Keeps an idle connection known to firewalls, and ends it if the other side has gone.
fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE_INTERVAL);
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(USER_TIMEOUT);
    settings
}

/// Makes the error for a URL, without its credentials.
pub(crate) fn refused(url: &str, reason: &impl fmt::Display) -> ConfigError {
    // The client libraries only say that it does not parse.
    let reason = if has_scheme(url) {
        reason.to_string()
    } else {
        "it does not begin with redis://, or with rediss:// for TLS".to_owned()
    };
    ConfigError::Url {
        url: without_credentials(url).into(),
        reason: reason.into(),
    }
}

/// Whether the URL begins with the scheme of a server, of whichever client library.
fn has_scheme(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    ["redis", "valkey", "unix"]
        .iter()
        .any(|known| scheme.starts_with(known))
}

/// The URL without its user, password and query. A query can contain a password, too. The user and
/// the password end at the last `@`. If it comes after a `?`, it may be one of the query, and what
/// follows it a part of a password. If it is missing, what looks like a host and a port may be a
/// user and a password, so all of it is left out unless the port is a number.
fn without_credentials(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (format!("{scheme}://"), rest),
        // A password can contain this, too.
        _ => (String::new(), url),
    };
    let bare = match rest.rsplit_once('@') {
        Some((before, _)) if before.contains('?') => format!("{scheme}…"),
        Some((_, rest)) => format!("{scheme}…@{rest}"),
        None if may_be_credentials(rest) => format!("{scheme}…"),
        None => format!("{scheme}{rest}"),
    };
    match bare.split_once('?') {
        Some((bare, _)) => format!("{bare}?…"),
        None => bare,
    }
}

fn is_scheme(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn may_be_credentials(rest: &str) -> bool {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) => host.is_empty() || port.parse::<u16>().is_err(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_refused_with_the_scheme_that_is_missing() {
        for url in [
            "",
            "localhost",
            "10.0.0.1:6379",
            "http://10.0.0.1",
            "redis.example.com:6379",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains("it does not begin with redis://"), "{error}");
        }
        let error = parse("redis://10.0.0.1/x").unwrap_err().to_string();
        assert!(error.contains("database"), "{error}");
    }

    #[test]
    fn no_part_of_a_password_is_shown_in_an_error() {
        for url in [
            "unix:///run/redis.sock?db=x&pass=hunter2",
            "unix:///run/redis.sock?db=x&pass=a@hunter2",
            "unix:///run/redis.sock?db=x&a@b?hunter2",
            "me:hunter2://a@10.0.0.1",
            "hunter2@://",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_connection_that_its_other_side_has_left_is_noticed_by_the_system() {
        let info = parse("redis://127.0.0.1:7000").unwrap();
        let settings = info.tcp_settings();
        assert!(settings.nodelay());
        assert!(settings.keepalive().is_some());
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        assert_eq!(settings.user_timeout(), Some(USER_TIMEOUT));
    }
}
