//! The name of connections, by which an administrator finds them on the server.

use std::sync::Arc;

use redis::Value;

use super::{kind::sealed::Sealed, replies::refusal};
use crate::sync::Mutex;

/// The name that connections get when they are made, if there is one. Shared by its clones.
#[derive(Clone, Default)]
pub(crate) struct ClientName(Arc<Mutex<Option<Arc<str>>>>);

impl ClientName {
    pub(crate) fn set(&self, name: Arc<str>) {
        *self.0.lock() = Some(name);
    }

    /// Names a connection, and goes on without a name if the server refuses that. Returns whether
    /// the connection can be used: a proxy may have closed it at a command that it does not know.
    pub(crate) async fn give_to<C: Sealed>(&self, connection: &mut C) -> bool {
        let name = self.0.lock().clone();
        let Some(name) = name else {
            return true;
        };
        let mut command = redis::cmd("CLIENT");
        command.arg("SETNAME").arg(&*name);
        let reply = connection.send_one(&command).await;
        match reply.and_then(Value::extract_error) {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, "a connection goes on without a name");
                refusal(&error).is_some()
            }
        }
    }
}
