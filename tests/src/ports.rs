//! Ports to listen on.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Below the ports that systems give to outgoing connections. Otherwise a client that keeps on
/// connecting to a dead server could be given the server's own port and connect to itself, and any
/// outgoing connection could take the port of a server that is about to be restarted.
const RANGE: Range<u16> = 20_000..32_000;

/// Listens on a free port.
///
/// A port isn't offered again for as long as possible, so that one whose server is down for the
/// moment stays free. Test processes that run at the same time start at random places.
pub(crate) fn listen() -> TcpListener {
    static NEXT: OnceLock<AtomicU64> = OnceLock::new();

    let next = NEXT.get_or_init(|| AtomicU64::new(RandomState::new().build_hasher().finish()));
    RANGE
        .map(|_| next.fetch_add(1, Ordering::Relaxed) % u64::from(RANGE.end - RANGE.start))
        .map(|offset| RANGE.start + u16::try_from(offset).expect("within the range"))
        .find_map(|port| listen_on(port).ok())
        .expect("no free port on 127.0.0.1")
}

pub(crate) fn listen_on(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

/// A port for another program to listen on. It may be lost to a third one before that.
pub(crate) fn free() -> u16 {
    port_of(&listen())
}

pub(crate) fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("address of a listener").port()
}
