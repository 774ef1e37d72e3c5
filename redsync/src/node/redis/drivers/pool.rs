//! The pools of deadpool-redis: for single servers, Sentinel and Cluster.

use std::future::Future;

use deadpool_redis::PoolError;

use crate::node::redis::connection::kind::SharedConnection;

/// A pool of [deadpool-redis](deadpool_redis): its [`Pool`](deadpool_redis::Pool), and those of its
/// modules `sentinel` and `cluster`, each behind the feature of that name. This trait is sealed.
pub trait Pool: Clone + Send + Sync + 'static + sealed::Sealed {}

pub(super) mod sealed {
    use super::{Future, PoolError, SharedConnection};

    pub trait Sealed {
        type Connection: SharedConnection;
        /// A connection that is checked out of the pool, and counts towards its size.
        type CheckedOut: Send + 'static;

        /// Whether a `PING` on a connection reaches the server that executes the commands.
        const PINGS: bool = true;

        fn get(&self) -> impl Future<Output = Result<Self::CheckedOut, PoolError>> + Send;

        /// Whether the pool has as many connections as it may have, all are checked out, and
        /// somebody waits for one.
        fn is_exhausted(&self) -> bool;

        /// Whether somebody waits for a connection that is checked out, or is being made.
        fn is_waited_for(&self) -> bool;

        fn share(checked_out: &Self::CheckedOut) -> Self::Connection;

        /// Takes the connection out of the pool.
        fn take(checked_out: Self::CheckedOut);
    }
}

macro_rules! pool {
    ($($path:ident)::+ of $connection:ty $(, $option:item)?) => {
        impl Pool for $($path)::+::Pool {}

        impl sealed::Sealed for $($path)::+::Pool {
            type Connection = $connection;
            type CheckedOut = $($path)::+::Connection;
            $($option)?

            async fn get(&self) -> Result<Self::CheckedOut, PoolError> {
                self.get().await
            }

            fn is_exhausted(&self) -> bool {
                let status = self.status();
                // One that is being made is not counted yet, and whoever makes it waits.
                status.size >= status.max_size && status.waiting > 0
            }

            fn is_waited_for(&self) -> bool {
                self.status().waiting > 0
            }

            fn share(checked_out: &Self::CheckedOut) -> $connection {
                <$connection>::clone(checked_out)
            }

            fn take(checked_out: Self::CheckedOut) {
                drop(Self::CheckedOut::take(checked_out));
            }
        }
    };
}

pool!(deadpool_redis of redis::aio::MultiplexedConnection);
#[cfg(feature = "sentinel")]
pool!(deadpool_redis::sentinel of redis::aio::MultiplexedConnection);
#[cfg(feature = "cluster")]
pool!(
    deadpool_redis::cluster of redis::cluster_async::ClusterConnection,
    // A cluster connection sends `PING` to all servers, and replaces single connections itself.
    const PINGS: bool = false;
);
