//! Commands of many locks in one write.

#[cfg(feature = "deadpool-redis")]
use std::time::Duration;
use std::{
    future::poll_fn,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_util::{
    future::{BoxFuture, FutureExt},
    stream::{FuturesUnordered, StreamExt},
};
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};
use tokio::{sync::oneshot, time::Instant};

use super::redis_rs::{Connection, send};

/// How many commands are sent together, at the most: more have buffers that allocators treat as rare,
/// and are all answered when the last of them is.
const MAX_BATCH: usize = 64;

/// A connection that is shared by many, and how it fares.
///
/// A command that finds nothing under way is sent at once. The others are collected, and sent
/// together: for redis-rs a pipeline is one message, whose cost is shared by all of its commands. It
/// is not waited for more to come.
pub(super) struct Post<C: Connection> {
    connection: C,
    queue: Arc<Queue>,
}

struct Queue(Mutex<State>);

struct State {
    waiting: Vec<Letter>,
    /// Of the task that collects, if it has nothing to do.
    collector: Option<Waker>,
    /// Whether no more commands will come, or can be sent.
    is_closed: bool,
    unanswered: usize,
    /// Since when nothing was answered though something was sent. Only a reply ends it: not that a
    /// caller has stopped waiting.
    since: Option<Instant>,
    last_reply: Instant,
}

struct Letter {
    command: Cmd,
    reply: oneshot::Sender<RedisResult<Value>>,
}

impl<C: Connection> Post<C> {
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(super) fn new(connection: C) -> Self {
        let queue = Arc::new(Queue::new());
        if C::PIPELINES {
            let collector = Collector {
                connection: connection.clone(),
                queue: Arc::clone(&queue),
                sent: FuturesUnordered::new(),
            };
            tokio::spawn(collector.run());
        }
        Self { connection, queue }
    }

    /// # Cancel safety
    ///
    /// A command whose future is dropped may or may not be sent.
    pub(super) async fn send(&self, command: Cmd) -> RedisResult<Value> {
        match self.collect(command) {
            Ok(reply) => reply.await.unwrap_or_else(|_| Err(closed())),
            Err(command) => {
                let _counted = Counted(&self.queue);
                let reply = send(&self.connection, &command).await;
                self.queue.heard(&reply);
                reply
            }
        }
    }

    /// Counts a command, and leaves it to be sent with others, or gives it back to be sent alone.
    fn collect(&self, command: Cmd) -> Result<oneshot::Receiver<RedisResult<Value>>, Cmd> {
        let mut state = self.queue.state();
        state.unanswered += 1;
        state.since.get_or_insert_with(Instant::now);
        // A closed one says itself what is wrong with it.
        if state.unanswered == 1 || state.is_closed || !C::PIPELINES {
            return Err(command);
        }
        let (reply, answer) = oneshot::channel();
        state.waiting.push(Letter { command, reply });
        state.collector.take().inspect(Waker::wake_by_ref);
        Ok(answer)
    }
}

/// How a connection fares, for those who can make another.
#[cfg(feature = "deadpool-redis")]
pub(super) struct Fares {
    /// For how long something has been sent and nothing answered.
    pub(super) silence: Duration,
    /// For how long nothing has been under way.
    pub(super) rest: Duration,
    /// How many commands have no answer.
    pub(super) unanswered: usize,
}

#[cfg(feature = "deadpool-redis")]
impl<C: Connection> Post<C> {
    pub(super) fn fares(&self) -> Fares {
        let state = self.queue.state();
        let now = Instant::now();
        let (silence, rest) = match state.since {
            Some(since) => (now - since, Duration::ZERO),
            None => (Duration::ZERO, now - state.last_reply),
        };
        Fares {
            silence,
            rest,
            unanswered: state.unanswered,
        }
    }
}

impl<C: Connection> Drop for Post<C> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Queue {
    fn new() -> Self {
        Self(Mutex::new(State {
            waiting: Vec::new(),
            collector: None,
            is_closed: false,
            unanswered: 0,
            since: None,
            last_reply: Instant::now(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No more commands. Those that were sent are still waited for.
    fn close(&self) {
        let collector = {
            let mut state = self.state();
            state.is_closed = true;
            state.collector.take()
        };
        collector.inspect(Waker::wake_by_ref);
    }

    /// Notes a sign of life, if it is one.
    fn heard<T>(&self, reply: &RedisResult<T>) {
        if !matches!(reply, Err(error) if error.is_timeout()) {
            let mut state = self.state();
            state.last_reply = Instant::now();
            state.since = Some(state.last_reply);
        }
    }

    /// So many commands are not under way any more.
    fn over(&self, commands: usize) {
        let mut state = self.state();
        state.unanswered -= commands;
        if state.unanswered == 0 {
            state.since = None;
        }
    }
}

/// A command that is under way until this is dropped.
struct Counted<'a>(&'a Queue);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.over(1);
    }
}

/// Sends what is waiting, for as long as there is a post.
struct Collector<C: Connection> {
    connection: C,
    queue: Arc<Queue>,
    sent: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl<C: Connection> Collector<C> {
    async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (letters, is_closed) = {
            let mut state = self.queue.state();
            state.collector = Some(cx.waker().clone());
            (mem::take(&mut state.waiting), state.is_closed)
        };
        let mut letters = letters.into_iter();
        while letters.len() > 0 {
            let batch = letters.by_ref().take(MAX_BATCH).collect();
            let (connection, queue) = (self.connection.clone(), Arc::clone(&self.queue));
            self.sent.push(deliver(connection, queue, batch).boxed());
        }
        loop {
            match self.sent.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) if is_closed => return Poll::Ready(()),
                // What comes now wakes it.
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<C: Connection> Drop for Collector<C> {
    /// Also if its runtime shuts down, after which nothing can be sent.
    fn drop(&mut self) {
        self.queue.close();
        let waiting = mem::take(&mut self.queue.state().waiting);
        drop(waiting);
    }
}

async fn deliver<C: Connection>(mut connection: C, queue: Arc<Queue>, mut letters: Vec<Letter>) {
    let collected = letters.len();
    // Nobody waits for those any more, and nothing was sent.
    letters.retain(|letter| !letter.reply.is_closed());
    let mut pipeline = Pipeline::with_capacity(letters.len());
    let mut replies = Vec::with_capacity(letters.len());
    for letter in letters {
        pipeline.add_command(letter.command);
        replies.push(letter.reply);
    }
    let values = match replies.len() {
        0 => Ok(Vec::new()),
        count => {
            let values = connection.req_packed_commands(&pipeline, 0, count).await;
            queue.heard(&values);
            values
        }
    };
    queue.over(collected);
    match values {
        Ok(values) => {
            for (reply, value) in replies.into_iter().zip(values) {
                // Or nobody waits for it any more.
                let _ = reply.send(value.extract_error());
            }
        }
        Err(error) => {
            for reply in replies {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

/// The error of what was not sent, or whose answer was lost.
fn closed() -> RedisError {
    (redis::ErrorKind::Io, "the connection was given up").into()
}
