//! The way to the ledger: a socket, so that a client that is stopped or killed holds up nobody else.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    ledger::{Entered, Ledger},
    tally::Tally,
};

/// What a client says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// It has locked these names exclusively, after it waited for so long.
    Read {
        names: Vec<String>,
        token: i64,
        waited: Duration,
    },
    Write {
        names: Vec<String>,
        token: i64,
        values: Vec<i64>,
    },
    /// It has locked a name together with others.
    Shared { waited: Duration },
    /// It asks for the largest token of a name.
    Token { name: String },
    /// It got no lock, for this reason.
    Failed { reason: String },
    /// Its lock was lost before it was done, for this reason.
    Lost { reason: String },
    /// It has seen what must not be.
    Wrong { text: String },
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Values(Vec<i64>),
    Token(i64),
    Refused,
    Done,
}

/// Clones are the same desk.
#[derive(Clone)]
pub(crate) struct Desk {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

struct Book {
    ledger: Ledger,
    tally: Tally,
    /// The names that were read since the last [`Desk::forget_names`].
    read: BTreeSet<String>,
    wrongs: Vec<String>,
}

impl Desk {
    pub(crate) fn open(ledger: Ledger) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let desk = Self {
            address: listener.local_addr()?,
            book: Arc::new(Mutex::new(Book {
                ledger,
                tally: Tally::default(),
                read: BTreeSet::new(),
                wrongs: Vec::new(),
            })),
        };
        let of_clients = desk.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let desk = of_clients.clone();
                thread::spawn(move || {
                    // The client has ended, or was killed.
                    let _ = desk.serve(client);
                });
            }
        });
        Ok(desk)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads the figures, and changes them where that belongs to it.
    pub(crate) fn tally<T>(&self, read: impl FnOnce(&mut Tally) -> T) -> T {
        read(&mut self.book().tally)
    }

    /// What must not be, as far as clients have seen it.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        self.book().wrongs.clone()
    }

    pub(crate) fn check_ledger(&self) -> Outcome<i64> {
        self.book().ledger.check()
    }

    pub(crate) fn forget_names(&self) {
        self.book().read.clear();
    }

    /// How many names were read since they were forgotten.
    pub(crate) fn names_read(&self) -> usize {
        self.book().read.len()
    }

    fn serve(&self, client: TcpStream) -> Outcome<()> {
        client.set_nodelay(true)?;
        let mut writer = client.try_clone()?;
        for line in BufReader::new(client).lines() {
            let answer = self.book().handle(serde_json::from_str(&line?)?)?;
            let mut line = serde_json::to_string(&answer)?;
            line.push('\n');
            writer.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn handle(&mut self, message: Message) -> Outcome<Answer> {
        Ok(match message {
            Message::Read {
                names,
                token,
                waited,
            } => {
                self.tally.grant(waited);
                let values = self.ledger.read(&names, token)?;
                self.read.extend(names);
                values.map_or(Answer::Refused, Answer::Values)
            }
            Message::Write {
                names,
                token,
                values,
            } => match self.ledger.write(&names, token, &values)? {
                Entered::Done => Answer::Done,
                Entered::Refused => Answer::Refused,
                Entered::Lost => {
                    self.wrongs.push(format!("an update of {names:?} is lost"));
                    Answer::Done
                }
            },
            Message::Shared { waited } => {
                self.tally.grant(waited);
                Answer::Done
            }
            Message::Token { name } => Answer::Token(self.ledger.token(&name)?),
            Message::Failed { reason } => {
                self.tally.failure(reason);
                Answer::Done
            }
            Message::Lost { reason } => {
                self.tally.lose(reason);
                Answer::Done
            }
            Message::Wrong { text } => {
                self.wrongs.push(text);
                Answer::Done
            }
        })
    }
}
