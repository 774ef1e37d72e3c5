//! A network between a client and its server that a test can break.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc as blocking,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime,
    sync::{mpsc, oneshot, watch},
};

mod acceptor;
mod relay;
mod settings;
#[cfg(test)]
mod tests;

use acceptor::{Acceptor, Order};
use settings::{Flow, Settings};

/// A TCP proxy for one server on 127.0.0.1, with switches for faults.
///
/// A switch applies to present and future connections. It has taken effect when its method returns:
/// after that, the proxy sends no byte under the old setting. Requests and replies are switched
/// separately, the last switch for a direction wins, and [`pass`](Self::pass) undoes them all.
///
/// The proxy itself keeps or drops the bytes that it reads. So if a client has closed its
/// connection, its requests still arrive once they are let through, and then the end of the
/// connection. A direction that is held or dropped hides the end of the connection as well.
///
/// It runs on a Tokio runtime in a thread of its own, so it neither blocks the test's runtime nor
/// is blocked by it. Dropping it closes everything and ends the thread.
pub struct Proxy {
    port: u16,
    settings: watch::Sender<Settings>,
    accepted: Arc<AtomicUsize>,
    // `None` once dropped, which ends the thread.
    orders: Option<mpsc::UnboundedSender<(Order, blocking::Sender<()>)>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy for `127.0.0.1:upstream_port` on a free port. It passes everything.
    ///
    /// The server need not run yet. If it does not run, a connection is reset, because the proxy
    /// has already accepted it and can no longer refuse it.
    ///
    /// # Panics
    ///
    /// If the system has no free port or thread.
    pub async fn start(upstream_port: u16) -> Self {
        let (settings, watched) = watch::channel(Settings::default());
        let (orders, received) = mpsc::unbounded_channel();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (started, port) = oneshot::channel();

        let counter = Arc::clone(&accepted);
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let acceptor = Acceptor::new(upstream_port, watched, counter);
                let _ = started.send(acceptor.port());
                acceptor.run(received).await;
            });
        });

        Self {
            port: port.await.expect("a started proxy"),
            settings,
            accepted,
            orders: Some(orders),
            thread: Some(thread),
        }
    }

    /// The port on 127.0.0.1 for the clients.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT` for the clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How many connections were accepted so far. A client may see its connection made a little
    /// before it is counted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Undoes all switches: delivers what is held, then passes everything without delay, and
    /// accepts connections. What was dropped stays lost.
    ///
    /// # Panics
    ///
    /// If connections were refused and the port was lost to another process.
    pub fn pass(&self) {
        self.settings.send_replace(Settings::default());
        self.order(Order::Accept);
    }

    /// Keeps what clients send, in order, until it is passed.
    pub fn hold_requests(&self) {
        self.switch(|settings| settings.requests = Flow::Hold);
    }

    /// Keeps what the server sends, in order, until it is passed. Requests arrive.
    pub fn hold_replies(&self) {
        self.switch(|settings| settings.replies = Flow::Hold);
    }

    /// Drops what the server sends, held replies included. Requests arrive.
    ///
    /// After [`pass`](Self::pass), clients would take the replies that come then for answers to
    /// their earlier requests. So [`reset`](Self::reset) before.
    pub fn drop_replies(&self) {
        self.switch(|settings| settings.replies = Flow::Drop);
    }

    /// Drops what either side sends, and what is held. Connections stay open, and new ones are
    /// accepted without being answered. As for [`drop_replies`](Self::drop_replies),
    /// [`reset`](Self::reset) before [`pass`](Self::pass), unless clients have closed their
    /// connections by then.
    pub fn blackhole(&self) {
        self.switch(|settings| {
            settings.requests = Flow::Drop;
            settings.replies = Flow::Drop;
        });
    }

    /// Delivers what clients send from now on twice: each chunk as it is read, which is one or
    /// more entire commands unless these are large.
    ///
    /// The server replies to both and both replies are passed, so the client has one too many.
    /// Combine it with [`drop_replies`](Self::drop_replies), or [`reset`](Self::reset) afterwards.
    pub fn duplicate_requests(&self) {
        self.switch(|settings| settings.requests = Flow::Twice);
    }

    /// Delivers each chunk this long after it was read, in each direction.
    pub fn delay(&self, delay: Duration) {
        self.switch(|settings| settings.delay = delay);
    }

    /// Resets the current connections: clients get an RST. Switches stay as they are, and new
    /// connections are accepted unless they were refused.
    ///
    /// The server sees its connections closed, after all requests that were delivered before. What
    /// is held is lost.
    pub fn reset(&self) {
        self.order(Order::Reset);
    }

    /// Forgets the current connections, as a firewall does that has seen no traffic for a while:
    /// what clients send over them is swallowed, and they see neither an answer nor an end. New
    /// connections work. The server sees the forgotten ones closed, and what is held is lost.
    pub fn forget(&self) {
        self.order(Order::Forget);
    }

    /// Resets the current connections and refuses new ones until [`pass`](Self::pass).
    pub fn refuse(&self) {
        self.order(Order::Refuse);
    }

    fn switch(&self, change: impl FnOnce(&mut Settings)) {
        // This waits for deliveries under way, which borrow the settings.
        self.settings.send_modify(change);
    }

    /// Gives an order, and waits until it has been executed.
    fn order(&self, order: Order) {
        let (done, wait) = blocking::channel();
        let orders = self.orders.as_ref().expect("taken by drop alone");
        orders.send((order, done)).expect("a running proxy");
        wait.recv().expect("a proxy that executes orders");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.orders.take();
        if let Some(thread) = self.thread.take() {
            // If it has panicked, its own thread has reported that.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("port", &self.port)
            .field("settings", &*self.settings.borrow())
            .finish_non_exhaustive()
    }
}
