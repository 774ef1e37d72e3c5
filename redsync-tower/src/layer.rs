//! The layer. Its options are in one file for each group.

mod holding;
mod locking;
mod observing;
mod responses;
mod waiting;

use std::{fmt, sync::Arc};

use redsync::{Mutex, Redsync};
use tower_layer::Layer;

use crate::{
    common::Common,
    config::{Config, Locking},
    key::LockKey,
    service::Redlock,
};

/// Layer that applies [`Redlock`]: it holds a lock while the inner service handles a request.
///
/// The requests of a layer and its clones count together against
/// [limits](Self::with_max_pending_per_key). The [crate docs](crate) have examples.
///
/// A function that returns a layer, for axum, names the type of its [`Key`](crate::key::Key) like
/// this:
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, body::Body, extract::Path, routing::put};
/// use redsync::Redsync;
/// use redsync_tower::{
///     RedlockLayer,
///     key::{self, Key},
/// };
///
/// fn orders(redsync: &Redsync) -> RedlockLayer<impl Key<Body, Future: Send> + Clone + use<>> {
///     let order = key::from_extractor(|Path(id): Path<u64>| format!("order:{id}"));
///     RedlockLayer::new(redsync.clone(), order).with_fencing(true)
/// }
///
/// let lock = orders(&Redsync::in_memory(3));
/// let app: Router = Router::new()
///     .route("/orders/{id}", put(async || "updated").route_layer(lock));
/// # }
/// ```
#[derive(Clone)]
pub struct RedlockLayer<K> {
    key: K,
    common: Arc<Common>,
}

/// The number of attempts in a row without a quorum after which a request is answered with 503.
/// They take about a second.
const OUTAGE_ATTEMPTS: u32 = 2;

impl<K> RedlockLayer<K> {
    /// Creates a layer that locks the name that `key` finds in a request.
    ///
    /// The nodes, and the defaults of the locks, such as a prefix, are those of `redsync`. Of
    /// these, only the limit of [attempts in an outage](Self::with_outage_attempts) is the layer's
    /// own. It can have others of its own, such as an [expiry](Self::with_expiry), a [maximum
    /// hold](Self::with_max_hold) and a [limit for each node](Self::with_node_timeout).
    ///
    /// By default a request that finds its lock taken is refused at once, with 409 (Conflict). See
    /// [`with_wait`](Self::with_wait).
    ///
    /// ```
    /// use std::time::Duration;
    /// use redsync::Redsync;
    /// use redsync_tower::{RedlockLayer, key};
    ///
    /// let layer = RedlockLayer::new(Redsync::in_memory(3), key::header("device-id"))
    ///     .with_expiry(Duration::from_secs(2))
    ///     .with_max_hold(Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn new(redsync: Redsync, key: K) -> Self {
        let common = Arc::new(Common::new(redsync));
        Self { key, common }.with_outage_attempts(OUTAGE_ATTEMPTS)
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut Arc::make_mut(&mut self.common).config);
        self
    }

    /// Changes a default of the mutexes.
    ///
    /// # Panics
    ///
    /// Panics if the result is invalid. `valid` says what would be valid.
    #[track_caller]
    fn set_default(mut self, change: impl FnOnce(Mutex) -> Mutex, valid: &str) -> Self {
        self.locking_mut().change_defaults(change, valid);
        self
    }

    fn locking_mut(&mut self) -> &mut Locking {
        &mut Arc::make_mut(&mut self.common).config.locking
    }
}

/// For code that locks by hand.
impl<K> RedlockLayer<K> {
    /// Returns the mutex that the layer locks for a request with that key, for code that locks by
    /// hand what requests lock, such as a nightly job.
    ///
    /// It has the layer's nodes, the defaults of its [`Redsync`], and the
    /// [name on the nodes](crate::key#names-on-the-nodes). It is exclusive unless the key is
    /// [shared](LockKey::shared).
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// # use axum::{Router, routing::put};
    /// # use redsync::{Guard, Redsync};
    /// # use redsync_tower::{RedlockLayer, key};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = Redsync::in_memory(3);
    /// let key = key::path("user:{email}");
    /// let lock = RedlockLayer::new(redsync, key.clone()).with_prefix("shop:");
    /// let app: Router = Router::new()
    ///     .route("/users/{email}", put(async || "updated").route_layer(lock.clone()));
    ///
    /// // What `PUT /users/ann@example.com` locks:
    /// let ann = lock.mutex(key.name([("email", "ann@example.com")])?);
    /// let guard = ann.lock().await?;
    /// assert_eq!(guard.name(), "shop:user:ann%40example.com");
    /// # Ok(())
    /// # }
    /// # main().unwrap();
    /// # }
    /// ```
    #[must_use]
    pub fn mutex(&self, key: impl Into<LockKey>) -> Mutex {
        self.common.config.locking.mutex(&key.into())
    }
}

impl<S, K: Clone> Layer<S> for RedlockLayer<K> {
    type Service = Redlock<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        Redlock::new(inner, self.key.clone(), Arc::clone(&self.common))
    }
}

impl<K> fmt::Debug for RedlockLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedlockLayer")
            .field("key", &format_args!("{}", std::any::type_name::<K>()))
            .field("config", &self.common.config)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_docs_list_every_option() {
        let docs = include_str!("docs/options.md");
        let code = concat!(
            include_str!("layer/holding.rs"),
            include_str!("layer/locking.rs"),
            include_str!("layer/observing.rs"),
            include_str!("layer/responses.rs"),
            include_str!("layer/waiting.rs"),
        );
        for option in code.split("pub fn ").skip(1) {
            let name = option.split(['(', '<']).next().unwrap_or_default();
            let link = format!("[`{name}`](RedlockLayer::{name})");
            assert!(docs.contains(&link), "{link}");
        }
    }
}
