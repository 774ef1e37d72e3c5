//! A tower layer that lets requests for one resource run one at a time, on every machine.

mod body;
mod future;
mod held;
pub mod key;
mod layer;
mod rejection;
mod service;

pub use self::{
    body::ResponseBody,
    future::ResponseFuture,
    held::HeldLock,
    key::{IntoLockKey, Key, KeyError, LockKey},
    layer::{OnLoss, RedlockLayer},
    rejection::{LockRejection, LockRejectionReason},
    service::Redlock,
};
