//! The parts of a URL.

use redsync::{
    ConfigError, Redsync,
    node::{Node, redis::RedisNode},
};
use redsync_tests::RedisServer;

use crate::{acquire, deadpool, entry, manager, release};

#[tokio::test]
async fn a_url_can_have_a_user_and_a_password() {
    let server = RedisServer::start();
    let user = ["ACL", "SETUSER", "user", "on", ">p@ss:w/rd%", "~*", "+@all"];
    server.command(&user);
    let url = format!("redis://user:p%40ss%3Aw%2Frd%25@{}", server.address());
    let node = deadpool(&url);
    acquire(&node, &entry("a", "value")).await;
    release(&node, &entry("a", "value")).await;
    assert_eq!(node.address(), server.address());
    assert!(!format!("{node:?}").contains("p@ss"));

    let node = manager(&url);
    acquire(&node, &entry("a", "value")).await;
    assert!(!format!("{node:?}").contains("p@ss"));
}

#[tokio::test]
async fn a_url_can_have_a_database() {
    let server = RedisServer::start();
    let node = deadpool(&format!("{}/3", server.url()));
    acquire(&node, &entry("a", "value")).await;
    assert!(server.keys().is_empty());
    server.command(&["SELECT", "3"]);
    assert_eq!(server.keys(), ["a"]);
    server.command(&["SELECT", "0"]);

    // One server has one vote, whatever the database.
    let urls = [1, 2].map(|database| format!("{}/{database}", server.url()));
    let error = Redsync::connect(urls).expect_err("one address");
    assert!(
        matches!(error, ConfigError::DuplicateNode { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_url_can_lead_to_a_unix_socket() {
    let home = tempfile::tempdir().expect("a directory");
    let socket = home.path().join("redis.sock");
    let socket = socket.to_str().expect("a path");
    let args = ["--unixsocket", socket, "--requirepass", "secret"];
    let server = RedisServer::start_with(&args);
    for scheme in ["unix", "redis+unix"] {
        let node = deadpool(&format!("{scheme}://{socket}?db=2&pass=secret"));
        acquire(&node, &entry("a", "value")).await;
        server.command(&["SELECT", "2"]);
        assert_eq!(server.keys(), ["a"]);
        release(&node, &entry("a", "value")).await;
        assert!(node.address().contains("redis.sock"), "{}", node.address());
        assert!(!format!("{node:?}").contains("secret"));
    }
}

#[test]
fn a_url_that_does_not_parse_is_refused_when_the_node_is_made() {
    for url in [
        "",
        "10.0.0.1",
        "http://10.0.0.1",
        "redis://host:port",
        "redis://host/database",
    ] {
        let error = RedisNode::connect(url).expect_err(url);
        assert!(matches!(error, ConfigError::Url { .. }), "{url}: {error}");
    }
}
