//! The default cryptography provider for TLS with rustls.

use redis::ConnectionAddr;
use rustls::crypto::{CryptoProvider, ring};

/// Makes *ring* the default provider of this process if there is none: rustls requires one before
/// the first connection, and redis-rs does not choose.
pub(crate) fn prepare(address: &ConnectionAddr) {
    let is_tls = matches!(address, ConnectionAddr::TcpTls { .. });
    if is_tls && CryptoProvider::get_default().is_none() {
        // This fails if another thread has installed one in the meantime, which is as good.
        let _ = ring::default_provider().install_default();
    }
}
