use std::time::Duration;

use redsync::{ConfigError, LockError, Redsync, Released, node::MemoryNode};
use redsync_tests::Servers;
use tokio::task::JoinSet;

use super::{MILLI, memory, patient};

async fn all_or_none(redsync: &Redsync) {
    let both = redsync.mutex_many(["account:2", "account:1", "account:2"]);
    let one = redsync.mutex("account:1").lock().await.unwrap();
    let error = both.try_lock().await.unwrap_err();
    assert!(matches!(&error, LockError::Taken(_)), "{error}");
    assert!(
        error.to_string().contains("account:1, account:2"),
        "{error}"
    );
    redsync.drain().await;
    let other = redsync.mutex("account:2").try_lock().await;
    other.unwrap().release().await.unwrap();
    one.release().await.unwrap();
    redsync.drain().await;

    let guard = both.lock().await.unwrap();
    guard.extend().await.unwrap();
    assert!(guard.verify().await.unwrap());
    for name in ["account:1", "account:2"] {
        assert!(matches!(
            redsync.mutex(name).try_lock().await,
            Err(LockError::Taken(_))
        ));
    }
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    redsync.drain().await;
}

#[tokio::test(start_paused = true)]
async fn several_names_are_acquired_all_or_none() {
    let (redsync, nodes) = memory();
    all_or_none(&redsync).await;
    assert!(nodes.iter().all(MemoryNode::is_empty));
}

#[tokio::test]
async fn several_names_are_acquired_all_or_none_on_real_servers() {
    for count in [3, 5] {
        let servers = Servers::start(count);
        all_or_none(&patient(Redsync::connect(servers.urls()).unwrap())).await;
        servers.assert_no_keys();
    }
}

#[tokio::test(start_paused = true)]
async fn locks_that_overlap_do_not_wait_for_each_other_for_ever() {
    let (redsync, _) = memory();
    let mut tasks = JoinSet::new();
    for names in [["a", "b"], ["b", "c"], ["c", "a"]]
        .into_iter()
        .cycle()
        .take(9)
    {
        let mutex = redsync.mutex_many(names);
        tasks.spawn(async move {
            for _ in 0..20 {
                let guard = mutex.lock_within(Duration::from_secs(600)).await.unwrap();
                tokio::time::sleep(MILLI).await;
                guard.release().await.unwrap();
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn losing_one_name_is_losing_the_lock() {
    let (redsync, nodes) = memory();
    let guard = redsync.mutex_many(["a", "b"]).lock().await.unwrap();
    redsync.drain().await;
    for node in &nodes {
        use redsync::node::{Entry, Node};
        let one = Entry::new("a", guard.expose_value().clone(), Duration::from_secs(8));
        node.release(&one).await.unwrap();
    }
    assert!(matches!(
        guard.extend().await,
        Err(redsync::ExtendError::Lost(_))
    ));
    assert_eq!(guard.release().await.unwrap(), Released::AlreadyLost);
}

#[test]
fn no_names_are_a_mistake() {
    let mutex = Redsync::in_memory(1).mutex_many::<&str>([]);
    assert!(matches!(mutex.check(), Err(ConfigError::NoNames)));
}

#[tokio::test(start_paused = true)]
async fn several_names_have_one_token_and_each_name_has_a_larger_one_next() {
    let (redsync, _) = memory();
    let token = async |names: &[&'static str]| {
        let mutex = redsync.mutex_many(names.iter().copied()).with_fencing(true);
        let guard = mutex.lock().await.unwrap();
        let token = guard.fencing_token().unwrap();
        guard.release().await.unwrap();
        token
    };
    for _ in 0..5 {
        token(&["a"]).await;
    }
    let both = token(&["a", "b"]).await;
    assert!(token(&["b"]).await > both);
}
