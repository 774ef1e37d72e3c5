//! A proxy that refuses some commands in words of its own, as the proxies of some cloud
//! providers do, or by closing the connection.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::ports::{listen, port_of};

/// A proxy for a server on 127.0.0.1, which refuses some commands and passes all others.
///
/// It sends another command in place of each that it refuses: a script that answers with the error.
/// So the replies pass as they are, in their order and in any protocol. The server must want no
/// password.
///
/// Dropping it closes all connections.
pub struct RefusingProxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    upstream_port: u16,
    /// Names of commands, in capitals, perhaps with a subcommand.
    refused: Vec<String>,
    /// None if the connection is closed.
    error: Option<String>,
    has_ended: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl RefusingProxy {
    /// Starts a proxy for `127.0.0.1:upstream_port` on a free port. It refuses these commands, such
    /// as `INFO` or `CLIENT TRACKING`, with this error, such as `ERR unknown command`.
    ///
    /// # Panics
    ///
    /// If the system has no free port or thread.
    #[must_use]
    pub fn start(upstream_port: u16, refused: &[&str], error: &str) -> Self {
        Self::start_with(upstream_port, refused, Some(format!("-{error}")))
    }

    /// Starts a proxy that closes the connection at these commands.
    ///
    /// # Panics
    ///
    /// If the system has no free port or thread.
    #[must_use]
    pub fn closing(upstream_port: u16, refused: &[&str]) -> Self {
        Self::start_with(upstream_port, refused, None)
    }

    fn start_with(upstream_port: u16, refused: &[&str], error: Option<String>) -> Self {
        let listener = listen();
        let port = port_of(&listener);
        let shared = Arc::new(Shared {
            upstream_port,
            refused: refused.iter().map(|name| name.to_uppercase()).collect(),
            error,
            has_ended: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        Self {
            port,
            shared,
            acceptor: Some(thread::spawn(move || accepting.accept(&listener))),
        }
    }

    /// The URL for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for RefusingProxy {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in self.shared.streams().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl fmt::Debug for RefusingProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusingProxy")
            .field("port", &self.port)
            .field("refused", &self.shared.refused)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn streams(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.has_ended.load(Ordering::SeqCst) {
                return;
            }
            // If either side is gone, so is the connection.
            let _ = client.and_then(|client| self.connect(&client));
        }
    }

    fn connect(self: &Arc<Self>, client: &TcpStream) -> io::Result<()> {
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.upstream_port))?;
        for stream in [client, &server] {
            stream.set_nodelay(true)?;
            self.streams().push(stream.try_clone()?);
        }
        let (from, to) = (client.try_clone()?, server.try_clone()?);
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let _ = shared.pass_requests(&from, &to);
            let _ = to.shutdown(Shutdown::Both);
        });
        let (mut from, mut to) = (server, client.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
        Ok(())
    }

    fn pass_requests(&self, client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
        let mut client = BufReader::new(client);
        loop {
            let mut args = read(&mut client)?;
            if self.refuses(&args) {
                let Some(error) = &self.error else {
                    return client.get_ref().shutdown(Shutdown::Both);
                };
                let script = "return redis.error_reply(ARGV[1])";
                args = ["EVAL", script, "0", error]
                    .map(|arg| arg.as_bytes().to_vec())
                    .to_vec();
            }
            let mut request = format!("*{}\r\n", args.len()).into_bytes();
            for arg in args {
                request.extend(format!("${}\r\n", arg.len()).into_bytes());
                request.extend(arg);
                request.extend(b"\r\n");
            }
            server.write_all(&request)?;
        }
    }

    fn refuses(&self, args: &[Vec<u8>]) -> bool {
        let word = |arg: &Vec<u8>| String::from_utf8_lossy(arg).to_uppercase();
        let words: Vec<_> = args.iter().take(2).map(word).collect();
        self.refused
            .iter()
            .any(|refused| *refused == words[0] || *refused == words.join(" "))
    }
}

/// Reads one request: an array of strings.
fn read(from: &mut impl BufRead) -> io::Result<Vec<Vec<u8>>> {
    let count = number(from, '*')?;
    let args = (0..count).map(|_| {
        let mut arg = vec![0; number(from, '$')? + 2];
        from.read_exact(&mut arg)?;
        arg.truncate(arg.len() - 2);
        Ok(arg)
    });
    args.collect()
}

fn number(from: &mut impl BufRead, kind: char) -> io::Result<usize> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let number = line.trim_end().strip_prefix(kind);
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
