//! What servers are told, by their own account: `MONITOR` on a separate connection.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use redsync_tests::Servers;

/// The number of hexadecimal digits at the end of an owner value.
const DIGITS: usize = 32;

pub(crate) struct Monitors(Arc<Mutex<BTreeSet<String>>>);

impl Monitors {
    /// Watches until the servers end.
    pub(crate) fn watch(servers: &Servers) -> Self {
        let values = Arc::default();
        for server in servers {
            let mut stream = TcpStream::connect(server.address()).expect("a connection");
            stream.write_all(b"MONITOR\r\n").expect("a command");
            let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
            assert_eq!(lines.next().as_deref(), Some("+OK"));
            let values: Arc<Mutex<BTreeSet<String>>> = Arc::clone(&values);
            thread::spawn(move || {
                for line in lines {
                    let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
                    values.extend(line.split('"').filter_map(digits).map(str::to_owned));
                }
            });
        }
        Self(values)
    }

    /// The random digits of all owner values that were in a command.
    pub(crate) fn values(&self) -> BTreeSet<String> {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.clone()
    }
}

/// The digits of a word that is an owner value, with or without a label. The random part of the
/// name of a probe is public.
fn digits(word: &str) -> Option<&str> {
    if word.starts_with("redsync:probe:") {
        return None;
    }
    let digits = word.rsplit('#').next()?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (digits.len() == DIGITS && digits.bytes().all(is_hex)).then_some(digits)
}
