//! The page in a browser: what a person clicks and sees.

use redsync_tests::{Servers, http::post, wait::until_async};
use serde_json::json;

use crate::{
    browser::{Browser, Look, WIDE},
    service::{SOON, World, start},
};

/// Keys of WebDriver.
const HOME: &str = "\u{e011}";
const RIGHT: &str = "\u{e014}";

/// What the page says of the last run with the lock, or without it, when it is over: how many items are
/// expected, and how many it has found.
async fn totals(browser: &Browser, section: &str, verdict: &str) -> (u64, u64) {
    (browser.until_text(&format!("{section} .verdict"), verdict)).await;
    let number = async |name: &str| {
        let text = browser.text(&format!("{section} {name}")).await;
        text.parse().expect("a number")
    };
    (number(".expected").await, number(".found").await)
}

fn assert_growing(tokens: &[String]) {
    let numbers: Vec<u64> = (tokens.iter())
        .map(|token| token.parse().expect("a number"))
        .collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{tokens:?}");
}

#[tokio::test]
async fn the_numbers_agree_with_the_lock_and_not_without_it() {
    let service = start(&[]).await;
    let Some(browser) = Browser::open(&service.url("/"), &WIDE).await else {
        return;
    };
    browser.until_text("#quorum", "All answer").await;
    // The sliders can be moved by keys: 2 and 8 more requests, 20 ms and 4 steps of 20 more.
    (browser
        .session
        .press("#requests", &(HOME.to_owned() + &RIGHT.repeat(8))))
    .await;
    (browser
        .session
        .press("#work", &(HOME.to_owned() + &RIGHT.repeat(4))))
    .await;
    assert_eq!(browser.text("#requests-shown").await, "10");
    assert_eq!(browser.text("#work-shown").await, "100 ms");

    browser.session.click("#run-locked").await;
    let numbers = totals(&browser, "#locked", "No update is lost").await;
    assert_eq!(numbers, (10, 10));
    let tokens = browser.texts("#token-list li").await;
    assert_eq!(tokens.len(), 10);
    assert_growing(&tokens);
    // Each has read what the one before has written.
    let written = browser.texts("#rows .wrote").await;
    let expected: Vec<_> = (1..=10).map(|n| format!("{} → {n}", n - 1)).collect();
    assert_eq!(written, expected);

    // They all read before the first one writes, because they work in between.
    browser.session.click("#run-unlocked").await;
    let (expected, found) = totals(&browser, "#unlocked", "lost").await;
    assert_eq!(expected, 10);
    assert!(found < 10, "{found}");
    let lost = expected - found;
    browser
        .until_text("#status", &format!("{lost} update"))
        .await;
    browser.screenshot("orders-wide-light.png").await;

    // All comes from the program itself.
    let loaded = "return performance.getEntriesByType('resource').map((it) => it.name)";
    let loaded = browser.session.run(loaded).await;
    let loaded = loaded.as_array().expect("names");
    assert!(loaded.len() >= 6, "{loaded:?}");
    for name in loaded {
        let name = name.as_str().expect("a name");
        assert!(name.starts_with(&service.url("/")), "{name}");
    }
    browser.close().await;
}

#[tokio::test]
async fn a_node_that_is_killed_is_seen_and_no_update_is_lost() {
    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    let service = start(&[("REDIS_URLS", &urls)]).await;
    let dark = Look { dark: true, ..WIDE };
    let Some(browser) = Browser::open(&service.url("/"), &dark).await else {
        return;
    };
    browser.until_text("#quorum", "All answer").await;
    assert_eq!(browser.texts("#nodes li.down").await.len(), 0);
    // 12 requests of 160 ms.
    browser.session.click("#run-locked").await;
    until_async("a request has its key on all nodes", SOON, async || {
        browser.texts("#rows .key").await.len() >= 3
    })
    .await;
    servers[1].kill();
    let numbers = totals(&browser, "#locked", "No update is lost").await;
    assert_eq!(numbers, (12, 12));
    (browser.until_text("#nodes li.down", &servers[1].address())).await;
    // On a busy machine, another node may answer too late now and then.
    let unanswered = browser.texts("#rows .no_answer").await;
    assert!(unanswered.iter().any(|it| it.starts_with('B')));
    assert_growing(&browser.texts("#token-list li").await);
    browser.screenshot("orders-wide-dark.png").await;

    servers[0].kill();
    browser.until_text("#quorum", "get 503").await;
    browser.session.click("#run-locked").await;
    let numbers = totals(&browser, "#locked", "12 requests refused (503)").await;
    assert_eq!(numbers, (0, 0));

    servers[0].restart();
    servers[1].restart();
    browser.until_text("#quorum", "All answer").await;
    browser.session.click("#run-locked").await;
    let numbers = totals(&browser, "#locked", "No update is lost").await;
    assert_eq!(numbers, (12, 12));
    browser.close().await;
}

#[tokio::test]
async fn a_phone_shows_the_run_that_another_instance_has_started() {
    let world = World::start();
    let mut second = world.copy(&[("INSTANCE", "second")]).await;
    let peers = second.url("");
    let first = world
        .copy(&[("INSTANCE", "first"), ("PEERS", &peers)])
        .await;
    // Its peers are both.
    let peers = format!("{},{peers}", first.url(""));
    let third = world
        .copy(&[("INSTANCE", "third"), ("PEERS", &peers)])
        .await;
    let phone = Look {
        width: 360,
        height: 740,
        dark: true,
    };
    let Some(browser) = Browser::open(&second.url("/"), &phone).await else {
        return;
    };
    browser.until_text("#instance", "second").await;

    let body = json!({ "locked": true, "requests": 12, "work_ms": 20 }).to_string();
    let answer = post(&third.url("/runs"), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let numbers = totals(&browser, "#locked", "No update is lost").await;
    assert_eq!(numbers, (12, 12));
    browser.until_text("#status", "Run 1 is over").await;
    let served = browser.texts("#rows .instance").await;
    for name in ["first", "second"] {
        assert_eq!(
            served.iter().filter(|it| *it == name).count(),
            6,
            "{served:?}"
        );
    }
    assert_growing(&browser.texts("#token-list li").await);
    let width = "return document.documentElement.scrollWidth";
    assert_eq!(browser.session.run(width).await, 360);
    browser.session.run("scrollTo(0, 1150)").await;
    browser.screenshot("orders-phone-dark.png").await;

    // A page that is open does not keep its service from ending.
    second.terminate();
    assert_eq!(second.exit().code(), Some(0), "{}", second.log());
    browser
        .until_text("#connection", "connection is lost")
        .await;
    browser.close().await;
}
