use std::{any::type_name, fmt, future::ready, marker::PhantomData};

use http::Request;

use super::{IntoLockKey, Key, KeyError, ReadyKey};

/// Locks by an extension of the request, such as the tenant or the session that a layer outside has
/// found.
///
/// ```
/// use redsync::Redsync;
/// use redsync_tower::{RedlockLayer, key};
///
/// #[derive(Clone)]
/// struct Tenant(u64);
///
/// let key = key::extension(|Tenant(id): &Tenant| format!("tenant:{id}"));
/// let layer = RedlockLayer::new(Redsync::in_memory(3), key);
/// ```
///
/// A request without it is a mistake in the program: 500, and an error event that names the type.
pub const fn extension<T, F, R>(key: F) -> ExtensionKey<T, F>
where
    T: Send + Sync + 'static,
    F: Fn(&T) -> R,
    R: IntoLockKey,
{
    ExtensionKey {
        key,
        extension: PhantomData,
    }
}

/// A key from an extension; see [`extension`].
pub struct ExtensionKey<T, F> {
    key: F,
    extension: PhantomData<fn(T)>,
}

impl<T, F, R, B> Key<B> for ExtensionKey<T, F>
where
    T: Send + Sync + 'static,
    F: Fn(&T) -> R,
    R: IntoLockKey,
{
    type Future = ReadyKey<B>;

    fn key(&self, request: Request<B>) -> Self::Future {
        let key = match request.extensions().get::<T>() {
            Some(extension) => (self.key)(extension).into_lock_key(),
            None => Err(KeyError::Misconfigured(
                format!("the request has no extension `{}`", type_name::<T>()).into(),
            )),
        };
        ready((request, key))
    }
}

impl<T, F: Clone> Clone for ExtensionKey<T, F> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            extension: PhantomData,
        }
    }
}

impl<T, F> fmt::Debug for ExtensionKey<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExtensionKey")
            .field(&format_args!("{}", type_name::<T>()))
            .finish()
    }
}
