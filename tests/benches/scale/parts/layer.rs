//! Requests over sockets that wait for few keys, through the layer.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, routing::put};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use redsync_tests::{
    Servers,
    bench::{nanos, percentile},
};
use redsync_tower::{RedlockLayer, key};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use crate::{
    Outcome,
    machine::resident,
    report::Row,
    setup::{NODES, connect},
};

const KEYS: usize = 500;
const WAIT: Duration = Duration::from_secs(2);
const WORK: Duration = Duration::from_millis(50);
const TIME: Duration = Duration::from_secs(10);

type Connection = SendRequest<Empty<Bytes>>;

pub(crate) async fn measure(count: usize) -> Outcome<Vec<Row>> {
    let servers = Servers::start(NODES);
    let lock = RedlockLayer::new(connect(&servers)?, key::path("order:{id}")).with_wait(WAIT);
    let handler = async || sleep(WORK).await;
    let router = Router::new().route("/orders/{id}", put(handler).route_layer(lock));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let server = listener.local_addr()?;
    // It ends with its runtime.
    tokio::spawn(axum::serve(listener, router).into_future());

    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = dial(server).await?;
        // Its own name, so that only the memory of the connection is there.
        send(&mut connection, &format!("first{}", connections.len())).await?;
        connections.push(connection);
    }
    let before = resident()?;
    let (start, mut running) = (Instant::now(), JoinSet::new());
    for (index, mut connection) in connections.into_iter().enumerate() {
        let key = (index % KEYS).to_string();
        running.spawn(async move {
            let mut seen = Vec::new();
            while start.elapsed() < TIME {
                let begun = Instant::now();
                let status = send(&mut connection, &key).await?;
                seen.push((status, nanos(begun.elapsed())));
            }
            Outcome::Ok(seen)
        });
    }
    sleep(WAIT / 2).await;
    let memory = resident()? - before;
    let (mut statuses, mut times) = (HashMap::<StatusCode, usize>::new(), Vec::new());
    while let Some(seen) = running.join_next().await {
        for (status, time) in seen?? {
            *statuses.entry(status).or_default() += 1;
            times.push(time);
        }
    }
    let of = |status| statuses.get(&status).copied().unwrap_or_default();
    let (served, refused) = (of(StatusCode::OK), of(StatusCode::LOCKED));
    let others = times.len() - served - refused;
    times.sort_unstable();
    let worst = percentile(&times, 1.0).unwrap_or_default() / 1e6;
    Ok(vec![
        Row::at_most("answers other than 200 and 423", others as f64, 0.0),
        Row::plain("200 per second", served as f64 / TIME.as_secs_f64()),
        Row::plain("423 per second", refused as f64 / TIME.as_secs_f64()),
        Row::plain("longest request, s", worst),
        Row::plain(
            "memory for each waiting request, kB",
            memory / count as f64 / 1e3,
        ),
    ])
}

async fn dial(server: SocketAddr) -> Outcome<Connection> {
    let stream = TcpStream::connect(server).await?;
    let (connection, carrier) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(carrier);
    Ok(connection)
}

async fn send(connection: &mut Connection, key: &str) -> Outcome<StatusCode> {
    let request = Request::put(format!("/orders/{key}"))
        .header("host", "localhost")
        .body(Empty::new())?;
    connection.ready().await?;
    let response = connection.send_request(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}
