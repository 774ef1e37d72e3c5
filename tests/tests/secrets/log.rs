//! Everything that can be read: events and spans of all targets at all levels, metrics, and what
//! the test notes.

use std::{
    fmt::Debug,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    fmt::{MakeWriter, format::FmtSpan},
    util::SubscriberInitExt,
};

#[derive(Clone)]
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    #[cfg(feature = "metrics")]
    figures: Arc<metrics_util::debugging::Snapshotter>,
}

impl Log {
    /// Listens to this process, also to those of its crates that use the facade `log`.
    pub(crate) fn listen() -> Self {
        let log = Self {
            text: Arc::default(),
            #[cfg(feature = "metrics")]
            figures: record_figures(),
        };
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish()
            .init();
        log
    }

    /// Adds what a person or program could be shown.
    pub(crate) fn note(&self, shown: &str) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.extend_from_slice(shown.as_bytes());
        text.push(b'\n');
    }

    pub(crate) fn note_debug<T: Debug>(&self, value: &T) {
        self.note(&format!("{value:?}\n{value:#?}"));
    }

    pub(crate) fn note_error<E: std::error::Error>(&self, error: &E) {
        self.note(&error.to_string());
        self.note_debug(error);
        let mut source = error.source();
        while let Some(error) = source {
            self.note(&format!("{error}\n{error:?}\n{error:#?}"));
            source = error.source();
        }
    }

    pub(crate) fn text(&self) -> String {
        #[cfg(feature = "metrics")]
        self.note_debug(&self.figures.snapshot().into_vec());
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Records the metrics of this process.
#[cfg(feature = "metrics")]
fn record_figures() -> Arc<metrics_util::debugging::Snapshotter> {
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    let figures = Arc::new(recorder.snapshotter());
    metrics::set_global_recorder(recorder).expect("no other recorder");
    figures
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
