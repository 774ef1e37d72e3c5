//! Nodes in this process, a stage for handlers, and clients of both versions of HTTP.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use redsync::{Guard, LockError, Redsync, node::MemoryNode};
use redsync_tests::{FaultyNode, faulty::Operation, wait::until_async};
use redsync_tower::{RedlockLayer, key};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

/// A generous limit for what has to happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// So long that nothing can have expired.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// Three nodes, and one who locks on them.
pub(crate) struct World {
    pub(crate) redsync: Redsync,
    nodes: Vec<FaultyNode>,
}

impl World {
    pub(crate) fn new() -> Self {
        let nodes: Vec<_> = (0..3).map(|_| FaultyNode::new()).collect();
        let redsync = of(&nodes);
        Self { redsync, nodes }
    }

    /// A layer that locks all methods, by the path parameter `id`.
    pub(crate) fn layer(&self) -> RedlockLayer<key::PathKey> {
        RedlockLayer::new(self.redsync.clone(), key::path("{id}")).with_methods(|_| true)
    }

    /// Locks as another process would.
    pub(crate) async fn lock(&self, name: &str) -> Guard {
        let guard = of(&self.nodes).mutex(name).lock_within(SOON).await;
        guard.expect("another's lock")
    }

    /// Whether another process could have the lock.
    pub(crate) async fn is_free(&self, name: &str) -> bool {
        let other = of(&self.nodes);
        match other.mutex(name).try_lock().await {
            Ok(guard) => {
                guard.release().await.expect("released");
                other.drain().await;
                true
            }
            Err(LockError::Taken(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn until_free(&self, name: &str) {
        until_async("the lock is free", SOON, async || self.is_free(name).await).await;
    }

    /// Waits for another request whose attempt to lock fails.
    pub(crate) async fn until_tried_again(&self) {
        let before = self.tries();
        until_async("it tries", SOON, async || self.tries() >= before + 2).await;
    }

    /// How often the first node was asked for a lock.
    pub(crate) fn tries(&self) -> usize {
        let operations = self.nodes[0].operations().into_iter();
        operations.filter(|o| *o == Operation::Acquire).count()
    }

    /// Whether nothing at all is locked.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes
            .iter()
            .all(|node| MemoryNode::is_empty(node.inner()))
    }

    /// Waits for what goes on in the background, and checks that it left nothing.
    pub(crate) async fn ends_empty(&self) {
        self.redsync.drain().await;
        assert!(self.is_empty(), "something is locked still");
    }
}

fn of(nodes: &[FaultyNode]) -> Redsync {
    let redsync = Redsync::new(nodes.to_vec()).expect("three nodes");
    let redsync = redsync.with_defaults(|mutex| mutex.with_expiry(LONG));
    redsync.expect("an expiry that works")
}

/// A place where handlers wait until they may end.
#[derive(Clone)]
pub(crate) struct Stage(Arc<Inner>);

struct Inner {
    begun: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
    may_end: Semaphore,
}

/// Somebody on a stage, who leaves it when this is dropped.
pub(crate) struct OnStage(Stage);

impl Stage {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            begun: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            may_end: Semaphore::new(0),
        }))
    }

    pub(crate) fn step_on(&self) -> OnStage {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        let now = 1 + self.0.now.fetch_add(1, Ordering::SeqCst);
        self.0.most.fetch_max(now, Ordering::SeqCst);
        OnStage(self.clone())
    }

    /// Stays until it may end.
    pub(crate) async fn play(&self) {
        let _on_stage = self.step_on();
        self.0.may_end.acquire().await.expect("open").forget();
    }

    pub(crate) fn let_go(&self, count: usize) {
        self.0.may_end.add_permits(count);
    }

    /// How many have come, ever.
    pub(crate) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }

    /// How many are there.
    pub(crate) fn now(&self) -> usize {
        self.0.now.load(Ordering::SeqCst)
    }

    /// How many were there at a time, at the most.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    pub(crate) async fn has(&self, count: usize) {
        until_async("they are on stage", SOON, async || self.now() == count).await;
    }
}

impl Drop for OnStage {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A body of as many frames as are asked for, whose owner is on stage as long as it is there.
pub(crate) fn endless(stage: &Stage, frame: &'static [u8], sent: &Arc<AtomicUsize>) -> Body {
    let state = (stage.step_on(), Arc::clone(sent));
    Body::from_stream(stream::unfold(state, move |state| async move {
        state.1.fetch_add(1, Ordering::SeqCst);
        Some((Ok::<_, Infallible>(Bytes::from_static(frame)), state))
    }))
}

/// A body that has no end and no frame after its first, whose owner is on stage as long as it is
/// there.
pub(crate) fn unending(stage: &Stage) -> Body {
    let state = (stage.step_on(), true);
    Body::from_stream(stream::unfold(state, |(on_stage, first)| async move {
        if !first {
            std::future::pending::<()>().await;
        }
        let frame = Ok::<_, Infallible>(Bytes::from_static(b"first"));
        Some((frame, (on_stage, false)))
    }))
}

/// Serves with axum on a port of its own.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

pub(crate) fn request(method: &str, path: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("host", "x");
    request.body(Full::default()).expect("a request")
}

/// Sends a request over HTTP/1 on a connection of its own, and reads the whole answer.
pub(crate) async fn fetch(address: SocketAddr, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let answer = async {
        let socket = TcpStream::connect(address).await.expect("a connection");
        let socket = TokioIo::new(socket);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(socket)
            .await
            .expect("a handshake");
        // Ends with this, also when it is dropped.
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        let response = sender.send_request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Response::from_parts(parts, body)
    };
    let answer = tokio::time::timeout(SOON, answer).await;
    answer.expect("an answer in time")
}

/// Fetches by path alone: the status, and the body as text.
pub(crate) async fn post(address: SocketAddr, path: &str) -> (u16, String) {
    let response = fetch(address, request("POST", path)).await;
    let body = String::from_utf8(response.body().to_vec()).expect("text");
    (response.status().as_u16(), body)
}

/// Sends bytes over a connection of its own.
pub(crate) async fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket.write_all(bytes.as_ref()).await.expect("sent");
    socket
}

/// Reads until the end of the head of a response.
pub(crate) async fn head(socket: &mut TcpStream) -> String {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.expect("more of a head"));
        }
        String::from_utf8(head).expect("text")
    };
    let head = tokio::time::timeout(SOON, read).await;
    head.expect("a head in time")
}

/// A client of HTTP/2, whose connection ends when this is dropped.
pub(crate) struct Http2 {
    sender: h2::client::SendRequest<Bytes>,
    connection: tokio::task::JoinHandle<()>,
}

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("a connection");
        let (sender, connection) = h2::client::handshake(socket).await.expect("a handshake");
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { sender, connection }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
    ) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        let request = Request::builder().method(method);
        self.begin(request, path, true).await
    }

    /// Sends the head of a request. Its body may follow, unless this is its end.
    pub(crate) async fn begin(
        &self,
        request: http::request::Builder,
        path: &str,
        is_end: bool,
    ) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        let request = request.uri(format!("http://x{path}")).body(());
        let request = request.expect("a request");
        let mut sender = self.sender.clone().ready().await.expect("a connection");
        sender.send_request(request, is_end).expect("sent")
    }

    /// Sends, and waits for the head of the answer.
    pub(crate) async fn head(&self, method: &str, path: &str) -> Response<h2::RecvStream> {
        let (response, _) = self.send(method, path).await;
        let response = tokio::time::timeout(SOON, response).await;
        response.expect("an answer in time").expect("an answer")
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
