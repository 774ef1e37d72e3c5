//! Explorations of a connection: commands from several threads, its collector, and its replacement.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value, aio::ConnectionLike, cmd};
use shuttle::{
    future::block_on,
    rand::{Rng, thread_rng},
    sync::mpsc,
    thread::{JoinHandle, spawn, yield_now},
};
use tokio::sync::oneshot;

use super::{super::kind::sealed::Sealed, *};
use crate::sync::interleaved::{Background, explore};

type Asked = (usize, oneshot::Sender<RedisResult<Vec<Value>>>);

/// A connection to a server that is a thread. Its clones share it.
#[derive(Clone)]
struct Connection(mpsc::Sender<Asked>);

impl Connection {
    /// Starts a server, which answers each command, up to a number of them, and then breaks off.
    fn start(breaks_after: usize) -> (Self, JoinHandle<()>) {
        let (asked, list) = mpsc::channel::<Asked>();
        let server = spawn(move || {
            let mut left = breaks_after;
            for (count, reply) in list {
                let answer = if count <= left {
                    left -= count;
                    Ok(vec![Value::Okay; count])
                } else {
                    left = 0;
                    Err(broken())
                };
                // It fails if the collector no longer waits.
                let _ = reply.send(answer);
            }
        });
        (Self(asked), server)
    }

    fn ask(&self, count: usize) -> RedisFuture<'static, Vec<Value>> {
        let (reply, answer) = oneshot::channel();
        let asked = self.0.send((count, reply));
        Box::pin(async move {
            asked.map_err(|_| broken())?;
            answer.await.unwrap_or_else(|_| Err(broken()))
        })
    }
}

fn broken() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
        let replies = self.ask(1);
        Box::pin(async move { Ok(replies.await?.remove(0)) })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a Pipeline,
        _: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.ask(count)
    }

    fn get_db(&self) -> i64 {
        0
    }
}

impl Sealed for Connection {}

/// A thread that sends some commands, each after the reply to the one before. It counts those that
/// have failed.
fn sends(sender: &Arc<Sender<Connection>>, failures: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let (sender, failures) = (Arc::clone(sender), Arc::clone(failures));
    spawn(move || {
        for _ in 0..3 {
            if block_on(sender.send(cmd("SET"))).is_err() {
                failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
}

#[test]
fn interleaved_commands_are_all_sent_though_the_collector_goes_to_sleep() {
    explore("commands on one connection", 1_000, |runtime| {
        let (connection, server) = Connection::start(usize::MAX);
        let background = Background::run(runtime);
        let (sender, failures) = (Arc::new(Sender::new(connection)), Arc::default());
        let threads: Vec<_> = (0..2).map(|_| sends(&sender, &failures)).collect();
        for thread in threads {
            thread.join().expect("a thread");
        }
        assert_eq!(failures.load(Ordering::Relaxed), 0);
        let list = Arc::clone(&sender.list);
        // The collector ends, and with it the connection.
        drop(sender);
        server.join().expect("the server");
        assert_eq!(list.health().unanswered(), 0);
        assert!(background.end().is_zero(), "no command waits for a timer");
    });
}

#[test]
fn interleaved_commands_have_a_reply_or_an_error_when_the_connection_is_replaced() {
    explore(
        "a connection that breaks and is replaced",
        1_000,
        |runtime| {
            let (first, first_server) = Connection::start(thread_rng().gen_range(0..6));
            let (second, second_server) = Connection::start(usize::MAX);
            let background = Background::run(runtime);
            let (first, second) = (Arc::new(Sender::new(first)), Arc::new(Sender::new(second)));
            let failures = Arc::default();
            let threads: Vec<_> = (0..2).map(|_| sends(&first, &failures)).collect();
            yield_now();
            first.abandon_for(&second);
            if thread_rng().gen_bool(0.5) {
                first.abandon_sent();
            }
            for thread in threads {
                thread.join().expect("a thread");
            }
            assert!(first.is_closed());
            let list = Arc::clone(&second.list);
            drop((first, second));
            first_server.join().expect("a server");
            second_server.join().expect("a server");
            assert_eq!(list.health().unanswered(), 0);
            assert!(background.end().is_zero(), "no command waits for a timer");
        },
    );
}
