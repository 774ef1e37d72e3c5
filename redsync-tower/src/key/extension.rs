//! Keys from a request extension.

use std::{
    any::type_name,
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
};

use http::Request;

use super::{Key, KeyOutput, error::KeyError, lock_key::IntoLockKey};

/// Takes the key from an extension of the request, such as the tenant or session that an outer
/// layer has inserted.
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
/// A request without the extension is a mistake in the program. It is answered with 500, and an
/// error event contains the type's name. If the extension is optional, use a
/// [closure](super#closures).
pub const fn extension<T, F, R>(function: F) -> ExtensionKey<T, F>
where
    T: Send + Sync + 'static,
    F: Fn(&T) -> R,
    R: IntoLockKey,
{
    ExtensionKey {
        function,
        extension: PhantomData,
    }
}

/// A key from a request extension. See [`extension`].
pub struct ExtensionKey<T, F> {
    function: F,
    extension: PhantomData<fn(T)>,
}

impl<T, F, R, B> Key<B> for ExtensionKey<T, F>
where
    T: Send + Sync + 'static,
    F: Fn(&T) -> R,
    R: IntoLockKey,
{
    type Future = Ready<KeyOutput<B>>;

    fn key(&self, request: Request<B>) -> Self::Future {
        let key = match request.extensions().get::<T>() {
            Some(extension) => (self.function)(extension).into_lock_key(),
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
            function: self.function.clone(),
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
