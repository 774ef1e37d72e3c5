//! All that the layer answers and says in front of a gRPC service: headers, metadata, messages and
//! trailers.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response, uri::PathAndQuery};
use redsync::Redsync;
use redsync_tests::Servers;
use redsync_tower::{HeldLock, HoldUntil, RedlockLayer, key};
use tokio::{net::TcpListener, time::sleep};
use tonic::{
    Code, Status,
    body::Body,
    server::{NamedService, ServerStreamingService},
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::{
    SOON,
    layer::{lose_when_held, shown},
    log::Log,
    until_quiet,
};

/// The name that the calls of the only tenant lock.
const NAME: &str = "tenant:a";

/// Longer than it takes to notice that a lock is lost, in milliseconds.
const LONG: u64 = 3_000;

/// What is asked: how long to take before the response begins, and before it ends.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Asked {
    #[prost(uint64, tag = "1")]
    before: u64,
    #[prost(uint64, tag = "2")]
    within: u64,
}

const AT_ONCE: Asked = Asked {
    before: 0,
    within: 0,
};

#[derive(Clone, PartialEq, prost::Message)]
struct Told {
    #[prost(string, tag = "1")]
    text: String,
}

/// A service that shows its lock in metadata, in a message, and in the status in the trailers.
#[derive(Clone)]
struct Shows(Log);

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl ServerStreamingService<Asked> for Shows {
    type Response = Told;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Told, Status>> + Send>>;
    type Future = Answer<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Asked>) -> Self::Future {
        self.0.note_debug(&request);
        Box::pin(async move {
            let held = request.extensions().get::<HeldLock>().cloned();
            let (text, Asked { before, within }) = (format!("{held:?}"), request.into_inner());
            sleep(Duration::from_millis(before)).await;
            let mut failed = Status::failed_precondition(&text);
            let shown = || text.parse().expect("ASCII");
            failed.metadata_mut().insert("lock", shown());
            let told = stream::iter([Ok(Told { text: text.clone() })]);
            let end = stream::once(async move {
                sleep(Duration::from_millis(within)).await;
                Err(failed)
            });
            let messages: Self::ResponseStream = Box::pin(told.chain(end));
            let mut response = tonic::Response::new(messages);
            response.metadata_mut().insert("lock", shown());
            Ok(response)
        })
    }
}

impl<B> Service<Request<B>> for Shows
where
    B: http_body::Body<Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send>
        + Send
        + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shows = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
            Ok(grpc.server_streaming(shows, request).await)
        })
    }
}

impl NamedService for Shows {
    const NAME: &'static str = "shop.Orders";
}

/// Starts a server with the layer around its service, and connects a client.
async fn connect(lock: RedlockLayer<key::HeaderKey>, log: &Log) -> Channel {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = (Server::builder().layer(lock)).add_service(Shows(log.clone()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let channel = Channel::from_shared(format!("http://{address}")).expect("a URI");
    channel.connect().await.expect("a connection")
}

fn by_tenant(redsync: &Redsync, log: &Log) -> RedlockLayer<key::HeaderKey> {
    shown(
        RedlockLayer::new(redsync.clone(), key::header("tenant")),
        log,
    )
}

/// Makes a call, and notes all that the client gets. Returns the code of its status.
async fn call(channel: &Channel, tenant: Option<&str>, asked: Asked, log: &Log) -> Code {
    let status = answer(channel, tenant, asked, log).await.unwrap_err();
    log.note_error(&status);
    log.note_debug(status.metadata());
    log.note(&String::from_utf8_lossy(status.details()));
    status.code()
}

/// Every call ends with the status of the service or of the layer.
async fn answer(
    channel: &Channel,
    tenant: Option<&str>,
    asked: Asked,
    log: &Log,
) -> Result<Infallible, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let mut request = tonic::Request::new(asked);
    if let Some(tenant) = tenant {
        let tenant = tenant.parse().expect("ASCII");
        request.metadata_mut().insert("tenant", tenant);
    }
    let codec = ProstCodec::<Asked, Told>::default();
    let path = PathAndQuery::from_static("/shop.Orders/Show");
    let response = client.server_streaming(request, path, codec).await?;
    log.note_debug(&response);
    let mut messages = response.into_inner();
    while let Some(told) = messages.message().await? {
        log.note(&told.text);
    }
    panic!("the service ends with a status")
}

/// On servers that work.
pub(crate) async fn live(redsync: &Redsync, servers: &Servers, log: &Log) {
    for hold in [HoldUntil::Response, HoldUntil::BodyEnd] {
        let layer = by_tenant(redsync, log).with_hold_until(hold);
        let at_once = connect(layer.clone(), log).await;
        let code = call(&at_once, Some("a"), AT_ONCE, log).await;
        assert_eq!(code, Code::FailedPrecondition);
        let code = call(&at_once, None, AT_ONCE, log).await;
        assert_eq!(code, Code::InvalidArgument);

        let guard = redsync.mutex(NAME).lock_within(SOON).await.unwrap();
        let waiting = layer.clone().with_wait(Duration::from_millis(100));
        for channel in [&at_once, &connect(waiting, log).await] {
            assert_eq!(call(channel, Some("a"), AT_ONCE, log).await, Code::Aborted);
        }
        guard.release().await.unwrap();

        // It is lost before the response begins, or while it is sent, which goes on.
        let losing = layer.with_expiry(Duration::from_secs(1)).with_wait(SOON);
        let losing = connect(losing, log).await;
        let (before, within, ends) = match hold {
            HoldUntil::BodyEnd => (0, LONG, Code::FailedPrecondition),
            _ => (10 * LONG, 0, Code::Unknown),
        };
        let lost = call(&losing, Some("a"), Asked { before, within }, log);
        let (code, ()) = tokio::join!(lost, lose_when_held(NAME, servers));
        assert_eq!(code, ends);
        redsync.drain().await;
        until_quiet(servers).await;
    }
}

/// When no server is left.
pub(crate) async fn in_an_outage(redsync: &Redsync, log: &Log) {
    let channel = connect(by_tenant(redsync, log), log).await;
    let code = call(&channel, Some("a"), AT_ONCE, log).await;
    assert_eq!(code, Code::Unavailable);
}
