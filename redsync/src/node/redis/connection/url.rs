//! What a URL says of a server.

use std::{error::Error, sync::Arc};

use redis::{ConnectionInfo, IntoConnectionInfo, io::tcp::TcpSettings};

use crate::ConfigError;

/// Where and how to connect.
pub(crate) fn parse(url: &str) -> Result<ConnectionInfo, ConfigError> {
    let info = url
        .into_connection_info()
        .map_err(|error| refused(url, error))?;
    #[cfg(feature = "tls-rustls")]
    super::tls::prepare(info.addr());
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// The error about a URL, without its password.
pub(crate) fn refused(url: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> ConfigError {
    ConfigError::Url {
        url: without_credentials(url).into(),
        source: Arc::from(source.into()),
    }
}

/// The URL with its user, password and query cut out: a query too can have a password. What follows
/// the last `@` is neither user nor password.
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
