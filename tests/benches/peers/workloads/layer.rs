//! Requests through axum over loopback, with and without the layer.
//!
//! Client and server share a process and its two threads, so the CPU time is that of both. The
//! telling figure is the difference that the layer makes.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, routing::get, serve::ListenerExt};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use redsync_tests::bench::{cpu_time, nanos};
use redsync_tower::{
    RedlockLayer,
    key::{self, PathKey},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::distinct::lock_and_release;
use crate::{
    Outcome,
    figures::Figures,
    implementation::{Client, Implementation},
    runtime::run,
    setting::{Setting, Variant},
};

/// Longer than any measurement.
const PATIENCE: Duration = Duration::from_secs(60);

type Connection = SendRequest<Empty<Bytes>>;

pub(crate) fn measure(
    addresses: Vec<String>,
    setting: &Setting,
    implementation: Implementation,
    time: Duration,
) -> Outcome<Figures> {
    let Setting { tasks, variant, .. } = *setting;
    let variant = variant.ok_or("no variant")?;
    run(setting.runtime, async move {
        let mut router = router();
        if implementation != Implementation::None {
            let client = Client::connect(implementation, &addresses).await?;
            if variant == Variant::Bare {
                return lock_and_release(&client, tasks, time, Duration::ZERO).await;
            }
            router = router.route_layer(lock(&client)?);
        }
        let server = serve(router).await?;
        request(server, variant, tasks, time).await
    })
}

fn router() -> Router {
    Router::new().route(
        "/orders/{id}",
        get(async || "an order").put(async || "done"),
    )
}

fn lock(client: &Client) -> Outcome<RedlockLayer<PathKey>> {
    let Client::Redsync(redsync) = client else {
        return Err("the layer is redsync's".into());
    };
    let lock = RedlockLayer::new(redsync.clone(), key::path("order:{id}"));
    Ok(lock.with_wait(PATIENCE))
}

async fn serve(router: Router) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let listener = listener.tap_io(|stream| {
        // Without it, requests are slower, which is not a reason to stop.
        let _ = stream.set_nodelay(true);
    });
    // It ends with its runtime.
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(address)
}

/// Lets connections send one request after the other for a time.
async fn request(
    server: SocketAddr,
    variant: Variant,
    connections: usize,
    time: Duration,
) -> Outcome<Figures> {
    let mut ready = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let (mut connection, carrier) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(carrier);
        send(&mut connection, variant, fastrand::u64(..)).await?;
        ready.push(connection);
    }

    let (start, cpu) = (Instant::now(), cpu_time());
    let mut running = JoinSet::new();
    for mut connection in ready {
        running.spawn(async move {
            let mut times = Vec::new();
            // Requests under way at the end do not count.
            let ended = timeout(time, repeat(&mut connection, variant, &mut times)).await;
            ended.unwrap_or(Ok(()))?;
            Outcome::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(more) = running.join_next().await {
        times.extend(more??);
    }
    let (took, cpu) = (start.elapsed(), cpu_time() - cpu);
    Ok(Figures::default()
        .with_costs(times.len(), took, cpu)
        .with_times(times))
}

async fn repeat(
    connection: &mut Connection,
    variant: Variant,
    times: &mut Vec<u64>,
) -> Outcome<()> {
    let first = fastrand::u64(..);
    for number in 0.. {
        let begun = Instant::now();
        send(connection, variant, first.wrapping_add(number)).await?;
        times.push(nanos(begun.elapsed()));
    }
    Ok(())
}

async fn send(connection: &mut Connection, variant: Variant, number: u64) -> Outcome<()> {
    let (method, path) = match variant {
        Variant::PlainGet | Variant::PassedGet => (Method::GET, format!("/orders/{number:016x}")),
        Variant::HotPut => (Method::PUT, "/orders/1".to_owned()),
        _ => (Method::PUT, format!("/orders/{number:016x}")),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(Empty::new())?;
    connection.ready().await?;
    let response = connection.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer was {}", response.status()).into());
    }
    response.into_body().collect().await?;
    Ok(())
}
