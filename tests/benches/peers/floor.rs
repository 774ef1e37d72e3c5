//! How fast a lock over a quorum can be, written by hand for this one purpose.
//!
//! One connection per node, with one task that gathers the commands that wait into one write. A
//! lock is `SET NX PX` on every node, a release is a script by its hash, and both are over when a
//! quorum has agreed. There is nothing else: no time limits, no validity, no connecting again.

use std::collections::VecDeque;
use std::io::{self, Error, Write};
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::poll_fn;
use futures_util::task::AtomicWaker;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio::task::JoinSet;
use tokio::time::sleep;

const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// How long until a name is tried again that another process holds.
const POLL: Duration = Duration::from_millis(1);

type Value = [u8; 32];

/// The client.
pub(crate) struct Floor {
    nodes: Box<[Arc<Node>]>,
    expiry: Duration,
    /// Of those that wait in this process for the one name that is contended.
    queue: Arc<tokio::sync::Mutex<()>>,
    // Ends the connections' tasks when dropped.
    _connections: JoinSet<()>,
}

/// A lock that is held.
pub(crate) struct Held {
    name: String,
    value: Value,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Floor {
    /// Connects to the nodes at these addresses.
    pub(crate) async fn connect(addresses: &[&str], expiry: Duration) -> io::Result<Self> {
        let mut nodes = Vec::new();
        let mut connections = JoinSet::new();
        for address in addresses {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let node = Arc::new(Node {
                script: load(&stream).await?,
                ..Node::default()
            });
            connections.spawn(Arc::clone(&node).serve(stream));
            nodes.push(node);
        }
        Ok(Self {
            nodes: nodes.into(),
            expiry,
            queue: Arc::default(),
            _connections: connections,
        })
    }

    /// Tries once.
    pub(crate) async fn try_lock(&self, name: &str) -> Option<Held> {
        let value = value();
        let expiry = self.expiry.as_millis();
        let set = |_: &Node, commands: &mut Vec<u8>| {
            write!(
                commands,
                "*6\r\n$3\r\nSET\r\n${}\r\n{name}\r\n$32\r\n",
                name.len()
            )?;
            commands.extend_from_slice(&value);
            let digits = expiry.checked_ilog10().unwrap_or_default() + 1;
            write!(
                commands,
                "\r\n$2\r\nNX\r\n$2\r\nPX\r\n${digits}\r\n{expiry}\r\n"
            )
        };
        let held = self.ask(set).await;
        let lock = Held {
            name: name.to_owned(),
            value,
            turn: None,
        };
        if held {
            return Some(lock);
        }
        // What it has got, behind what is under way on the same connections. Nobody waits for it.
        drop(self.send(lock.deletion()));
        None
    }

    /// Locks the name that is contended: in turn in this process, by trying again across processes.
    pub(crate) async fn wait(&self, name: &str) -> Held {
        let turn = Arc::clone(&self.queue).lock_owned().await;
        loop {
            if let Some(lock) = self.try_lock(name).await {
                return Held {
                    turn: Some(turn),
                    ..lock
                };
            }
            sleep(POLL).await;
        }
    }

    /// Whether a quorum has deleted the lock.
    pub(crate) async fn release(&self, held: Held) -> bool {
        let released = self.ask(held.deletion()).await;
        drop(held.turn);
        released
    }

    /// Whether a quorum says yes to a command, as soon as that is clear.
    async fn ask(&self, command: impl Fn(&Node, &mut Vec<u8>) -> io::Result<()>) -> bool {
        let count = self.send(command);
        let nodes = self.nodes.len() as u32;
        let quorum = nodes / 2 + 1;
        poll_fn(|cx| {
            count.waker.register(cx.waker());
            let votes = count.votes.load(Ordering::Acquire);
            let (granted, refused) = (votes & 0xffff, votes >> 16);
            if granted >= quorum {
                Poll::Ready(true)
            } else if refused > nodes - quorum {
                Poll::Ready(false)
            } else {
                Poll::Pending
            }
        })
        .await
    }

    fn send(&self, command: impl Fn(&Node, &mut Vec<u8>) -> io::Result<()>) -> Arc<Count> {
        let count = Arc::new(Count::default());
        for node in &self.nodes {
            let mut waiting = node.waiting();
            if waiting.closed {
                drop(waiting);
                count.add(false);
                continue;
            }
            let first = waiting.counts.is_empty();
            command(node, &mut waiting.commands).expect("memory can be written to");
            waiting.counts.push(Arc::clone(&count));
            drop(waiting);
            if first {
                node.wake.notify_one();
            }
        }
        count
    }
}

impl Held {
    fn deletion(&self) -> impl Fn(&Node, &mut Vec<u8>) -> io::Result<()> {
        let Self { name, value, .. } = self;
        move |node, commands| {
            commands.extend_from_slice(b"*5\r\n$7\r\nEVALSHA\r\n$40\r\n");
            commands.extend_from_slice(&node.script);
            write!(
                commands,
                "\r\n$1\r\n1\r\n${}\r\n{name}\r\n$32\r\n",
                name.len()
            )?;
            commands.extend_from_slice(value);
            commands.extend_from_slice(b"\r\n");
            Ok(())
        }
    }
}

/// The answers to one command: those that agree in the lower half, the others in the upper one.
#[derive(Default)]
struct Count {
    votes: AtomicU32,
    waker: AtomicWaker,
}

impl Count {
    fn add(&self, granted: bool) {
        let vote = if granted { 1 } else { 1 << 16 };
        self.votes.fetch_add(vote, Ordering::AcqRel);
        self.waker.wake();
    }
}

struct Node {
    /// The hash of the script that releases.
    script: [u8; 40],
    waiting: Mutex<Waiting>,
    wake: Notify,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            script: [0; 40],
            waiting: Mutex::default(),
            wake: Notify::new(),
        }
    }
}

/// The commands that were not written yet.
#[derive(Default)]
struct Waiting {
    commands: Vec<u8>,
    counts: Vec<Arc<Count>>,
    closed: bool,
}

impl Node {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut written = VecDeque::new();
        // Ends with an error alone: the server is gone.
        let _ = self.exchange(&stream, &mut written).await;
        let mut waiting = self.waiting();
        waiting.closed = true;
        let unwritten = mem::take(&mut waiting.counts);
        drop(waiting);
        for count in written.into_iter().chain(unwritten) {
            count.add(false);
        }
    }

    async fn exchange(
        &self,
        stream: &TcpStream,
        written: &mut VecDeque<Arc<Count>>,
    ) -> io::Result<()> {
        let (mut commands, mut replies) = (Vec::new(), Vec::new());
        loop {
            {
                let mut waiting = self.waiting();
                mem::swap(&mut waiting.commands, &mut commands);
                written.extend(waiting.counts.drain(..));
            }
            write_all(stream, &commands).await?;
            commands.clear();
            tokio::select! {
                () = self.wake.notified() => {}
                readable = stream.readable() => {
                    readable?;
                    read(stream, &mut replies)?;
                    count(&mut replies, written)?;
                }
            }
        }
    }
}

/// Counts the whole lines among the replies, and keeps the rest.
fn count(replies: &mut Vec<u8>, written: &mut VecDeque<Arc<Count>>) -> io::Result<()> {
    let mut done = 0;
    while let Some(end) = replies[done..].iter().position(|byte| *byte == b'\n') {
        let granted = match &replies[done..done + end] {
            b"+OK\r" | b":1\r" => true,
            b"$-1\r" | b"_\r" | b":0\r" => false,
            other => return Err(Error::other(String::from_utf8_lossy(other))),
        };
        let count = written.pop_front();
        count
            .ok_or_else(|| Error::other("a reply to nothing"))?
            .add(granted);
        done += end + 1;
    }
    replies.drain(..done);
    Ok(())
}

/// Writes all of it, if there is anything.
async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads what is there.
fn read(stream: &TcpStream, replies: &mut Vec<u8>) -> io::Result<()> {
    replies.reserve(4096);
    match stream.try_read_buf(replies) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

/// Teaches a server the script, and gives back its hash.
async fn load(stream: &TcpStream) -> io::Result<[u8; 40]> {
    let mut command = Vec::new();
    write!(
        command,
        "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n${}\r\n{RELEASE}\r\n",
        RELEASE.len()
    )?;
    write_all(stream, &command).await?;
    // A bulk string: $40, the hash.
    let mut reply = Vec::new();
    while reply.len() < 5 + 40 + 2 {
        stream.readable().await?;
        read(stream, &mut reply)?;
        if reply.starts_with(b"-") {
            return Err(Error::other(String::from_utf8_lossy(&reply)));
        }
    }
    Ok(reply[5..45].try_into().expect("40 bytes"))
}

fn value() -> Value {
    let mut value = Value::default();
    let mut rest = &mut value[..];
    write!(rest, "{:032x}", fastrand::u128(..)).expect("as long as that");
    value
}
