//! Who holds a lock, and its release by force.

use redsync_tests::Servers;

use crate::support::{ENDLESS, Running, ends, until_free};

#[test]
fn a_free_lock_is_shown_as_free() {
    let servers = Servers::start(3);
    let ended = ends(&servers, &["inspect", "job"]);
    ended.assert_code(0);
    assert_eq!(ended.stdout, "free\n");
}

#[test]
fn the_holder_is_shown_by_its_label_and_never_by_its_value() {
    let servers = Servers::start(3);
    servers[2].kill();
    let options = ["--label", "web-7", "job"];
    let running = Running::begun(&servers, &options, ENDLESS);
    let value = servers[0].get("job").unwrap();
    let secret = value.strip_prefix("web-7#").unwrap();

    let text = ends(&servers, &["inspect", "job"]);
    text.assert_code(0);
    let line = "`job` is held by web-7 (";
    assert!(text.stdout.starts_with(line), "{text:?}");
    assert!(text.stdout.contains("on 2 of 3 nodes"), "{text:?}");
    assert!(text.stderr.contains(&servers[2].address()), "{text:?}");

    let json = ends(&servers, &["inspect", "--json", "job"]);
    let shown: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(shown["nodes"], 3);
    assert_eq!(shown["quorum"], 2);
    assert_eq!(shown["failures"][0]["node"], servers[2].address());
    let holder = &shown["holders"][0];
    assert_eq!(holder["name"], "job");
    assert_eq!(holder["mode"], "exclusive");
    assert_eq!(holder["label"], "web-7");
    assert_eq!(holder["nodes"], 2);
    assert_eq!(holder["has_quorum"], true);
    assert_eq!(holder["is_lock"], true);
    assert!(holder["remaining_ms"].as_u64().unwrap() <= 8000);
    for output in [text.stdout, text.stderr, json.stdout] {
        assert!(!output.contains(secret), "{output}");
    }
    drop(running);
}

#[test]
fn a_label_is_the_host_and_the_process_unless_it_is_given() {
    let servers = Servers::start(1);
    let running = Running::begun(&servers, &["job"], ENDLESS);
    let shown = ends(&servers, &["inspect", "job"]).stdout;
    let pid = format!(":{} (", running.pid());
    assert!(shown.contains(&pid), "{shown}");
}

#[test]
fn a_key_that_is_not_a_lock_is_shown_as_such_and_is_not_released() {
    let servers = Servers::start(1);
    servers[0].command(&["SET", "job", "a value"]);
    let shown = ends(&servers, &["inspect", "job"]).stdout;
    assert!(shown.contains("is not a lock"), "{shown}");
    let released = ends(&servers, &["release", "--force", "--yes", "job"]);
    released.assert_code(65);
    assert!(released.stderr.contains("nothing was released"));
    assert_eq!(servers[0].get("job").as_deref(), Some("a value"));
}

#[test]
fn a_lock_is_not_released_without_a_question_unless_the_user_says_so() {
    let servers = Servers::start(3);
    ends(&servers, &["run", "--min-hold", "60s", "job", "--", "true"]).assert_code(0);
    let refused = ends(&servers, &["release", "--force", "job"]);
    refused.assert_code(64);
    assert!(refused.stderr.contains("--yes"), "{refused:?}");
    assert!(servers.holders("job").iter().all(Option::is_some));

    ends(&servers, &["release", "--force", "--yes", "job"]).assert_code(0);
    until_free(&servers, "job");
}
