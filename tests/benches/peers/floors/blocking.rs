//! The floor without a runtime: a thread with one connection per node, which serves as many clients
//! as there are tasks in the other floor.
//!
//! It writes its clients' commands, polls until a node has answered, and counts the votes. After
//! the vote that decides, the client adds its next commands. With one client, this is what a
//! blocking client does that returns at a quorum.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::resp::{self, Script, Value};
use crate::times::Times;

/// How long the nodes may answer nothing.
const PATIENCE: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// The clients' connections.
pub(crate) struct Floor {
    nodes: Vec<Node>,
    expiry: Duration,
    commands: u64,
}

impl Floor {
    /// Connects to the nodes at these addresses.
    pub(crate) fn connect(addresses: &[String], expiry: Duration) -> io::Result<Self> {
        let nodes = addresses.iter().map(|address| Node::connect(address));
        Ok(Self {
            nodes: nodes.collect::<io::Result<_>>()?,
            expiry,
            commands: 0,
        })
    }

    /// Lets this many clients lock and release names of their own. Before each name, a client asks
    /// `more` with the number of that name, and stops if the answer is no.
    pub(crate) fn repeat(
        &mut self,
        clients: usize,
        more: impl Fn(u64) -> bool,
    ) -> io::Result<Times> {
        let mut clients: Vec<_> = (0..clients).map(|_| Client::new()).collect();
        let mut times = Times::default();
        let mut busy = 0;
        for (index, client) in clients.iter_mut().enumerate() {
            if more(client.number) {
                self.acquire(index, client);
                busy += 1;
            }
        }
        let mut votes = Vec::new();
        while busy > 0 {
            self.exchange(&mut votes)?;
            for vote in votes.drain(..) {
                let client = &mut clients[vote.command.client];
                match client.count(vote, self.nodes.len()) {
                    None => continue,
                    Some(true) => {}
                    Some(false) => return Err(io::Error::other("the floor found no quorum")),
                }
                match client.step {
                    Step::Acquire => {
                        times.locked(client.begun);
                        self.release(vote.command.client, client);
                    }
                    Step::Release => {
                        times.released(client.begun);
                        client.number += 1;
                        if more(client.number) {
                            self.acquire(vote.command.client, client);
                        } else {
                            busy -= 1;
                        }
                    }
                }
            }
        }
        Ok(times)
    }

    fn acquire(&mut self, index: usize, client: &mut Client) {
        client.begin();
        client.ask(Step::Acquire, self.next());
        for node in &mut self.nodes {
            let Client { name, value, .. } = &*client;
            resp::acquire(&mut node.commands, name, value, self.expiry);
            node.asked.push_back(Command::of(index, client));
        }
    }

    fn release(&mut self, index: usize, client: &mut Client) {
        client.ask(Step::Release, self.next());
        for node in &mut self.nodes {
            let Client { name, value, .. } = &*client;
            resp::release(&mut node.commands, &node.script, name, value);
            node.asked.push_back(Command::of(index, client));
        }
    }

    const fn next(&mut self) -> u64 {
        self.commands += 1;
        self.commands
    }

    /// Writes the waiting commands, polls until a node has answered, and reads the replies.
    fn exchange(&mut self, votes: &mut Vec<Vote>) -> io::Result<()> {
        for node in &mut self.nodes {
            node.write()?;
        }
        let ready: Vec<_> = {
            let mut polled: Vec<_> = self.nodes.iter().map(Node::polled).collect();
            match poll(&mut polled, Some(&PATIENCE)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => {}
                // A signal has interrupted the poll.
                Err(rustix::io::Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            polled.iter().map(PollFd::revents).collect()
        };
        for (node, ready) in self.nodes.iter_mut().zip(ready) {
            // A read also returns the error of a socket.
            if !ready.difference(PollFlags::OUT).is_empty() {
                node.read(votes)?;
            }
        }
        Ok(())
    }
}

/// A command of a client.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Command {
    client: usize,
    /// A number of its own among the commands of a [`Floor`].
    number: u64,
}

impl Command {
    fn of(index: usize, client: &Client) -> Self {
        Self {
            client: index,
            number: client.command,
        }
    }
}

#[derive(Clone, Copy)]
struct Vote {
    command: Command,
    granted: bool,
}

#[derive(Clone, Copy)]
enum Step {
    Acquire,
    Release,
}

struct Client {
    prefix: u64,
    /// The number of the name that it locks.
    number: u64,
    name: String,
    value: Value,
    begun: Instant,
    step: Step,
    command: u64,
    granted: u32,
    refused: u32,
}

impl Client {
    fn new() -> Self {
        Self {
            prefix: fastrand::u64(..),
            number: 0,
            name: String::new(),
            value: Value::default(),
            begun: Instant::now(),
            step: Step::Acquire,
            command: 0,
            granted: 0,
            refused: 0,
        }
    }

    /// Takes its next name.
    fn begin(&mut self) {
        self.name.clear();
        write!(self.name, "{:016x}:{}", self.prefix, self.number).expect("memory");
        self.value = resp::value();
        self.begun = Instant::now();
    }

    const fn ask(&mut self, step: Step, command: u64) {
        self.step = step;
        self.command = command;
        (self.granted, self.refused) = (0, 0);
    }

    /// Counts a vote on the client's present command, and returns the verdict if this vote decides.
    fn count(&mut self, vote: Vote, nodes: usize) -> Option<bool> {
        if vote.command.number != self.command {
            return None;
        }
        if vote.granted {
            self.granted += 1;
        } else {
            self.refused += 1;
        }
        let verdict = resp::verdict(nodes as u32, self.granted, self.refused);
        if verdict.is_some() {
            self.command = 0;
        }
        verdict
    }
}

struct Node {
    stream: TcpStream,
    script: Script,
    /// The bytes that have not been written yet.
    commands: Vec<u8>,
    /// The commands that have not been answered yet.
    asked: VecDeque<Command>,
    /// The bytes of a reply that is not complete yet.
    replies: Vec<u8>,
}

impl Node {
    fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let script = load(&stream)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            script,
            commands: Vec::new(),
            asked: VecDeque::new(),
            replies: Vec::new(),
        })
    }

    fn polled(&self) -> PollFd<'_> {
        let mut events = PollFlags::IN;
        events.set(PollFlags::OUT, !self.commands.is_empty());
        PollFd::new(&self.stream, events)
    }

    /// Writes as much as the socket takes.
    fn write(&mut self) -> io::Result<()> {
        while !self.commands.is_empty() {
            match self.stream.write(&self.commands) {
                Ok(written) => drop(self.commands.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads bytes that have arrived.
    fn read(&mut self, votes: &mut Vec<Vote>) -> io::Result<()> {
        let mut bytes = [0; 4096];
        let read = self.stream.read(&mut bytes)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.replies.extend_from_slice(&bytes[..read]);
        let asked = &mut self.asked;
        resp::votes(&mut self.replies, |granted| {
            let command = asked.pop_front().ok_or_else(resp::unasked)?;
            votes.push(Vote { command, granted });
            Ok(())
        })
    }
}

/// Loads the script on a server, and returns its hash.
fn load(mut stream: &TcpStream) -> io::Result<Script> {
    stream.write_all(&resp::load())?;
    let mut reply = Vec::new();
    loop {
        let mut bytes = [0; 64];
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        reply.extend_from_slice(&bytes[..read]);
        if let Some(script) = resp::loaded(&reply)? {
            return Ok(script);
        }
    }
}
