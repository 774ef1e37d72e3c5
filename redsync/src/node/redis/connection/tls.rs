//! TLS by rustls.

use redis::ConnectionAddr;
use rustls::crypto::{CryptoProvider, ring};

/// Chooses *ring* for the process if nothing has been chosen: rustls wants a choice before the first
/// connection, and redis-rs makes none.
pub(crate) fn prepare(address: &ConnectionAddr) {
    let is_tls = matches!(address, ConnectionAddr::TcpTls { .. });
    if is_tls && CryptoProvider::get_default().is_none() {
        // If another thread was quicker, there is one.
        let _ = ring::default_provider().install_default();
    }
}
