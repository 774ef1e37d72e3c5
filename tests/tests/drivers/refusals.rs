//! Servers and proxies that refuse commands, in any words: a lock does without optional commands, and a
//! server that could not release a lock acquires none.

use std::time::{Duration, Instant};

use redsync::{
    LockError, NodeError, Redsync, Released, Vote,
    node::{AnyNode, ExtendVote, Node, ReleaseVote, redis::RedisNode},
};
use redsync_tests::{RedisServer, RefusingProxy};

use crate::{acquire, deadpool, entry, fred, manager, refused, release};

/// How servers and proxies refuse a command.
const WORDS: [&str; 6] = [
    "ERR unknown command 'info', with args beginning with: 'a' 'the-value'",
    "unsupported command 'info'",
    "DENIED by the proxy",
    "NOPERM this user has no permissions to run the command",
    "ERR Not supported: please see the docs",
    "?? \u{1f512} no",
];

/// The commands that a lock can do without, alone and all together.
const OPTIONAL: [&[&str]; 9] = [
    &["INFO"],
    &["EVALSHA"],
    &["DELIFEQ", "DELEX"],
    &["CLIENT"],
    &["CLIENT TRACKING"],
    &["HELLO"],
    &["EXISTS"],
    &["PING"],
    &[
        "INFO", "EVALSHA", "DELIFEQ", "DELEX", "CLIENT", "HELLO", "EXISTS", "PING", "SCRIPT",
    ],
];

async fn check_node<N: Node>(node: &N) {
    node.identity().await.expect("no error");
    let (ours, theirs) = (entry("a", "the-value"), entry("a", "another-value"));
    acquire(node, &ours).await;
    refused(node, &theirs).await;
    let vote = node.extend(&ours, None, false).await.expect("an answer");
    assert_eq!(vote, ExtendVote::Extended);
    let vote = node.extend(&theirs, None, false).await.expect("an answer");
    assert_eq!(vote, ExtendVote::NotOwner);
    let vote = node.release(&theirs).await.expect("an answer");
    assert_eq!(vote, ReleaseVote::NotOwner);
    release(node, &ours).await;
    assert!(node.inspect("a").await.expect("an answer").is_none());
}

#[tokio::test]
async fn a_lock_does_without_each_optional_command_however_it_is_refused() {
    let server = RedisServer::start();
    for commands in OPTIONAL {
        for words in WORDS {
            let proxy = RefusingProxy::start(server.port(), commands, words);
            let start = Instant::now();
            check_node(&deadpool(&proxy.url())).await;
            let redsync = Redsync::connect([proxy.url()]).unwrap();
            let mutex = redsync.mutex("a").with_expiry(Duration::from_secs(8));
            let guard = mutex.lock().await.expect(words);
            // A waiter has no wake-ups, or has them: it gets the lock either way.
            let other = Redsync::connect([proxy.url()]).unwrap();
            let waiter = other.mutex("a").with_tries(100);
            let waiter = tokio::spawn(async move { waiter.lock().await });
            tokio::time::sleep(Duration::from_millis(10)).await;
            guard.extend().await.expect(words);
            assert_eq!(guard.release().await.unwrap(), Released::Held);
            let guard = waiter.await.unwrap().expect(words);
            assert_eq!(guard.release().await.unwrap(), Released::Held);
            println!("{commands:?} {words:?}: {:?}", start.elapsed());
        }
    }
}

/// It may have answered other commands of the same connection before.
#[tokio::test]
async fn a_lock_does_without_optional_commands_at_which_the_connection_is_closed() {
    let server = RedisServer::start();
    for commands in [
        &["INFO"][..],
        &["EVALSHA"],
        &["CLIENT SETINFO"],
        &["CLIENT SETNAME"],
        &["CLIENT TRACKING"],
        &["HELLO"],
        &["DELIFEQ", "DELEX"],
        &["EXISTS"],
        &["INFO", "DELIFEQ", "DELEX", "PING"],
        &["INFO", "EVALSHA", "DELIFEQ", "DELEX", "CLIENT", "HELLO"],
    ] {
        let proxy = RefusingProxy::closing(server.port(), commands);
        let mut nodes = vec![RedisNode::connect(&proxy.url()).unwrap().into()];
        if !commands.contains(&"CLIENT") {
            let named = RedisNode::connect(&proxy.url()).unwrap();
            nodes.push(named.with_client_name("orders").into());
        }
        // Such a client sends this command by itself.
        if !commands
            .iter()
            .any(|it| ["CLIENT", "CLIENT SETINFO"].contains(it))
        {
            nodes.push(AnyNode::from(manager(&proxy.url())));
        }
        for node in nodes {
            // A busy machine is no reason to fail.
            let patient = |mutex: redsync::Mutex| mutex.with_node_timeout(Duration::from_secs(5));
            let redsync = Redsync::new([node])
                .unwrap()
                .with_defaults(patient)
                .unwrap();
            // No key expires before a drain gives up.
            let mutex = redsync.mutex("a").with_expiry(Duration::from_secs(60));
            let fenced = mutex.clone().with_fencing(true);
            let shared = mutex.clone().shared();
            for mutex in [&fenced, &mutex, &shared, &mutex, &fenced] {
                let guard = mutex.try_lock().await.expect("a lock");
                guard.extend().await.expect("an extension");
                let taken = redsync.mutex("a").try_lock().await.unwrap_err();
                assert!(taken.is_contention(), "{commands:?}: {taken}");
                let found = redsync.mutex("a").inspect().await.unwrap();
                assert_eq!(found[0].holders.as_ref().expect("an answer").len(), 1);
                drop(guard);
                redsync.drain().await;
                assert!(
                    server.keys().iter().all(|key| key.ends_with(":fence")),
                    "{commands:?}"
                );
            }
        }
    }
}

/// Then there is no way to release a lock. The connection, which others share, is not closed over and over by
/// the search for one.
#[tokio::test]
async fn a_server_without_scripts_whose_proxy_closes_at_other_ways_to_release_is_refused() {
    let server = RedisServer::start();
    server.command(&["ACL", "SETUSER", "default", "-eval", "-evalsha"]);
    let proxy = RefusingProxy::closing(server.port(), &["DELIFEQ", "DELEX"]);
    let node = RedisNode::connect(&proxy.url()).unwrap();
    let mut closed = 0;
    loop {
        match node.acquire(&entry("a", "the-value")).await {
            Err(NodeError::CannotRelease { .. }) => break,
            error => println!("{error:?}"),
        }
        closed += 1;
        assert!(closed <= 2, "more often than there are such commands");
    }
    assert_eq!(server.keys(), [""; 0]);
}

/// A server that cannot be reached is not one that does not tell who it is.
#[tokio::test]
async fn a_server_that_closes_every_connection_is_unreachable() {
    let server = RedisServer::start();
    let proxy = RefusingProxy::closing(server.port(), &["INFO", "GET", "SET"]);
    let error = deadpool(&proxy.url()).identity().await.unwrap_err();
    assert!(matches!(error, NodeError::Unreachable(_)), "{error}");
}

/// A connection that was idle is checked with `PING`. Any answer is a sign of life.
#[tokio::test]
async fn an_idle_connection_is_used_though_ping_is_refused() {
    let server = RedisServer::start();
    let proxy = RefusingProxy::start(server.port(), &["PING"], "unsupported command 'ping'");
    let node = deadpool(&proxy.url());
    acquire(&node, &entry("a", "the-value")).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    release(&node, &entry("a", "the-value")).await;
}

#[tokio::test]
async fn other_drivers_do_without_optional_commands_too() {
    let server = RedisServer::start();
    // These clients send the other optional commands themselves.
    let commands = ["EVALSHA", "DELIFEQ", "DELEX"];
    for words in WORDS {
        let proxy = RefusingProxy::start(server.port(), &commands, words);
        check_node(&manager(&proxy.url())).await;
        check_node(&fred(&proxy.url()).await).await;
    }
}

#[tokio::test]
async fn a_server_without_scripts_and_without_a_command_that_compares_and_deletes_acquires_no_lock()
{
    let server = RedisServer::start();
    for words in WORDS {
        let proxy = RefusingProxy::start(
            server.port(),
            &["EVAL", "EVALSHA", "DELIFEQ", "DELEX"],
            words,
        );
        let redsync = Redsync::connect([proxy.url()]).unwrap();
        for mutex in [redsync.mutex("a"), redsync.mutex("a").with_fencing(true)] {
            for _ in 0..2 {
                let error = mutex.try_lock().await.unwrap_err();
                assert!(matches!(error, LockError::Unavailable(_)), "{error}");
                assert!(server.keys().is_empty());
            }
        }
        let error = redsync.mutex("a").try_lock().await.unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains("cannot release locks"), "{shown}");
        let reason = shown.find(words.trim_start_matches('-'));
        assert!(reason < shown.find("cannot release locks"), "{shown}");
        assert!(!shown.contains("the-value"), "{shown}");
        let votes = redsync.probe().await;
        assert_eq!(votes.granted(), 0, "{votes}");
    }
}

/// Such servers have no vote, so they are not part of a majority.
#[tokio::test]
async fn a_server_that_cannot_release_has_no_vote() {
    let servers = redsync_tests::Servers::start(3);
    let proxies: Vec<_> = (servers.iter())
        .map(|server| RefusingProxy::start(server.port(), &["EVAL", "EVALSHA"], "DENIED no Lua"))
        .collect();
    let mixed = |count: usize| {
        let proxied = proxies[..count].iter().map(RefusingProxy::url);
        let direct = servers[count..].iter().map(RedisServer::url);
        Redsync::connect(proxied.chain(direct)).unwrap()
    };
    let has_native = servers[0].try_command(&["DELIFEQ", "a", "b"]).is_ok()
        || servers[0].try_command(&["DELEX", "a", "IFEQ", "b"]).is_ok();
    if has_native {
        // It needs no scripts to release.
        let guard = mixed(3).mutex("a").lock().await.unwrap();
        assert_eq!(guard.release().await.unwrap(), Released::Held);
        return;
    }
    let redsync = mixed(1);
    let guard = redsync.mutex("a").lock().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    redsync.drain().await;
    let redsync = mixed(2);
    let error = redsync.mutex("a").try_lock().await.unwrap_err();
    let cannot = |vote: &Vote| matches!(vote, Vote::Failed(NodeError::CannotRelease { .. }));
    let votes = error.votes().unwrap();
    assert_eq!(votes.iter().filter(|vote| cannot(vote.vote())).count(), 2);
    redsync.drain().await;
    servers.assert_no_keys();
}

/// A name that somebody holds says nothing about what the server can do, so it is asked again.
#[tokio::test]
async fn a_server_whose_first_name_is_taken_is_checked_with_the_next() {
    let server = RedisServer::start();
    server.command(&["SET", "taken", "by another", "PX", "60000"]);
    server.command(&[
        "ACL", "SETUSER", "weak", "on", ">secret", "~*", "+set", "+get", "+eval", "+evalsha",
    ]);
    let url = format!("redis://weak:secret@{}", server.address());
    let node = RedisNode::connect(&url).unwrap();
    refused(&node, &entry("taken", "the-value")).await;
    let error = node.acquire(&entry("free", "the-value")).await.unwrap_err();
    assert!(matches!(error, NodeError::CannotRelease { .. }), "{error}");
    assert_eq!(server.keys(), ["taken"]);
}
