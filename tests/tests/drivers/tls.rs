//! TLS, with a self-signed certificate.

use std::{fs, process::Command};

use redis::{AsyncConnectionConfig, Client, TlsCertificates};
use redsync::{
    NodeError,
    node::{
        Node, contract,
        redis::{Deadpool, Multiplexed, RedisNode},
    },
};
use redsync_tests::RedisServer;
use tempfile::TempDir;

use crate::{binary, deadpool, entry, free_port};

/// A server that speaks TLS on a port of its own.
struct TlsServer {
    port: u16,
    certificate: String,
    _server: RedisServer,
    _home: TempDir,
}

impl TlsServer {
    /// [`None`] if this `redis-server` is built without TLS.
    fn start() -> Option<Self> {
        if !has_tls() {
            println!("skipped: a redis-server without TLS");
            return None;
        }
        let names = ["127.0.0.1".to_owned()];
        let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let home = tempfile::tempdir().expect("a directory");
        let file = |name: &str, content: String| {
            let path = home.path().join(name);
            fs::write(&path, content).expect("a file");
            path.to_str().expect("a path").to_owned()
        };
        let certificate = own.cert.pem();
        let certificate_file = file("cert.pem", certificate.clone());
        let key_file = file("key.pem", own.signing_key.serialize_pem());
        let port = free_port();
        let server = RedisServer::start_with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate_file,
            "--tls-key-file",
            &key_file,
            "--tls-ca-cert-file",
            &certificate_file,
            "--tls-auth-clients",
            "no",
        ]);
        Some(Self {
            port,
            certificate,
            _server: server,
            _home: home,
        })
    }

    fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }

    fn client(&self) -> Client {
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: Some(self.certificate.clone().into_bytes()),
        };
        Client::build_with_tls(self.url(), certificates).expect("a client")
    }
}

/// Whether this `redis-server` has TLS: then it only misses a certificate.
fn has_tls() -> bool {
    let port = free_port().to_string();
    let output = Command::new(binary())
        .args(["--port", "0", "--tls-port", &port])
        .output()
        .expect("a redis-server");
    String::from_utf8_lossy(&output.stdout).contains("Failed to configure TLS")
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused() {
    let Some(server) = TlsServer::start() else {
        return;
    };
    let node = deadpool(&server.url());
    let error = node
        .acquire(&entry("a", "value"))
        .await
        .expect_err("an error");
    assert!(matches!(error, NodeError::Unreachable(_)), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_is_trusted_is_accepted() {
    let Some(server) = TlsServer::start() else {
        return;
    };
    // This chooses a provider of cryptography for the process.
    let _ = deadpool(&server.url());
    let info = server.client().get_connection_info().clone();
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let manager = deadpool_redis::Manager::new_with_config(info, config.clone());
    let manager = manager.expect("a manager");
    let pool = deadpool_redis::Pool::builder(manager)
        .build()
        .expect("a pool");
    contract::check(&RedisNode::new(Deadpool::new("tls", pool))).await;

    let client = server.client();
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    let connection = connection.await.expect("a connection");
    contract::driver(&Multiplexed::new("tls", connection)).await;
}
