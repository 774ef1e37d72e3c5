//! The scripts by themselves: a worker that is late changes nothing, whatever it believes.

use redsync_tests::RedisServer;

const BEGIN: &str = include_str!("../../matchmaking/begin.lua");
const FINISH: &str = include_str!("../../matchmaking/finish.lua");

fn begin(server: &RedisServer, token: &str) -> Option<Vec<String>> {
    server.query(&["EVAL", BEGIN, "2", "token", "waiting", token])
}

fn finish(server: &RedisServer, token: &str) -> Option<usize> {
    let keys = ["EVAL", FINISH, "3", "token", "waiting", "matches"];
    server.query(&[&keys[..], &[token, "ann", "bob"]].concat())
}

#[test]
fn a_worker_makes_no_matches_after_a_later_one_has_begun() {
    let server = RedisServer::start();
    server.command(&["HSET", "waiting", "ann", "1", "bob", "2"]);
    assert!(begin(&server, "64").is_some());
    assert!(begin(&server, "128").is_some());
    assert_eq!(finish(&server, "64"), None);
    assert_eq!(server.query::<usize>(&["HLEN", "waiting"]), 2);
    assert_eq!(finish(&server, "128"), Some(1));
    assert_eq!(server.query::<usize>(&["LLEN", "matches"]), 1);
}

#[test]
fn a_worker_does_not_begin_after_a_later_one_has() {
    let server = RedisServer::start();
    // Longer than the numbers of Lua, and of different lengths.
    for (latest, earlier) in [
        ("4611686018427387904", "4611686018427387903"),
        ("100", "99"),
        ("64", "64"),
    ] {
        server.flush();
        assert!(begin(&server, latest).is_some());
        assert!(begin(&server, earlier).is_none(), "{earlier}");
        assert!(server.get("token").is_some_and(|token| token == latest));
    }
}
