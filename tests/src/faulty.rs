//! A node behind a network with faults that a test plans.

use std::{
    collections::VecDeque,
    fmt,
    future::pending,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use redsync::{
    FencingToken, NodeError,
    node::{
        AcquireVote, Entry, ExtendVote, Holder, Holders, MemoryNode, Node, RaiseVote, ReleaseVote,
    },
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, sleep},
};

/// An operation that a node can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`Node::acquire`].
    Acquire,
    /// [`Node::raise`].
    Raise,
    /// [`Node::extend`].
    Extend,
    /// [`Node::release`].
    Release,
    /// [`Node::inspect`].
    Inspect,
    /// [`Node::identity`].
    Identity,
}

/// What happens to one request and its reply. By default both arrive at once.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    request: Way,
    reply: Way,
    error: Option<NodeError>,
}

/// What happens to a message on its way.
#[derive(Clone, Debug, Default)]
enum Way {
    #[default]
    Arrives,
    Late(Duration),
    Held(Gate),
    /// It is lost without a sign.
    Lost,
    /// It is lost with its connection, and the caller sees that.
    Broken,
}

impl Fault {
    /// No fault.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The request reaches the node after a while.
    #[must_use]
    pub fn late_request(delay: Duration) -> Self {
        Self::default().and_late_request(delay)
    }

    /// The node carries the request out at once, and its reply takes a while.
    #[must_use]
    pub fn late_reply(delay: Duration) -> Self {
        Self::default().and_late_reply(delay)
    }

    /// The same, and the request reaches the node after a while.
    #[must_use]
    pub fn and_late_request(self, delay: Duration) -> Self {
        let request = Way::Late(delay);
        Self { request, ..self }
    }

    /// The same, and the reply takes a while.
    #[must_use]
    pub fn and_late_reply(self, delay: Duration) -> Self {
        let reply = Way::Late(delay);
        Self { reply, ..self }
    }

    /// The request reaches the node when the gate is opened.
    #[must_use]
    pub fn held_request(gate: &Gate) -> Self {
        let request = Way::Held(gate.clone());
        Self {
            request,
            ..Self::default()
        }
    }

    /// The node carries the request out, and its reply arrives when the gate is opened.
    #[must_use]
    pub fn held_reply(gate: &Gate) -> Self {
        let reply = Way::Held(gate.clone());
        Self {
            reply,
            ..Self::default()
        }
    }

    /// The request is lost, and there is never an answer.
    #[must_use]
    pub fn lost_request() -> Self {
        let request = Way::Lost;
        Self {
            request,
            ..Self::default()
        }
    }

    /// The node carries the request out, and there is never an answer.
    #[must_use]
    pub fn lost_reply() -> Self {
        let reply = Way::Lost;
        Self {
            reply,
            ..Self::default()
        }
    }

    /// The connection breaks before the request has arrived: [`NodeError::Disconnected`].
    #[must_use]
    pub fn broken_request() -> Self {
        let request = Way::Broken;
        Self {
            request,
            ..Self::default()
        }
    }

    /// The node carries the request out, and the connection breaks before its reply has arrived:
    /// [`NodeError::Disconnected`].
    #[must_use]
    pub fn broken_reply() -> Self {
        let reply = Way::Broken;
        Self {
            reply,
            ..Self::default()
        }
    }

    /// The request does not reach the node, and the answer is this error.
    #[must_use]
    pub fn error(error: NodeError) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }

    /// The server is down: [`NodeError::Unreachable`].
    #[must_use]
    pub fn unreachable() -> Self {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        Self::error(NodeError::Unreachable(Arc::new(refused)))
    }
}

/// A gate that holds messages back until it is opened.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets the messages pass that it holds back, and all later ones.
    pub fn open(&self) {
        self.0.close();
    }

    async fn passed(&self) {
        // There is never a permit. Closing the semaphore wakes the waiting messages in their order,
        // so that a test with a seed can be replayed.
        let _ = self.0.acquire().await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// A request that has reached the node behind the faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it arrived.
    pub at: Instant,
    /// The operation.
    pub operation: Operation,
    /// Its names, separated by `, `.
    pub key: String,
    /// Its owner value, if such a request has one.
    pub value: Option<String>,
}

type Plan = Box<dyn FnMut(Operation) -> Fault + Send>;

/// A node behind a network with faults, on tokio's clock.
///
/// As on a real network, a request that was sent reaches the node even if the caller no longer
/// waits for it: a task of its own carries it. Requests with different delays overtake each other.
pub struct FaultyNode<N = MemoryNode>(Arc<Shared<N>>);

struct Shared<N> {
    inner: N,
    state: Mutex<State>,
}

struct State {
    identity: Option<String>,
    once: VecDeque<(Operation, Fault)>,
    plan: Plan,
    arrivals: Vec<Arrival>,
    sent: Vec<(Instant, Operation)>,
}

impl FaultyNode {
    /// An empty [`MemoryNode`] without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::around(MemoryNode::new())
    }
}

impl Default for FaultyNode {
    fn default() -> Self {
        Self::new()
    }
}

impl<N: Node> FaultyNode<N> {
    /// A node around another one, without faults so far.
    pub fn around(inner: N) -> Self {
        let state = State {
            identity: None,
            once: VecDeque::new(),
            plan: Box::new(|_| Fault::none()),
            arrivals: Vec::new(),
            sent: Vec::new(),
        };
        Self(Arc::new(Shared {
            inner,
            state: Mutex::new(state),
        }))
    }

    /// The node behind the faults.
    #[must_use]
    pub fn inner(&self) -> &N {
        &self.0.inner
    }

    /// Plans a fault for the next request of this operation that has none planned.
    pub fn once(&self, operation: Operation, fault: Fault) {
        self.0.state().once.push_back((operation, fault));
    }

    /// Applies a fault to all requests from now on.
    pub fn always(&self, fault: Fault) {
        self.plan(move |_| fault.clone());
    }

    /// Applies a fault to all requests of this operation from now on, and none to others.
    pub fn always_on(&self, operation: Operation, fault: Fault) {
        self.plan(move |asked| {
            if asked == operation {
                fault.clone()
            } else {
                Fault::none()
            }
        });
    }

    /// Asks a function for the fault of each request from now on.
    pub fn plan(&self, plan: impl FnMut(Operation) -> Fault + Send + 'static) {
        self.0.state().plan = Box::new(plan);
    }

    /// Sets the answer to [`Node::identity`]. By default there is none.
    pub fn identify_as(&self, identity: &str) {
        self.0.state().identity = Some(identity.to_owned());
    }

    /// The requests that have reached the node so far, in their order, except those for its
    /// identity.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.0.state().arrivals.clone()
    }

    /// The operations that have reached the node so far.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        let state = self.0.state();
        state.arrivals.iter().map(|a| a.operation).collect()
    }

    /// When requests of this operation were sent, whether or not they arrived.
    #[must_use]
    pub fn sent(&self, operation: Operation) -> Vec<Instant> {
        let state = self.0.state();
        let sent = state.sent.iter().filter(|(_, asked)| *asked == operation);
        sent.map(|(at, _)| *at).collect()
    }

    /// The holder of a key on the node behind the faults, asked without faults: the first one, if
    /// the key is shared.
    ///
    /// # Panics
    ///
    /// If that node fails.
    pub async fn holder(&self, key: &str) -> Option<Holder> {
        let holders = self.inner().inspect(key).await;
        let holders = holders.expect("a node that answers")?.holders;
        holders.into_iter().next()
    }

    async fn send<T: Send + 'static>(
        &self,
        operation: Operation,
        key: String,
        value: Option<String>,
        ask: impl FnOnce(Arc<Shared<N>>) -> BoxFuture<'static, Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let fault = self.0.fault_of(operation);
        if let Some(error) = fault.error {
            tokio::task::yield_now().await;
            return Err(error);
        }
        let shared = Arc::clone(&self.0);
        let request = ask(Arc::clone(&self.0));
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            let result = match fault.request.pass().await {
                Passage::Arrives => {
                    if operation != Operation::Identity {
                        let at = Instant::now();
                        shared.state().arrivals.push(Arrival {
                            at,
                            operation,
                            key,
                            value,
                        });
                    }
                    let result = request.await;
                    match fault.reply.pass().await {
                        Passage::Arrives => result,
                        Passage::Breaks => Err(broken()),
                        Passage::Never => return,
                    }
                }
                Passage::Breaks => Err(broken()),
                Passage::Never => return,
            };
            // The caller may no longer wait.
            let _ = answer.send(result);
        });
        match answered.await {
            Ok(result) => result,
            Err(_) => pending().await,
        }
    }

    async fn send_entry<T: Send + 'static>(
        &self,
        operation: Operation,
        entry: &Entry,
        ask: impl FnOnce(Arc<Shared<N>>, Entry) -> BoxFuture<'static, Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let (key, value) = (entry.names.join(", "), entry.value.as_str().to_owned());
        let entry = entry.clone();
        let ask = move |shared| ask(shared, entry);
        self.send(operation, key, Some(value), ask).await
    }
}

impl<N> Shared<N> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault_of(&self, operation: Operation) -> Fault {
        let mut state = self.state();
        state.sent.push((Instant::now(), operation));
        let next = state.once.iter().position(|(of, _)| *of == operation);
        match next.and_then(|next| state.once.remove(next)) {
            Some((_, fault)) => fault,
            None => (state.plan)(operation),
        }
    }
}

enum Passage {
    Arrives,
    Breaks,
    Never,
}

impl Way {
    async fn pass(&self) -> Passage {
        match self {
            Self::Arrives => {}
            Self::Late(delay) => sleep(*delay).await,
            Self::Held(gate) => gate.passed().await,
            Self::Lost => return Passage::Never,
            Self::Broken => return Passage::Breaks,
        }
        Passage::Arrives
    }
}

fn broken() -> NodeError {
    NodeError::Disconnected(Arc::new(io::Error::from(io::ErrorKind::ConnectionReset)))
}

impl<N: Node> Node for FaultyNode<N> {
    fn address(&self) -> &str {
        self.0.inner.address()
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        self.send_entry(Operation::Acquire, entry, |shared, entry| {
            async move { shared.inner.acquire(&entry).await }.boxed()
        })
        .await
    }

    async fn raise(&self, entry: &Entry, token: FencingToken) -> Result<RaiseVote, NodeError> {
        self.send_entry(Operation::Raise, entry, move |shared, entry| {
            async move { shared.inner.raise(&entry, token).await }.boxed()
        })
        .await
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        self.send_entry(Operation::Extend, entry, move |shared, entry| {
            async move { shared.inner.extend(&entry, token, set_if_absent).await }.boxed()
        })
        .await
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        self.send_entry(Operation::Release, entry, |shared, entry| {
            async move { shared.inner.release(&entry).await }.boxed()
        })
        .await
    }

    async fn release_after(&self, entry: &Entry, time: Duration) -> Result<ReleaseVote, NodeError> {
        self.send_entry(Operation::Release, entry, move |shared, entry| {
            async move { shared.inner.release_after(&entry, time).await }.boxed()
        })
        .await
    }

    async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
        let (key, asked) = (name.to_owned(), name.to_owned());
        let ask =
            move |shared: Arc<Shared<N>>| async move { shared.inner.inspect(&asked).await }.boxed();
        self.send(Operation::Inspect, key, None, ask).await
    }

    async fn identity(&self) -> Result<Option<String>, NodeError> {
        let Some(identity) = self.0.state().identity.clone() else {
            return Ok(None);
        };
        let ask = move |_| async move { Ok(Some(identity)) }.boxed();
        self.send(Operation::Identity, String::new(), None, ask)
            .await
    }
}

impl<N> Clone for FaultyNode<N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<N: Node> fmt::Debug for FaultyNode<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FaultyNode").field(&self.address()).finish()
    }
}
