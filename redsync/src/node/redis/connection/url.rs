//! Parsing of server URLs, without exposing their credentials.

use std::{error::Error, sync::Arc};

use redis::{ConnectionInfo, IntoConnectionInfo, io::tcp::TcpSettings};

use crate::ConfigError;

/// Parses a URL into where and how to connect.
pub(crate) fn parse(url: &str) -> Result<ConnectionInfo, ConfigError> {
    let info = url
        .into_connection_info()
        .map_err(|error| refused(url, error))?;
    #[cfg(feature = "tls-rustls")]
    super::tls::prepare(info.addr());
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// Makes the error for a URL, without its credentials.
pub(crate) fn refused(url: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> ConfigError {
    ConfigError::Url {
        url: without_credentials(url).into(),
        source: Arc::from(source.into()),
    }
}

/// The URL without its user, password and query. A query can contain a password, too. The user and
/// the password end at the last `@`.
fn without_credentials(url: &str) -> String {
    let bare = match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        (None, Some((_, rest))) => format!("…@{rest}"),
        _ => url.to_owned(),
    };
    match bare.split_once('?') {
        Some((bare, _)) => format!("{bare}?…"),
        None => bare,
    }
}
