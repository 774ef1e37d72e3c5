//! One connection through a proxy.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::Ipv4Addr,
};

use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::{self, Instant},
};

use super::settings::{Direction, Flow, Settings};

/// More than a client sends at once in these tests.
const CHUNK: usize = 64 * 1024;

/// Why a connection ends.
#[derive(PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    Forgotten,
}

/// What breaks a connection.
pub(super) struct Breaks {
    pub(super) resets: watch::Receiver<()>,
    pub(super) forgets: watch::Receiver<()>,
}

/// Relays until both sides have closed the connection, or it is broken.
pub(super) async fn serve(
    mut client: TcpStream,
    upstream_port: u16,
    settings: watch::Receiver<Settings>,
    breaks: Breaks,
) {
    let Breaks {
        mut resets,
        mut forgets,
    } = breaks;
    let end = tokio::select! {
        biased;
        _ = resets.changed() => End::Reset,
        _ = forgets.changed() => End::Forgotten,
        end = relay(&mut client, upstream_port, settings) => end,
    };
    drop(forgets);
    if end == End::Forgotten {
        // Nothing is read, so not even its end is noticed.
        let _ = resets.changed().await;
    }
    if end != End::Closed {
        // Makes the close an RST.
        let _ = client.set_zero_linger();
    }
}

async fn relay(
    client: &mut TcpStream,
    upstream_port: u16,
    mut settings: watch::Receiver<Settings>,
) -> End {
    let mut upstream = loop {
        if !swallow(client, &mut settings).await {
            return End::Closed;
        }
        match TcpStream::connect((Ipv4Addr::LOCALHOST, upstream_port)).await {
            Ok(upstream) => break upstream,
            // The client must not notice.
            Err(_) if settings.borrow().requests == Flow::Drop => {}
            Err(_) => return End::Reset,
        }
    };
    let _ = client.set_nodelay(true);
    let _ = upstream.set_nodelay(true);

    let (from_client, to_client) = client.split();
    let (from_upstream, to_upstream) = upstream.split();
    let requests = Pump::new(
        from_client,
        to_upstream,
        Direction::Requests,
        settings.clone(),
    );
    let replies = Pump::new(from_upstream, to_client, Direction::Replies, settings);
    tokio::join!(requests.run(), replies.run());
    End::Closed
}

/// Drops what a new connection sends for as long as requests are dropped. Until then the server
/// does not see the connection.
///
/// Returns whether the client is still there.
async fn swallow(client: &TcpStream, settings: &mut watch::Receiver<Settings>) -> bool {
    let mut buffer = vec![0; CHUNK];
    loop {
        tokio::select! {
            biased;
            _ = settings.wait_for(|settings| settings.requests != Flow::Drop) => return true,
            _ = client.readable() => match client.try_read(&mut buffer) {
                Ok(0) => return false,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return false,
                _ => {}
            },
        }
    }
}

/// Carries the bytes of one direction.
struct Pump<'a> {
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    direction: Direction,
    settings: watch::Receiver<Settings>,
    queue: VecDeque<Chunk>,
    buffer: Vec<u8>,
    /// Whether there may be more to read.
    open: bool,
    /// Whether the other side has gone, so that the rest for it is lost.
    broken: bool,
}

struct Chunk {
    read_at: Instant,
    /// Empty for the end of the connection.
    bytes: Vec<u8>,
    written: usize,
}

/// What to wait for, besides bytes to read and changed settings.
enum Next {
    Nothing,
    Writable,
    Due(Instant),
    End,
}

impl<'a> Pump<'a> {
    fn new(
        from: ReadHalf<'a>,
        to: WriteHalf<'a>,
        direction: Direction,
        settings: watch::Receiver<Settings>,
    ) -> Self {
        Self {
            from,
            to,
            direction,
            settings,
            queue: VecDeque::new(),
            buffer: vec![0; CHUNK],
            open: true,
            broken: false,
        }
    }

    async fn run(mut self) {
        loop {
            let next = self.deliver();
            if matches!(next, Next::End) {
                let _ = self.to.shutdown().await;
                return;
            }
            tokio::select! {
                changed = self.settings.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                _ = self.from.readable(), if self.open => self.read(),
                () = ready(&self.to, &next) => {}
            }
        }
    }

    /// Reads even what must not be delivered now. Otherwise a client that leaves with a reset would
    /// take back what it has sent.
    fn read(&mut self) {
        let bytes = match self.from.try_read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Ok(0) | Err(_) => {
                self.open = false;
                Vec::new()
            }
            Ok(length) => self.buffer[..length].to_vec(),
        };

        let twice = self.settings.borrow().flow(self.direction) == Flow::Twice;
        let times = if twice && self.open { 2 } else { 1 };
        for _ in 0..times {
            self.queue.push_back(Chunk {
                read_at: Instant::now(),
                bytes: bytes.clone(),
                written: 0,
            });
        }
    }

    /// Delivers what may be delivered now.
    fn deliver(&mut self) -> Next {
        while let Some(chunk) = self.queue.front_mut() {
            // Borrowed for the write too, so that nothing is sent after a switch.
            let settings = self.settings.borrow();
            let is_end = chunk.bytes.is_empty();
            match settings.flow(self.direction) {
                Flow::Hold => return Next::Nothing,
                // The end is only postponed.
                Flow::Drop if is_end => return Next::Nothing,
                Flow::Drop => {
                    self.queue.pop_front();
                    continue;
                }
                Flow::Pass | Flow::Twice => {}
            }

            let due = chunk.read_at + settings.delay;
            if due > Instant::now() {
                return Next::Due(due);
            }
            if is_end {
                return Next::End;
            }
            match chunk.write(&self.to) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Next::Writable,
                // It goes on reading, to see the end.
                Err(_) => self.broken = true,
            }
            if self.broken || chunk.written == chunk.bytes.len() {
                self.queue.pop_front();
            }
        }
        Next::Nothing
    }
}

impl Chunk {
    fn write(&mut self, to: &WriteHalf<'_>) -> io::Result<()> {
        self.written += to.try_write(&self.bytes[self.written..])?;
        Ok(())
    }
}

async fn ready(to: &WriteHalf<'_>, next: &Next) {
    match next {
        Next::Nothing | Next::End => std::future::pending().await,
        Next::Writable => {
            let _ = to.writable().await;
        }
        Next::Due(due) => time::sleep_until(*due).await,
    }
}
