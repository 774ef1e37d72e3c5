//! The layer in front of a gRPC service: tonic's server and client, over sockets.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, uri::PathAndQuery};
use http_body_util::Full;
use redsync::{Redsync, node::MemoryNode};
use redsync_tests::Servers;
use redsync_tower::{
    HeldLock, HoldUntil, LockRejection, RedlockLayer,
    key::{self, Key},
    response,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tonic::{
    Code, Status,
    body::Body,
    server::{NamedService, UnaryService},
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;
use tower::{Layer, Service, ServiceExt, service_fn};

const PATH: &str = "/shop.Orders/Update";

#[derive(Clone, PartialEq, prost::Message)]
struct Order {
    #[prost(uint64, tag = "1")]
    id: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Updated {
    #[prost(string, tag = "1")]
    lock: String,
}

/// A service with one method. A call signals that it has begun, and ends when the test lets it.
#[derive(Clone)]
struct Orders {
    begun: Arc<Semaphore>,
    may_end: Arc<Semaphore>,
}

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl UnaryService<Order> for Orders {
    type Response = Updated;
    type Future = Answer<Result<tonic::Response<Updated>, Status>>;

    fn call(&mut self, request: tonic::Request<Order>) -> Self::Future {
        let Self { begun, may_end } = self.clone();
        Box::pin(async move {
            begun.add_permits(1);
            may_end.acquire().await.expect("open").forget();
            if request.get_ref().id == 0 {
                return Err(Status::failed_precondition("there is no order 0"));
            }
            let lock = request.extensions().get::<HeldLock>();
            let lock = lock.map(|lock| lock.name().to_owned()).unwrap_or_default();
            Ok(tonic::Response::new(Updated { lock }))
        })
    }
}

impl<B> Service<Request<B>> for Orders
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
        let orders = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
            Ok(grpc.unary(orders, request).await)
        })
    }
}

impl NamedService for Orders {
    const NAME: &'static str = "shop.Orders";
}

impl Orders {
    /// A server with the layer around all its services.
    async fn serve<K>(lock: RedlockLayer<K>) -> (Self, SocketAddr)
    where
        K: Key<Body, Future: Send> + Clone + Send + Sync + 'static,
    {
        let orders = Self {
            begun: Arc::new(Semaphore::new(0)),
            may_end: Arc::new(Semaphore::new(0)),
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = Server::builder().layer(lock).add_service(orders.clone());
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (orders, address)
    }

    async fn has_begun(&self) {
        let begun = tokio::time::timeout(Duration::from_secs(20), self.begun.acquire()).await;
        begun.expect("it begins").expect("open").forget();
    }

    fn let_go(&self, count: usize) {
        self.may_end.add_permits(count);
    }
}

async fn connect(address: SocketAddr) -> Channel {
    let channel = Channel::from_shared(format!("http://{address}")).expect("a URI");
    channel.connect().await.expect("a connection")
}

/// A call for the tenant of that name.
async fn update(channel: &Channel, tenant: Option<&str>, id: u64) -> Result<String, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let mut request = tonic::Request::new(Order { id });
    if let Some(tenant) = tenant {
        request
            .metadata_mut()
            .insert("tenant", tenant.parse().unwrap());
    }
    let codec = ProstCodec::<Order, Updated>::default();
    let path = PathAndQuery::from_static(PATH);
    let updated = client.unary(request, path, codec).await?;
    Ok(updated.into_inner().lock)
}

fn pushback(status: &Status) -> i64 {
    let value = status.metadata().get("grpc-retry-pushback-ms");
    value
        .expect("a pushback")
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// A generous time limit for nodes, for busy machines.
fn patient(servers: &Servers) -> Redsync {
    let redsync = Redsync::connect(servers.urls()).expect("URLs");
    let redsync = redsync.with_defaults(|mutex| mutex.with_node_timeout(Duration::from_secs(5)));
    redsync.expect("options that work")
}

fn by_tenant(redsync: Redsync) -> RedlockLayer<key::HeaderKey> {
    RedlockLayer::new(redsync, key::header("tenant"))
}

#[tokio::test]
async fn a_call_holds_its_lock_and_another_is_aborted() {
    let servers = Servers::start(3);
    let redsync = patient(&servers);
    let lock = by_tenant(redsync.clone());
    let (orders, address) = Orders::serve(lock).await;
    let channel = connect(address).await;
    let first = tokio::spawn({
        let channel = channel.clone();
        async move { update(&channel, Some("a"), 1).await }
    });
    orders.has_begun().await;

    let refused = update(&channel, Some("a"), 2)
        .await
        .expect_err("it is locked");
    assert_eq!(refused.code(), Code::Aborted);
    assert!(refused.message().starts_with("Other requests"), "{refused}");
    assert!((1000..=8000).contains(&pushback(&refused)), "{refused:?}");
    assert!(refused.metadata().get("retry-after").is_none());

    orders.let_go(2);
    assert_eq!(first.await.unwrap().unwrap(), "tenant:a");
    assert_eq!(update(&channel, Some("a"), 2).await.unwrap(), "tenant:a");
    redsync.drain().await;
}

#[tokio::test]
async fn a_call_that_waits_is_aborted_at_its_limit() {
    let redsync = Redsync::in_memory(3);
    let _held = redsync.mutex("tenant:a").lock().await.unwrap();
    let lock = by_tenant(redsync).with_wait(Duration::from_millis(50));
    let (_, address) = Orders::serve(lock).await;
    let refused = update(&connect(address).await, Some("a"), 1)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert!(
        refused.message().contains("as long as this one could wait"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_outage_is_unavailable() {
    let servers = Servers::start(3);
    let redsync = patient(&servers);
    let (orders, address) = Orders::serve(by_tenant(redsync)).await;
    let channel = connect(address).await;
    orders.let_go(1);
    update(&channel, Some("a"), 1).await.unwrap();
    servers[0].kill();
    servers[2].kill();
    let refused = update(&channel, Some("a"), 1).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(pushback(&refused), 1000);
}

#[tokio::test]
async fn client_and_server_mistakes_have_different_codes() {
    let redsync = Redsync::in_memory(3);
    let (_, address) = Orders::serve(by_tenant(redsync.clone())).await;
    let refused = update(&connect(address).await, None, 1).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "the header `tenant` is missing");
    assert_eq!(pushback(&refused), -1);

    // The services' routes are inside, and have no parameters.
    let by_path = RedlockLayer::new(redsync, key::path("order:{id}"));
    let (_, address) = Orders::serve(by_path).await;
    let refused = update(&connect(address).await, None, 1).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    assert_eq!(pushback(&refused), -1);
}

#[tokio::test]
async fn a_lock_that_is_lost_leaves_the_outcome_unknown() {
    let nodes: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
    let redsync = Redsync::new(nodes.clone()).unwrap();
    let redsync = redsync.with_defaults(|mutex| mutex.with_expiry(Duration::from_millis(300)));
    let (orders, address) = Orders::serve(by_tenant(redsync.unwrap())).await;
    let channel = connect(address).await;
    let call = tokio::spawn(async move { update(&channel, Some("a"), 1).await });
    orders.has_begun().await;
    nodes.iter().for_each(MemoryNode::clear);
    let lost = call.await.unwrap().unwrap_err();
    assert_eq!(lost.code(), Code::Unknown);
    assert_eq!(pushback(&lost), -1);
}

#[tokio::test]
async fn statuses_of_the_service_pass_and_the_lock_is_free_when_the_client_has_them() {
    let redsync = Redsync::in_memory(3);
    for hold in [HoldUntil::Response, HoldUntil::BodyEnd] {
        let lock = by_tenant(redsync.clone())
            .with_hold_until(hold)
            .with_wait(Duration::from_secs(20));
        let (orders, address) = Orders::serve(lock).await;
        let channel = connect(address).await;
        orders.let_go(40);
        for _ in 0..20 {
            let failed = update(&channel, Some("a"), 0).await.unwrap_err();
            assert_eq!(failed.code(), Code::FailedPrecondition);
            assert_eq!(failed.message(), "there is no order 0");
            assert_eq!(update(&channel, Some("a"), 1).await.unwrap(), "tenant:a");
        }
    }
}

#[tokio::test]
async fn an_answer_is_one_frame_of_headers() {
    let redsync = Redsync::in_memory(3);
    let _held = redsync.mutex("tenant:a").lock().await.unwrap();
    let (_, address) = Orders::serve(by_tenant(redsync)).await;
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = Request::post(format!("http://{address}{PATH}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("tenant", "a");
    let (response, mut body) = client
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    body.send_data(Bytes::from_static(&[0, 0, 0, 0, 0]), true)
        .unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(headers["grpc-status"], "10");
    assert!(headers.contains_key("grpc-message"));
    assert!(response.body().is_end_stream(), "no other frame is to come");
}

/// The answer to a request of that content type where all is locked.
async fn refusal<K>(lock: RedlockLayer<K>, content_type: &str) -> (StatusCode, HeaderMap)
where
    K: Key<()> + Clone,
{
    let inner = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let request = Request::post("/")
        .header("content-type", content_type)
        .header("tenant", "a");
    let response = lock
        .layer(inner)
        .oneshot(request.body(()).unwrap())
        .await
        .unwrap();
    assert!(response.extensions().get::<LockRejection>().is_some());
    (response.status(), response.headers().clone())
}

#[tokio::test]
async fn the_response_format_follows_the_request_unless_the_layer_sets_one() {
    let redsync = Redsync::in_memory(3);
    let _held = redsync.mutex("tenant:a").lock().await.unwrap();
    let lock = by_tenant(redsync);
    let (status, headers) = refusal(lock.clone(), "application/json").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(headers["content-type"], "application/problem+json");
    // The status for contention does not apply to gRPC.
    let other_status = lock.clone().with_contention_status(StatusCode::LOCKED);
    let (status, headers) = refusal(other_status, "application/grpc").await;
    assert_eq!(
        (status, &headers["grpc-status"]),
        (StatusCode::OK, &"10".parse().unwrap())
    );

    let given = lock.clone().with_response(|_| Response::new("given"));
    let (_, headers) = refusal(given, "application/grpc").await;
    assert!(headers.is_empty());
    let always = lock.with_response(response::grpc);
    let (status, headers) = refusal(always, "application/json").await;
    assert_eq!(
        (status, &headers["grpc-status"]),
        (StatusCode::OK, &"10".parse().unwrap())
    );
}
