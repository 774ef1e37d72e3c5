//! The part of a proxy that has the listener and all connections.

use std::{
    net::TcpListener as StdListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc as blocking,
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    relay::{self, Breaks},
    settings::Settings,
};
use crate::{ports, wait};

/// A change that takes more than a new setting.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Accept,
    Reset,
    Forget,
    Refuse,
}

pub(super) struct Acceptor {
    port: u16,
    upstream_port: u16,
    settings: watch::Receiver<Settings>,
    accepted: Arc<AtomicUsize>,
    /// `None` while connections are refused.
    listener: Option<Listener>,
    connections: JoinSet<()>,
    resets: watch::Sender<()>,
    forgets: watch::Sender<()>,
}

/// The same listener twice: to wait for connections, and to take all waiting ones at once.
struct Listener {
    tokio: TcpListener,
    std: StdListener,
}

impl Listener {
    fn new(std: StdListener) -> Self {
        std.set_nonblocking(true).expect("a nonblocking listener");
        let clone = std.try_clone().expect("duplicate a listener");
        Self {
            tokio: TcpListener::from_std(clone).expect("a listener for Tokio"),
            std,
        }
    }
}

impl Acceptor {
    pub(super) fn new(
        upstream_port: u16,
        settings: watch::Receiver<Settings>,
        accepted: Arc<AtomicUsize>,
    ) -> Self {
        let listener = ports::listen();
        Self {
            port: ports::port_of(&listener),
            upstream_port,
            settings,
            accepted,
            listener: Some(Listener::new(listener)),
            connections: JoinSet::new(),
            resets: watch::Sender::new(()),
            forgets: watch::Sender::new(()),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Runs until the proxy is dropped, which gives the orders.
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<(Order, blocking::Sender<()>)>,
    ) {
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((order, done)) = order else { return };
                    self.follow(order).await;
                    let _ = done.send(());
                }
                client = accept(self.listener.as_ref()) => self.serve(client),
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn follow(&mut self, order: Order) {
        match order {
            Order::Accept => {
                if self.listener.is_none() {
                    self.listener = Some(self.listen_again().await);
                }
            }
            Order::Reset => self.reset().await,
            Order::Forget => self.forget().await,
            Order::Refuse => {
                self.reset().await;
                self.listener = None;
            }
        }
    }

    async fn reset(&mut self) {
        // To clients, connections that wait to be accepted are like any others.
        while let Some(client) = self.waiting() {
            self.serve(client);
        }
        self.resets.send_replace(());
        while self.connections.join_next().await.is_some() {}
    }

    async fn forget(&mut self) {
        while let Some(client) = self.waiting() {
            self.serve(client);
        }
        self.forgets.send_replace(());
        // Each connection drops its receiver when it has been forgotten.
        self.forgets.closed().await;
    }

    fn waiting(&self) -> Option<TcpStream> {
        let (client, _) = self.listener.as_ref()?.std.accept().ok()?;
        client.set_nonblocking(true).ok()?;
        TcpStream::from_std(client).ok()
    }

    fn serve(&mut self, client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        let settings = self.settings.clone();
        let breaks = Breaks {
            resets: self.resets.subscribe(),
            forgets: self.forgets.subscribe(),
        };
        self.connections
            .spawn(relay::serve(client, self.upstream_port, settings, breaks));
    }

    async fn listen_again(&self) -> Listener {
        let mut listener = None;
        wait::until_async("the proxy's port", Duration::from_secs(10), async || {
            listener = ports::listen_on(self.port).ok();
            listener.is_some()
        })
        .await;
        Listener::new(listener.expect("waited for it"))
    }
}

async fn accept(listener: Option<&Listener>) -> TcpStream {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        // The client may have gone already.
        if let Ok((client, _)) = listener.tokio.accept().await {
            return client;
        }
    }
}
