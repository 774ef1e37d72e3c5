//! How long the machine lets a node take to answer, which the crate under test cannot be blamed for.

use std::{io, time::Duration};

use redsync_simulation::history::{Recorder, What};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{Outcome, nodes::PASSWORD};

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// An answer that comes later than this is a fault of the node: a keeper whose extensions take as long may lose
/// its lock.
const LATE: Duration = Duration::from_millis(250);

/// After this time, the connection is replaced.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// Asks a node over and over, on a connection of its own, and records as faults when it answered late. So it does
/// if the process or the node waits for the processor, and after other faults, up to the first answer.
pub(crate) async fn watch(node: u32, address: String, recorder: Recorder) {
    let mut connection = None;
    loop {
        let _question = Question::begin(node, &recorder);
        sleep(PAUSE).await;
        while !is_answered(&mut connection, &address).await {
            connection = None;
            sleep(PAUSE).await;
        }
    }
}

async fn is_answered(connection: &mut Option<BufReader<TcpStream>>, address: &str) -> bool {
    let answered = async {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(connect(address).await?),
        };
        ask(connection, "PING", "+PONG").await
    };
    matches!(timeout(GIVEN_UP, answered).await, Ok(Ok(())))
}

async fn connect(address: &str) -> Outcome<BufReader<TcpStream>> {
    let mut connection = BufReader::new(TcpStream::connect(address).await?);
    connection.get_ref().set_nodelay(true)?;
    ask(&mut connection, &format!("AUTH {PASSWORD}"), "+OK").await?;
    Ok(connection)
}

async fn ask(connection: &mut BufReader<TcpStream>, command: &str, expected: &str) -> Outcome<()> {
    let command = format!("{command}\r\n");
    connection.get_mut().write_all(command.as_bytes()).await?;
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    if line.trim_end() == expected {
        Ok(())
    } else {
        Err(io::Error::other(line).into())
    }
}

/// A question that is not answered yet. When it is dropped, a fault is recorded if that was late.
struct Question<'a> {
    node: u32,
    recorder: &'a Recorder,
    since: u64,
}

impl<'a> Question<'a> {
    fn begin(node: u32, recorder: &'a Recorder) -> Self {
        let since = recorder.now();
        Self {
            node,
            recorder,
            since,
        }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        let (node, took) = (self.node, self.recorder.now() - self.since);
        if u128::from(took) > (PAUSE + LATE).as_nanos() {
            self.recorder.record_at(self.since, What::Ill { node });
            self.recorder.record(What::Well { node });
        }
    }
}
