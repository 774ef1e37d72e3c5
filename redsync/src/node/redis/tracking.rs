//! Wake-ups from a server: its client tracking reports when a key changes.

mod failure;

use std::{fmt, mem, sync::Arc};

use futures_util::future::FutureExt;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisError,
    RedisResult, Value, aio::MultiplexedConnection,
};
use tokio::time::{Instant, timeout};

use self::failure::Failure;
use super::connection::{
    client_name::ClientName,
    connect::{CONNECT_TIMEOUT, Connect},
    link::Link,
    replies::{failure, refusal},
};
use crate::{
    node::{NodeError, Reporters, WakeUp, watchers::Watchers},
    sync::Mutex,
};

/// Watches keys on a connection of its own, which writes no keys.
///
/// The server remembers which keys were read over this connection. It pushes a message when one of
/// them is changed or deleted by any client, or expires (redis.io, "Client-side caching
/// reference"). So a release is no slower for wake-ups. This connection needs RESP3, unlike the
/// connection for commands. A proxy may not support RESP3, and then there are no wake-ups from this
/// server.
pub(super) struct Tracking {
    link: Link<ToTrack>,
    watchers: Watchers,
}

/// Makes connections with client tracking.
#[derive(Clone)]
struct ToTrack {
    client: Client,
    client_name: ClientName,
    watchers: Watchers,
    failure: Arc<Mutex<Failure>>,
}

impl Tracking {
    pub(super) fn new(info: ConnectionInfo, client_name: &ClientName) -> RedisResult<Self> {
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        let info = info.set_redis_settings(settings);
        let address = info.addr().to_string().into();
        let watchers = Watchers::default();
        let connect = ToTrack {
            client: Client::open(info)?,
            client_name: client_name.clone(),
            watchers: watchers.clone(),
            failure: Arc::default(),
        };
        Ok(Self {
            link: Link::new(address, connect),
            watchers,
        })
    }

    /// See [`Node::watch`](crate::node::Node::watch). From the server's answer on, the server is
    /// one of the `reporters`.
    pub(super) async fn watch(
        &self,
        names: &[Arc<str>],
        reporters: &Reporters,
    ) -> Result<WakeUp, NodeError> {
        // Registered before the server is asked, so that no change after its answer is missed.
        let watcher = self.watchers.watch(names);
        loop {
            if self.are_free(names).boxed().await? {
                return Ok(WakeUp::Free);
            }
            // The change may be older than the answer: a name that was free at the last check has
            // been taken since. So ask again.
            if watcher.changed().now_or_never().is_none() {
                let _reporting = reporters.begin();
                watcher.changed().await;
                return Ok(WakeUp::Changed);
            }
        }
    }

    /// See [`Node::watch_acquired`](crate::node::Node::watch_acquired).
    pub(super) async fn watch_acquired(&self, names: &[Arc<str>]) -> Result<(), NodeError> {
        let watcher = self.watchers.watch(names);
        loop {
            let are_free = self.are_free(names).boxed().await?;
            // The change may be older than the answer: the release that freed the names. So ask
            // again.
            if watcher.changed().now_or_never().is_none() {
                watcher.changed().await;
                if are_free {
                    return Ok(());
                }
            }
        }
    }

    /// Asks whether none of the names exists. The server reports their next change.
    ///
    /// The future is large. It is boxed, so that a watch takes little memory once it has its
    /// answer.
    async fn are_free(&self, names: &[Arc<str>]) -> Result<bool, NodeError> {
        let mut exists = redis::cmd("EXISTS");
        for name in names {
            exists.arg(&**name);
        }
        let mut again = true;
        loop {
            match self.link.send(exists.clone()).await {
                Ok(existing) => return Ok(existing == Value::Int(0)),
                // The connection may have been closed while it was idle, and the first watcher to
                // notice that should not go without wake-ups. It is safe to ask twice.
                Err(NodeError::Disconnected(_)) if mem::take(&mut again) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl ToTrack {
    /// Reports a change: that the server refuses to track, or that it does after all.
    fn note(&self, error: Option<&NodeError>) {
        let mut failure = self.failure.lock();
        let address = || self.client.get_connection_info().addr().to_string();
        match error {
            Some(error) if failure.failed(error, Instant::now()) => {
                tracing::warn!(node = address(), reason = %error, "a node sends no wake-ups; polling it");
            }
            Some(error) => {
                tracing::debug!(node = address(), %error, "a node sends no wake-ups; polling it");
            }
            None if failure.is_over() => {
                tracing::info!(node = address(), "a node sends wake-ups again");
            }
            None => {}
        }
    }

    async fn try_to_connect(&self) -> Result<MultiplexedConnection, NodeError> {
        let reports = Reports(self.watchers.clone());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None)
            .set_push_sender(move |push| {
                reports.forward(&push);
                Ok::<_, std::convert::Infallible>(())
            });
        let error = |error: RedisError| match refusal(&error) {
            Some(refused) => refused,
            // A proxy may close the connection at a command that it does not know.
            None if error.is_connection_dropped() && !error.is_connection_refusal() => {
                NodeError::Disconnected(Arc::new(error))
            }
            None if error.is_io_error() || error.is_timeout() => NodeError::unreachable(error),
            // A proxy may not know the protocol.
            None => NodeError::Unexpected(error.to_string().into()),
        };
        let connect = async || {
            let client = &self.client;
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            connection.await.map_err(error)
        };
        let mut connection = connect().await?;
        if !self.client_name.give_to(&mut connection).await {
            connection = connect().await?;
        }
        let mut tracking = redis::cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON");
        let reply = connection.send_packed_command(&tracking).await;
        reply
            .and_then(Value::extract_error)
            .map_err(failure::<MultiplexedConnection>)?;
        Ok(connection)
    }
}

impl Connect for ToTrack {
    type Connection = MultiplexedConnection;
    /// They are notified when the connection takes no more commands, since it reports no changes
    /// either.
    type Place = Watchers;

    const PINGS: bool = true;

    async fn connect(&self) -> Result<(MultiplexedConnection, Watchers), NodeError> {
        if self.failure.lock().is_recent(Instant::now()) {
            return Err(NodeError::NotSent);
        }
        let connection = timeout(CONNECT_TIMEOUT, self.try_to_connect()).await;
        let connection = connection.unwrap_or_else(|_| {
            Err(NodeError::unreachable(
                "wake-ups could not be turned on in time",
            ))
        });
        self.note(connection.as_ref().err());
        Ok((connection?, self.watchers.clone()))
    }

    fn leave(watchers: Watchers) {
        watchers.notify_all();
    }
}

/// The reports of one connection, for its watchers.
struct Reports(Watchers);

impl Reports {
    /// Notifies the watchers of the keys that a push message reports as changed.
    fn forward(&self, push: &PushInfo) {
        match (&push.kind, &push.data[..]) {
            (PushKind::Invalidate, [Value::Array(keys)]) => {
                for key in keys {
                    if let Value::BulkString(key) = key {
                        // A key that is not UTF-8 is not the name of a lock.
                        self.0.notify(&String::from_utf8_lossy(key));
                    }
                }
            }
            // All keys were flushed, or the connection has ended and reports no more changes.
            (PushKind::Invalidate | PushKind::Disconnection, _) => self.0.notify_all(),
            _ => {}
        }
    }
}

impl Drop for Reports {
    /// The connection ends without a message if the runtime ends that reads it.
    fn drop(&mut self) {
        self.0.notify_all();
    }
}

impl fmt::Debug for Tracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracking").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::node::redis::connection::replies::tests::{kinds, values};

    /// What a push message reports, with some keys that are watched.
    fn reports() -> impl Strategy<Value = PushInfo> {
        let key = prop_oneof![
            Just(Value::BulkString(b"a".to_vec())),
            Just(Value::BulkString(b"b".to_vec())),
            values(),
        ];
        let keys = prop::collection::vec(key, 0..3).prop_map(Value::Array);
        let data = prop::collection::vec(prop_oneof![keys, values()], 0..3);
        (kinds(), data).prop_map(|(kind, data)| PushInfo { kind, data })
    }

    /// Whether a message means that the watchers of a key have to ask again: it names the key, or it
    /// may be about any.
    fn concerns(push: &PushInfo, key: &str) -> bool {
        match (&push.kind, &push.data[..]) {
            (PushKind::Invalidate, [Value::Array(keys)]) => {
                keys.contains(&Value::BulkString(key.into()))
            }
            (kind, _) => matches!(kind, PushKind::Invalidate | PushKind::Disconnection),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 5_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_report_notifies_the_watchers_of_its_keys_and_one_that_names_none_notifies_all(
            push in reports()
        ) {
            let watchers = Watchers::default();
            let watched = ["a", "c"].map(|key| (key, watchers.watch(&[key.into()])));
            let reports = Reports(watchers);
            reports.forward(&push);
            for (key, watcher) in watched {
                let is_notified = watcher.changed().now_or_never().is_some();
                prop_assert_eq!(is_notified, concerns(&push, key), "{}", key);
            }
        }
    }
}
