//! The names that one request locks, and the types that convert into them.

use redsync::Mode;

use super::error::KeyError;

/// One or several names to lock, exclusively or shared.
///
/// The lock of several names is acquired for all of them or for none. The order of the names does
/// not matter, and a name that is given twice counts once.
///
/// ```
/// use redsync_tower::key::LockKey;
///
/// let order = LockKey::from("order:42");
/// let transfer = LockKey::from("account:1").and("account:2");
/// let all: LockKey = (1..=3).map(|id| format!("order:{id}")).collect();
/// assert_eq!(all.names().collect::<Vec<_>>(), ["order:1", "order:2", "order:3"]);
/// ```
///
/// A request whose key has no name, or an empty one, is answered with 400. Any other name can be
/// locked, whatever characters it contains. Names that the nodes could not keep as they are
/// have [another form](super#names-on-the-nodes) there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockKey {
    names: Vec<String>,
    mode: Mode,
}

impl LockKey {
    /// Adds a name.
    #[must_use]
    pub fn and(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// Locks the names in shared mode: either any number of requests hold a name shared, or one
    /// holds it exclusively. See [`Mutex::shared`](redsync::Mutex::shared).
    ///
    /// ```
    /// use http::Request;
    /// use redsync::Redsync;
    /// use redsync_tower::{RedlockLayer, key::LockKey};
    ///
    /// // Searches are POST requests, but they only read.
    /// let layer = RedlockLayer::new(Redsync::in_memory(3), |request: &Request<_>| {
    ///     let key = LockKey::from("catalog");
    ///     if request.uri().path().ends_with("/search") { key.shared() } else { key }
    /// });
    /// # async fn handle(_: Request<()>) -> Result<http::Response<http_body_util::Empty<bytes::Bytes>>, std::convert::Infallible> {
    /// #     Ok(http::Response::default())
    /// # }
    /// # use tower::{Layer, Service};
    /// # drop(layer.layer(tower::service_fn(handle)).call(Request::new(())));
    /// ```
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.mode = Mode::Shared;
        self
    }

    /// Returns the names, without the layer's prefix, in the order in which they were given.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Checks that there is a name, and that none is empty.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        if self.names.is_empty() || self.names.iter().any(String::is_empty) {
            return Err(KeyError::BadRequest("The request names no lock.".into()));
        }
        Ok(())
    }
}

impl From<String> for LockKey {
    fn from(name: String) -> Self {
        Self {
            names: vec![name],
            mode: Mode::Exclusive,
        }
    }
}

impl From<&str> for LockKey {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl<N: Into<String>> FromIterator<N> for LockKey {
    fn from_iter<I: IntoIterator<Item = N>>(names: I) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            mode: Mode::Exclusive,
        }
    }
}

/// Types that a function can return as its key.
///
/// These are [`LockKey`], [`String`] and `&str`; an [`Option`] of one, where [`None`] means that
/// the request needs no lock; and a [`Result`] of any of these with a [`KeyError`].
pub trait IntoLockKey {
    /// Converts into a key, or into [`None`] if the request needs no lock.
    ///
    /// # Errors
    ///
    /// Returns the [`KeyError`] that the function returned.
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError>;
}

impl IntoLockKey for LockKey {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        Ok(Some(self))
    }
}

impl IntoLockKey for String {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        Ok(Some(self.into()))
    }
}

impl IntoLockKey for &str {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        Ok(Some(self.into()))
    }
}

impl<T: IntoLockKey> IntoLockKey for Option<T> {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        self.map_or(Ok(None), T::into_lock_key)
    }
}

impl<T: IntoLockKey> IntoLockKey for Result<T, KeyError> {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        self?.into_lock_key()
    }
}
