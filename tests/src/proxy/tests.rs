use std::{
    net::{Ipv4Addr, TcpStream as StdStream},
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection, cmd};

use super::Proxy;
use crate::{RedisServer, wait};

const LIMIT: Duration = Duration::from_secs(10);

/// How long to wait for what must not come. If it is too short, the test may miss a fault of the
/// proxy, but it does not report one that is not there.
const NEVER: Duration = Duration::from_millis(100);

async fn connect(proxy: &Proxy) -> RedisResult<MultiplexedConnection> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(LIMIT))
        .set_response_timeout(Some(LIMIT));
    Client::open(proxy.url())?
        .get_multiplexed_async_connection_with_config(&settings)
        .await
}

async fn started() -> (RedisServer, Proxy, MultiplexedConnection) {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    let connection = connect(&proxy).await.expect("a connection");
    (server, proxy, connection)
}

async fn incr(connection: &MultiplexedConnection) -> RedisResult<i64> {
    cmd("INCR")
        .arg("n")
        .query_async(&mut connection.clone())
        .await
}

fn count(server: &RedisServer) -> i64 {
    server.query::<Option<i64>>(&["GET", "n"]).unwrap_or(0)
}

async fn reaches(server: &RedisServer, n: i64) {
    wait::until_async("a count", LIMIT, async || count(server) >= n).await;
    assert_eq!(count(server), n);
}

#[tokio::test]
async fn passes() {
    let (server, proxy, connection) = started().await;
    assert_eq!(incr(&connection).await, Ok(1));
    assert_eq!(count(&server), 1);
    assert_eq!(proxy.connections(), 1);

    let large = "x".repeat(3_000_000);
    let mut connection = connection;
    let _: () = cmd("SET")
        .arg(&["large", &large])
        .query_async(&mut connection)
        .await
        .expect("set");
    let got: String = cmd("GET")
        .arg("large")
        .query_async(&mut connection)
        .await
        .expect("get");
    assert_eq!(got, large);
}

#[tokio::test]
async fn holds_requests() {
    let (server, proxy, connection) = started().await;
    proxy.hold_requests();
    let mut requests = tokio::spawn(async move {
        let first = incr(&connection).await;
        (first, incr(&connection).await)
    });
    let early = tokio::time::timeout(NEVER, &mut requests).await;
    assert!(early.is_err(), "a reply to a held request");
    assert_eq!(count(&server), 0);
    proxy.pass();
    assert_eq!(requests.await.expect("requests"), (Ok(1), Ok(2)));
}

#[tokio::test]
async fn delivers_held_requests_of_a_client_that_has_gone() {
    let (server, proxy, connection) = started().await;
    proxy.hold_requests();
    let _ = tokio::time::timeout(NEVER, incr(&connection)).await;
    drop(connection);
    proxy.pass();
    reaches(&server, 1).await;
}

#[tokio::test]
async fn holds_replies() {
    let (server, proxy, connection) = started().await;
    proxy.hold_replies();
    let mut request = tokio::spawn(async move { incr(&connection).await });
    reaches(&server, 1).await;
    let early = tokio::time::timeout(NEVER, &mut request).await;
    assert!(early.is_err(), "a held reply");
    proxy.pass();
    assert_eq!(request.await.expect("a request"), Ok(1));
}

#[tokio::test]
async fn drops_replies() {
    let (server, proxy, connection) = started().await;
    proxy.drop_replies();
    let mut request = tokio::spawn(async move { incr(&connection).await });
    reaches(&server, 1).await;
    // Also on a connection that is kept from ending.
    server.kill();
    let early = tokio::time::timeout(NEVER, &mut request).await;
    assert!(early.is_err(), "a dropped reply");
    proxy.reset();
    assert!(request.await.expect("a request").is_err());
}

#[tokio::test]
async fn swallows_everything() {
    let (server, proxy, connection) = started().await;
    proxy.blackhole();
    let mut request = tokio::spawn(async move { incr(&connection).await });
    let _silent = StdStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).expect("accepted");
    wait::until_async("the second", LIMIT, async || proxy.connections() == 2).await;
    let early = tokio::time::timeout(NEVER, &mut request).await;
    assert!(early.is_err(), "a reply out of a black hole");
    assert_eq!(count(&server), 0);

    proxy.reset();
    assert!(request.await.expect("a request").is_err());
    proxy.pass();
    let connection = connect(&proxy).await.expect("a connection");
    assert_eq!(incr(&connection).await, Ok(1));
}

#[tokio::test]
async fn resets() {
    let (server, proxy, connection) = started().await;
    // The proxy may not have accepted it yet.
    let stranger = StdStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).expect("connect");
    proxy.reset();
    assert_eq!(proxy.connections(), 2);
    stranger.set_read_timeout(Some(LIMIT)).expect("a limit");
    let error = std::io::Read::read(&mut &stranger, &mut [0]).expect_err("not a mere end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(incr(&connection).await.is_err());

    let connection = connect(&proxy).await.expect("a connection");
    assert_eq!(incr(&connection).await, Ok(1));
    assert_eq!(count(&server), 1);
}

#[tokio::test]
async fn refuses() {
    let (_server, proxy, connection) = started().await;
    proxy.refuse();
    assert!(incr(&connection).await.is_err());
    for _ in 0..3 {
        let error = connect(&proxy).await.expect_err("refused");
        assert!(error.is_connection_refusal(), "{error}");
        proxy.reset();
    }
    proxy.pass();
    let connection = connect(&proxy).await.expect("a connection");
    assert_eq!(incr(&connection).await, Ok(1));
}

#[tokio::test]
async fn duplicates_requests() {
    let (server, proxy, connection) = started().await;
    proxy.duplicate_requests();
    assert_eq!(incr(&connection).await, Ok(1));
    reaches(&server, 2).await;
    proxy.pass();
    let connection = connect(&proxy).await.expect("a connection");
    assert_eq!(incr(&connection).await, Ok(3));
}

#[tokio::test]
async fn delays() {
    let (_server, proxy, connection) = started().await;
    proxy.delay(Duration::from_millis(50));
    let start = Instant::now();
    assert_eq!(incr(&connection).await, Ok(1));
    assert!(start.elapsed() >= Duration::from_millis(100));

    proxy.delay(LIMIT * 10);
    let request = tokio::spawn(async move { incr(&connection).await });
    proxy.pass();
    assert_eq!(request.await.expect("a request"), Ok(2));
}

#[tokio::test]
async fn passes_the_end_of_the_server_on() {
    let (server, proxy, connection) = started().await;
    server.kill();
    assert!(incr(&connection).await.is_err());
    assert!(connect(&proxy).await.is_err());
    server.restart();
    let connection = connect(&proxy).await.expect("a connection");
    assert_eq!(incr(&connection).await, Ok(1));
}

#[tokio::test]
async fn ends_when_dropped() {
    let (server, proxy, connection) = started().await;
    let url = proxy.url();
    drop(proxy);
    assert!(incr(&connection).await.is_err());
    let client = Client::open(url).expect("a client");
    let error = client.get_connection().err().expect("no proxy");
    assert!(error.is_connection_refusal(), "{error}");
    // The harness's own connection is left.
    wait::until_async("closed connections", LIMIT, async || {
        let clients: String = server.query(&["CLIENT", "LIST"]);
        clients.lines().count() == 1
    })
    .await;
}

#[tokio::test]
async fn forgets_connections() {
    let (server, proxy, connection) = started().await;
    assert_eq!(incr(&connection).await, Ok(1));
    proxy.forget();
    let silent = tokio::time::timeout(NEVER, incr(&connection)).await;
    assert!(silent.is_err(), "{silent:?}");
    let new = connect(&proxy).await.expect("a connection");
    assert_eq!(incr(&new).await, Ok(2));
    assert_eq!(count(&server), 2);
}
