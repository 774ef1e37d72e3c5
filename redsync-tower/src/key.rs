//! Keys: which names a request locks.
//!
//! A [`RedlockLayer`](crate::RedlockLayer) gives each request to its [`Key`]. The key returns the
//! [`LockKey`] to lock, or [`None`] for a request that needs no lock.
//!
//! | key | the name comes from |
//! |---|---|
//! | [`path`] | parameters of the matched path, as in `order:{id}` (feature `axum`) |
//! | [`header`] | a header, such as `idempotency-key` |
//! | [`extension`] | an extension that an outer layer has inserted, such as the tenant |
//! | [`from_extractor`] | any axum extractor (feature `axum`) |
//! | [`body`] | the request body, which is buffered up to a limit |
//! | [`from_fn`] | an async function that takes the request and returns it |
//! | a closure | anything that the closure reads from `&Request<_>` |
#![doc = include_str!("docs/keys.md")]

mod body;
mod error;
mod extension;
#[cfg(feature = "axum")]
mod extractor;
mod function;
mod header;
mod lock_key;
pub(crate) mod naming;
#[cfg(feature = "axum")]
mod path;
mod traits;

pub use self::{
    body::{BodyKey, body},
    error::KeyError,
    extension::{ExtensionKey, extension},
    function::{FnKey, from_fn},
    header::{HeaderKey, header},
    lock_key::{IntoLockKey, LockKey},
    traits::{Key, KeyOutput},
};
#[cfg(feature = "axum")]
pub use self::{
    extractor::{ExtractorKey, from_extractor},
    path::{PathKey, path},
};
