//! A subscriber that keeps the fields of the layer's spans, and all that is said at all.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry::LookupSpan,
};

/// The fields of one span.
pub(crate) type Fields = BTreeMap<&'static str, String>;

#[derive(Clone, Default)]
pub(crate) struct Capture(Arc<Mutex<Said>>);

#[derive(Default)]
struct Said {
    open: BTreeMap<u64, Fields>,
    closed: Vec<Fields>,
    /// The layer's events above the level of debugging.
    loud: Vec<(Level, String)>,
    all: String,
}

impl Capture {
    /// Listens on this thread, until the guard is dropped.
    pub(crate) fn listen() -> (Self, DefaultGuard) {
        let capture = Self::default();
        let subscriber = tracing_subscriber::registry().with(capture.clone());
        (capture, tracing::subscriber::set_default(subscriber))
    }

    /// The spans that have ended.
    pub(crate) fn closed(&self) -> Vec<Fields> {
        std::mem::take(&mut self.0.lock().unwrap().closed)
    }

    /// The one span there was.
    #[track_caller]
    pub(crate) fn one(&self) -> Fields {
        let mut closed = self.closed();
        assert_eq!(closed.len(), 1, "{closed:?}");
        closed.remove(0)
    }

    /// What is known of the one span that has not ended.
    pub(crate) fn open(&self) -> Fields {
        let said = self.0.lock().unwrap();
        assert_eq!(said.open.len(), 1, "{:?}", said.open);
        said.open.values().next().unwrap().clone()
    }

    /// The level and the message of each event of the layer that is above the level of debugging,
    /// since the last call.
    pub(crate) fn loud(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.0.lock().unwrap().loud)
    }

    /// All fields of all spans and events.
    pub(crate) fn all(&self) -> String {
        self.0.lock().unwrap().all.clone()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut said = self.0.lock().unwrap();
        let mut fields = Fields::new();
        span.record(&mut Visitor(&mut fields, &mut said.all));
        if span.metadata().target().starts_with("redsync_tower") {
            assert_eq!(span.metadata().name(), "lock");
            said.open.insert(id.into_u64(), fields);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        let said = &mut *self.0.lock().unwrap();
        if let Some(fields) = said.open.get_mut(&id.into_u64()) {
            record.record(&mut Visitor(fields, &mut said.all));
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let said = &mut *self.0.lock().unwrap();
        let mut fields = Fields::new();
        event.record(&mut Visitor(&mut fields, &mut said.all));
        let metadata = event.metadata();
        if metadata.target().starts_with("redsync_tower") && *metadata.level() < Level::DEBUG {
            let message = fields.remove("message").unwrap_or_default();
            said.loud.push((*metadata.level(), message));
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let said = &mut *self.0.lock().unwrap();
        if let Some(fields) = said.open.remove(&id.into_u64()) {
            said.closed.push(fields);
        }
    }
}

struct Visitor<'a>(&'a mut Fields, &'a mut String);

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.1.push_str(&format!("{field}={value}\n"));
        // What is told twice is in a log twice.
        let told = self.0.entry(field.name()).or_default();
        if !told.is_empty() {
            told.push_str(" and ");
        }
        told.push_str(value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
