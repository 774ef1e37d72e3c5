//! Recording events, and reading records.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    mem,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::{Event, What};

/// Where events are recorded. Clones record into the same place.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    /// The beginning of virtual time.
    start: Option<Instant>,
    place: Mutex<Place>,
}

enum Place {
    Memory(Vec<Event>),
    File(File),
}

impl Recorder {
    /// Records into memory, on tokio's clock. The history begins now.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(Some(Instant::now()), Place::Memory(Vec::new()))
    }

    /// Records at the end of a file, on the machine's monotonic clock. Every event is written at
    /// once, so that none is lost with a process that is killed.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened for writing.
    pub fn to_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::new(None, Place::File(file)))
    }

    fn new(start: Option<Instant>, place: Place) -> Self {
        let place = Mutex::new(place);
        Self(Arc::new(Shared { start, place }))
    }

    /// The history's clock.
    #[must_use]
    pub fn now(&self) -> u64 {
        if let Some(start) = self.0.start {
            return start.elapsed().as_nanos() as u64;
        }
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }

    /// An instant on the history's clock.
    #[must_use]
    pub fn instant(&self, instant: Instant) -> u64 {
        // On the machine's clock, the earlier of two readings makes the result too small, if
        // anything.
        let (here, now) = (self.now(), Instant::now());
        match instant.checked_duration_since(now) {
            Some(later) => here.saturating_add(later.as_nanos() as u64),
            None => here.saturating_sub((now - instant).as_nanos() as u64),
        }
    }

    /// Records that something happens now.
    ///
    /// # Panics
    ///
    /// If it cannot be written to the file.
    pub fn record(&self, what: What) {
        let mut place = self.place();
        let at = self.now();
        place.add(Event { at, what });
    }

    /// Records that something happened before, of which that is known only now.
    ///
    /// # Panics
    ///
    /// If it cannot be written to the file.
    pub fn record_at(&self, at: u64, what: What) {
        self.place().add(Event { at, what });
    }

    /// Takes what has been recorded into memory.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        match &mut *self.place() {
            Place::Memory(events) => {
                let mut events = mem::take(events);
                events.sort_by_key(|event| event.at);
                events
            }
            Place::File(_) => Vec::new(),
        }
    }

    /// Reads the files of several processes as one history.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or has a line that is no event. The last line may be incomplete,
    /// if its process was killed.
    pub fn read<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> io::Result<Vec<Event>> {
        let mut events = Vec::new();
        for path in paths {
            let mut lines = BufReader::new(File::open(path)?).lines().peekable();
            while let Some(line) = lines.next() {
                match serde_json::from_str(&line?) {
                    Ok(event) => events.push(event),
                    Err(error) if error.is_eof() && lines.peek().is_none() => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        // Stable: what one process recorded at the same instant stays in its order.
        events.sort_by_key(|event: &Event| event.at);
        Ok(events)
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn add(&mut self, event: Event) {
        match self {
            Self::Memory(events) => events.push(event),
            Self::File(file) => {
                let mut line = serde_json::to_string(&event).expect("an event can be written");
                line.push('\n');
                file.write_all(line.as_bytes())
                    .expect("a file that can be written to");
            }
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
