//! Input that makes no sense is refused with a clear message.

use std::net::TcpListener;

use redsync_tests::{Service, http::post};

use crate::{client, service::start};

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_with_the_reason() {
    let service = start(&[]).await;
    let one = r#"{"quantity": 1}"#;
    let long = format!("/orders/{}/items", "x".repeat(300));
    let longer = format!("/orders/{}/items", "x".repeat(3000));
    for (path, body, status, words) in [
        (&*long, one, 400, "64 characters"),
        (&longer, one, 400, "64 characters"),
        ("/orders/%FF/items", one, 400, "UTF-8"),
        (
            "/orders/1/items",
            r#"{"quantity": "many"}"#,
            422,
            "quantity",
        ),
        ("/orders/1/items", r#"{"quantity": -1}"#, 422, "quantity"),
        (
            "/orders/1/items",
            r#"{"quantity": 99999999999}"#,
            422,
            "quantity",
        ),
        ("/orders/1/items", "{}", 422, "quantity"),
        ("/orders/1/items", "quantity=1", 400, "JSON"),
        ("/orders/1/items?work_ms=x", one, 400, "work_ms"),
        ("/orders/1/items?work_ms=-1", one, 400, "work_ms"),
        ("/orders/1/items?work_ms=600001", one, 400, "600000"),
    ] {
        let answer = post(&service.url(path), body).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
        assert!(
            answer.body.contains(words),
            "{path} {body}: {}",
            answer.body
        );
    }
    let answer = client::get(&service, &format!("/orders/{}", "x".repeat(300))).await;
    assert_eq!(answer.status, 400);
    // None of these requests was counted.
    let answer = client::get(&service, "/orders/1").await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("no such order"), "{}", answer.body);
}

#[test]
fn an_environment_that_makes_no_sense_ends_the_program() {
    for (name, value) in [
        ("PORT", "abc"),
        ("PORT", "65536"),
        ("WAIT_MS", "soon"),
        ("WAIT_MS", "-1"),
        ("EXPIRY_MS", ""),
        ("EXPIRY_MS", "1"),
        ("EXPIRY_MS", "99999999999999999"),
        ("REDIS_URLS", "nonsense"),
        ("REDIS_URLS", "redis://u:secret@[::1"),
        ("REDIS_URLS", "http://u:secret@127.0.0.1"),
        ("REDIS_URLS", "redis://:secret@127.0.0.1:port"),
        ("REDIS_URLS", "redis://u:secret@a:1,redis://u:secret@a:1"),
        ("DATABASE", "/nowhere/at/all/orders.sqlite"),
    ] {
        let (status, log) = Service::fails("orders", &[(name, value)]);
        assert!(!status.success(), "{name}={value}: {log}");
        assert!(status.code().is_some(), "{name}={value}: {log}");
        let expected = if name == "DATABASE" { value } else { name };
        assert!(log.contains(expected), "{name}={value}: {log}");
        assert!(!log.contains("secret"), "{name}={value}: {log}");
        assert!(!log.contains("panicked"), "{name}={value}: {log}");
    }
}

#[test]
fn a_port_in_use_ends_the_program() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener
        .local_addr()
        .expect("an address")
        .port()
        .to_string();
    let (status, log) = Service::fails("orders", &[("PORT", &port)]);
    assert!(!status.success(), "{log}");
    assert!(log.contains(&port), "{log}");
}
