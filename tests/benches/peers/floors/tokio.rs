//! The floor in a tokio runtime.
//!
//! There is one connection per node. Its task sends all waiting commands in one write, and counts
//! the votes where it reads the replies. Only the vote that decides wakes the task that locks.

use std::{
    collections::VecDeque,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::{future::poll_fn, task::AtomicWaker};
use tokio::{
    net::TcpStream,
    sync::{Notify, OwnedMutexGuard},
    task::JoinSet,
    time::sleep,
};

use super::resp::{self, Script, Value};

/// The pause between two attempts to lock a name that another process holds.
const POLL: Duration = Duration::from_millis(1);

/// The client.
pub(crate) struct Floor {
    nodes: Box<[Arc<Node>]>,
    expiry: Duration,
    /// The queue of this process for the one contended name.
    queue: Arc<tokio::sync::Mutex<()>>,
    // Ends the connections' tasks when dropped.
    _connections: JoinSet<()>,
}

/// A lock that is held.
pub(crate) struct Held {
    name: String,
    value: Value,
    ticket: Option<OwnedMutexGuard<()>>,
}

impl Floor {
    /// Connects to the nodes at these addresses.
    pub(crate) async fn connect(addresses: &[String], expiry: Duration) -> io::Result<Self> {
        let mut nodes = Vec::new();
        let mut connections = JoinSet::new();
        for address in addresses {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let node = Arc::new(Node {
                script: load(&stream).await?,
                waiting: Mutex::default(),
                wake: Notify::new(),
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

    /// Makes one attempt.
    pub(crate) async fn try_lock(&self, name: &str) -> Option<Held> {
        let lock = Held {
            name: name.to_owned(),
            value: resp::value(),
            ticket: None,
        };
        let acquire = |_: &Node, commands: &mut Vec<u8>| {
            resp::acquire(commands, name, &lock.value, self.expiry);
        };
        if self.ask(acquire).await {
            return Some(lock);
        }
        // It releases the keys that were granted, behind the acquires on the same connections. No
        // task waits for that.
        drop(self.send(lock.release()));
        None
    }

    /// Locks the contended name: in order within this process, and by repeated attempts between
    /// processes.
    pub(crate) async fn wait(&self, name: &str) -> Held {
        let ticket = Arc::clone(&self.queue).lock_owned().await;
        loop {
            if let Some(lock) = self.try_lock(name).await {
                return Held {
                    ticket: Some(ticket),
                    ..lock
                };
            }
            sleep(POLL).await;
        }
    }

    /// Whether a quorum has deleted the lock.
    pub(crate) async fn release(&self, held: Held) -> bool {
        let released = self.ask(held.release()).await;
        drop(held.ticket);
        released
    }

    /// Whether a quorum grants a command, as soon as that is clear.
    async fn ask(&self, command: impl Fn(&Node, &mut Vec<u8>)) -> bool {
        let count = self.send(command);
        poll_fn(|cx| {
            // It registers before it checks, so a vote that the check does not see finds the waker.
            count.waker.register(cx.waker());
            count.verdict().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn send(&self, command: impl Fn(&Node, &mut Vec<u8>)) -> Arc<Count> {
        let count = Arc::new(Count::of(self.nodes.len()));
        for node in &self.nodes {
            let mut waiting = node.waiting();
            if waiting.closed {
                drop(waiting);
                count.add(false);
                continue;
            }
            let first = waiting.counts.is_empty();
            command(node, &mut waiting.commands);
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
    fn release(&self) -> impl Fn(&Node, &mut Vec<u8>) {
        |node, commands| resp::release(commands, &node.script, &self.name, &self.value)
    }
}

/// The votes on one command.
struct Count {
    nodes: u32,
    /// The number of votes that grant in the lower half, and of those that refuse in the upper
    /// half.
    votes: AtomicU32,
    waker: AtomicWaker,
}

impl Count {
    fn of(nodes: usize) -> Self {
        Self {
            nodes: nodes as u32,
            votes: AtomicU32::new(0),
            waker: AtomicWaker::new(),
        }
    }

    /// Counts a vote, and wakes the task that asked if it is the vote that decides.
    fn add(&self, granted: bool) {
        let vote = if granted { 1 } else { 1 << 16 };
        // Both counts are one number, so that exactly one vote sees the verdict change. Relaxed is
        // enough: only this number is passed on, and the waker orders the addition before the check
        // of the task that it wakes.
        let before = self.votes.fetch_add(vote, Ordering::Relaxed);
        if self.verdict_of(before).is_none() && self.verdict_of(before + vote).is_some() {
            self.waker.wake();
        }
    }

    fn verdict(&self) -> Option<bool> {
        self.verdict_of(self.votes.load(Ordering::Relaxed))
    }

    fn verdict_of(&self, votes: u32) -> Option<bool> {
        resp::verdict(self.nodes, votes & 0xffff, votes >> 16)
    }
}

struct Node {
    script: Script,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

/// The commands that have not been written yet.
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
        // It ends only with an error, when the server is gone.
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
                    resp::votes(&mut replies, |granted| {
                        let count = written.pop_front().ok_or_else(resp::unasked)?;
                        count.add(granted);
                        Ok(())
                    })?;
                }
            }
        }
    }
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

/// Reads the bytes that have arrived.
fn read(stream: &TcpStream, replies: &mut Vec<u8>) -> io::Result<()> {
    replies.reserve(4096);
    match stream.try_read_buf(replies) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

/// Loads the script on a server, and returns its hash.
async fn load(stream: &TcpStream) -> io::Result<Script> {
    write_all(stream, &resp::load()).await?;
    let mut reply = Vec::new();
    loop {
        stream.readable().await?;
        read(stream, &mut reply)?;
        if let Some(script) = resp::loaded(&reply)? {
            return Ok(script);
        }
    }
}
