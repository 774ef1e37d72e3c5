//! Runs, as the page asks for them, and the events that it gets.

use redsync_tests::{
    Service,
    http::{Answer, post},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    client::{self, OrderAnswer},
    service::{SOON, start},
};

fn run(
    service: &Service,
    locked: bool,
    requests: u32,
    work_ms: u64,
) -> impl Future<Output = Answer> + use<> {
    let body = json!({ "locked": locked, "requests": requests, "work_ms": work_ms });
    let url = service.url("/runs");
    async move { post(&url, &body.to_string()).await }
}

#[track_caller]
fn totals(answer: &Answer) -> (i64, i64) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let totals: Value = serde_json::from_str(&answer.body).expect("JSON");
    let number = |name: &str| totals[name].as_i64().expect("a number");
    (number("expected"), number("found"))
}

/// Opens the stream of events, and reads until these words come.
async fn listen(service: &Service, words: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", service.port()))
        .await
        .expect("a connection");
    let request = b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(words) {
        let more = timeout(SOON, stream.read_buf(&mut read)).await;
        assert_ne!(more.expect(words).expect("events"), 0);
    }
    (stream, String::from_utf8_lossy(&read).into_owned())
}

#[tokio::test]
async fn a_run_says_how_many_updates_it_has_found() {
    let service = start(&[]).await;
    assert_eq!(totals(&run(&service, true, 10, 20).await), (10, 10));
    let (expected, found) = totals(&run(&service, false, 10, 100).await);
    assert_eq!(expected, 10);
    assert!(found < 10, "{found}");
    // More requests than can wait for the usual time.
    assert_eq!(totals(&run(&service, true, 5, 600).await), (5, 5));
}

#[tokio::test]
async fn a_run_that_makes_no_sense_or_comes_at_the_same_time_is_refused() {
    let service = start(&[]).await;
    for (requests, work_ms) in [(0, 20), (41, 20), (2, 1001)] {
        let answer = run(&service, true, requests, work_ms).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
    }
    let answer = post(&service.url("/runs"), "{}").await;
    assert_eq!(answer.status, 422, "{}", answer.body);

    let first = tokio::spawn(run(&service, true, 40, 1000));
    let (_stream, _) = listen(&service, "\"kind\":\"working\"").await;
    let second = run(&service, true, 2, 20).await;
    assert_eq!(second.status, 409, "{}", second.body);
    first.abort();
}

#[tokio::test]
async fn the_events_are_of_the_last_runs_only_and_of_no_invented_run() {
    let service = start(&[]).await;
    for _ in 0..6 {
        totals(&run(&service, true, 2, 1).await);
    }
    let mark = "work_ms=1&run=9223372036854775807&request=1";
    let url = service.url(&format!("/orders/1/items?{mark}"));
    let answer = post(&url, r#"{"quantity": 1}"#).await;
    assert_eq!(answer.order().quantity, 1);
    totals(&run(&service, true, 2, 1).await);
    let ended = "\"run\":7,\"at\":";
    let (_stream, _) = listen(&service, ended).await;
    let (_stream, events) = listen(&service, "\"kind\":\"ended\",\"expected\":2").await;
    let has = |run: i64| events.contains(&format!("\"run\":{run},"));
    assert!(!has(1) && !has(2) && !has(3), "{events}");
    assert!(has(4) && !has(i64::MAX), "{events}");
}

#[tokio::test]
async fn a_shutdown_ends_the_streams_and_sends_away_the_requests_of_a_run_that_wait() {
    let mut service = start(&[]).await;
    let run = tokio::spawn(run(&service, true, 40, 1000));
    let (mut stream, _) = listen(&service, "\"kind\":\"working\"").await;
    service.terminate();
    // It ends long before all 40 requests could have worked.
    assert_eq!(service.exit().code(), Some(0), "{}", service.log());
    let (expected, found) = totals(&run.await.expect("no panic"));
    assert_eq!(expected, found);
    assert!((1..40).contains(&found), "{found}");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(client_is_told(&rest), "{}", String::from_utf8_lossy(&rest));
}

/// Whether a chunked body ends as it should.
fn client_is_told(rest: &[u8]) -> bool {
    rest.ends_with(b"0\r\n\r\n")
}

#[tokio::test]
async fn the_page_is_served_and_allows_nothing_from_elsewhere() {
    let service = start(&[]).await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
    ] {
        let answer = client::get(&service, path).await;
        assert_eq!(answer.status, 200);
        let header = |name: &str| answer.headers[name].to_str().expect("text").to_owned();
        assert!(header("content-type").starts_with(kind));
        assert!(header("content-security-policy").starts_with("default-src 'none'"));
        let elsewhere = answer.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("://"), "{path}");
    }
}
