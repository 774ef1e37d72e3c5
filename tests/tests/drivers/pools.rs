//! Pools of the user, with time limits of their own, with none, or without a connection to spare.

use std::time::Duration;

use deadpool_redis::{Config, Manager, Pool, Runtime};
use redis::AsyncConnectionConfig;
use redsync::{
    LockError, Redsync,
    node::redis::{Deadpool, RedisNode},
};
use redsync_tests::{Proxy, RedisServer, wait::until_async};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);

/// A pool of this size, with no time limits.
fn pool(url: &str, size: usize) -> Pool {
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let manager = Manager::new_with_config(url, config).unwrap();
    let builder = Pool::builder(manager).max_size(size);
    builder.runtime(Runtime::Tokio1).build().unwrap()
}

fn redsync(pool: &Pool) -> Redsync {
    Redsync::new([RedisNode::new(Deadpool::new("pooled:6379", pool.clone()))]).unwrap()
}

/// The error of one attempt, which keeps the node time limit.
async fn refused(redsync: &Redsync) -> String {
    let attempt = redsync.mutex("a").try_lock();
    let refused = timeout(LIMIT, attempt).await.expect("it does not hang");
    let error = refused.map(drop).unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error}");
    error.to_string()
}

async fn until_locked(redsync: &Redsync) {
    until_async("a lock", LIMIT, async || {
        match redsync.mutex("a").try_lock().await {
            Ok(guard) => guard.release().await.is_ok(),
            Err(_) => false,
        }
    })
    .await;
}

#[tokio::test]
async fn a_pool_whose_only_connection_the_user_keeps_is_named_as_the_reason() {
    let server = RedisServer::start();
    let pool = pool(&server.url(), 1);
    let kept = pool.get().await.unwrap();
    let redsync = redsync(&pool);
    for _ in 0..3 {
        let error = refused(&redsync).await;
        assert!(
            error.contains("all connections of the pool are checked out"),
            "{error}"
        );
    }
    drop(kept);
    until_locked(&redsync).await;
    // It keeps the connection, and waits for no other.
    let status = pool.status();
    assert_eq!((status.size, status.waiting), (1, 0), "{status:?}");
}

#[tokio::test]
async fn a_pool_that_is_closed_is_named_as_the_reason() {
    let server = RedisServer::start();
    let pool = pool(&server.url(), 2);
    let redsync = redsync(&pool);
    pool.close();
    let error = refused(&redsync).await;
    assert!(error.contains("closed"), "{error}");
    redsync.drain().await;
    assert_eq!(pool.status().size, 0);
}

#[tokio::test]
async fn a_pool_that_is_closed_later_keeps_the_connection_that_is_in_use() {
    let server = RedisServer::start();
    let pool = pool(&server.url(), 2);
    let redsync = redsync(&pool);
    until_locked(&redsync).await;
    pool.close();
    let guard = redsync.mutex("a").try_lock().await.unwrap();
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_pool_with_time_limits_and_no_runtime_is_named_as_the_reason() {
    let server = RedisServer::start();
    let builder = Config::from_url(server.url()).builder().unwrap();
    let pool = builder.wait_timeout(Some(LIMIT)).build();
    // deadpool refuses such a pool when it is built, or when it is used.
    if let Ok(pool) = pool {
        let error = refused(&redsync(&pool)).await;
        assert!(error.contains("runtime"), "{error}");
    }
}

/// The pool checks a connection before it hands it out, and waits for the answer for ever.
#[tokio::test]
async fn a_pool_without_time_limits_does_not_wait_for_a_connection_that_was_forgotten() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    let pool = pool(&proxy.url(), 4);
    // One is in the pool, and idle.
    drop(pool.get().await.unwrap());
    proxy.forget();
    let redsync = redsync(&pool);
    let mutex = redsync.mutex("a").with_node_timeout(Duration::from_secs(1));
    let attempt = timeout(LIMIT, mutex.try_lock()).await;
    let guard = attempt.expect("it does not hang").unwrap();
    guard.release().await.unwrap();
    assert_eq!(pool.status().size, 1, "the one that was forgotten has left");
}

#[tokio::test]
async fn a_connection_that_takes_long_to_make_is_not_taken_for_one_that_is_checked_out() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    // Nothing is made within the time after which a caller asks what it waits for.
    proxy.delay(Duration::from_millis(300));
    let redsync = redsync(&pool(&proxy.url(), 1));
    let mutex = redsync.mutex("a").with_node_timeout(LIMIT);
    let attempt = timeout(LIMIT, mutex.with_expiry(2 * LIMIT).try_lock()).await;
    let guard = attempt.expect("it does not hang").unwrap();
    guard.release().await.unwrap();
}
