//! The example `grpc`, end to end, with a client of tonic.

// As tonic-prost-build writes it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../grpc/generated.rs"]
mod generated;

use std::time::Duration;

use redsync_tests::{Program, Servers, Service, program::SOON, wait::until_async};
use tokio::task::JoinHandle;
use tonic::{Code, Status, transport::Channel};

use self::generated::{ShowRequest, UpdateRequest, devices_client::DevicesClient};

type Answer = Result<u64, Status>;

struct Instance {
    service: Service,
    client: DevicesClient<Channel>,
}

impl Instance {
    async fn start(servers: &Servers, work_ms: u32) -> Self {
        let env = [
            ("REDIS_URLS", &*servers.urls().join(",")),
            ("WORK_MS", &*work_ms.to_string()),
            ("EXPIRY_MS", "1500"),
        ];
        let service = Service::start("grpc", &env).await;
        let client = DevicesClient::connect(service.url("")).await;
        Self {
            service,
            client: client.expect("a connection"),
        }
    }

    /// Updates a device, and returns the fencing token.
    async fn update(&self, device: &str, version: &str) -> Answer {
        let request = UpdateRequest {
            device: device.to_owned(),
            version: version.to_owned(),
        };
        let response = self.client.clone().update(request).await?;
        Ok(response.into_inner().fencing_token)
    }

    /// Begins to update the lamp, and waits until the instance works on it.
    async fn updating(&self) -> JoinHandle<Answer> {
        let mut client = self.client.clone();
        let request = UpdateRequest {
            device: "lamp".to_owned(),
            version: "2".to_owned(),
        };
        let task = tokio::spawn(async move {
            let response = client.update(request).await?;
            Ok(response.into_inner().fencing_token)
        });
        self.service.until_logged(1, &["lamp: installing 2"]).await;
        task
    }

    async fn version(&self, device: &str) -> String {
        let device = device.to_owned();
        let response = self.client.clone().show(ShowRequest { device }).await;
        response.expect("no lock is needed").into_inner().version
    }
}

fn pushback(status: &Status) -> i64 {
    let value = status.metadata().get("grpc-retry-pushback-ms");
    let value = value.and_then(|value| value.to_str().ok()?.parse().ok());
    value.expect("a number of milliseconds")
}

#[tokio::test]
async fn a_second_update_of_a_device_is_aborted_at_every_instance() {
    let servers = Servers::start(3);
    let slow = Instance::start(&servers, 3000).await;
    let fast = Instance::start(&servers, 0).await;
    let first = slow.updating().await;
    for instance in [&slow, &fast] {
        let refused = instance.update("lamp", "3").await.expect_err("locked");
        assert_eq!(refused.code(), Code::Aborted, "{refused}");
        assert!(pushback(&refused) >= 1000, "{refused:?}");
        // A call that only reads needs no lock.
        assert_eq!(instance.version("lamp").await, "");
    }
    fast.update("heater", "1").await.expect("another device");

    let first = first.await.expect("no panic").expect("installed");
    assert_eq!(slow.version("lamp").await, "2");
    let second = fast.update("lamp", "3").await.expect("free again");
    assert!(second > first, "{second} {first}");
}

#[tokio::test]
async fn without_two_of_three_nodes_an_update_is_unavailable() {
    let servers = Servers::start(3);
    let instance = Instance::start(&servers, 0).await;
    servers[0].kill();
    instance.update("lamp", "2").await.expect("a quorum");
    servers[1].kill();
    let refused = instance.update("lamp", "3").await.expect_err("no quorum");
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert_eq!(instance.version("lamp").await, "2");
}

#[tokio::test]
async fn an_update_whose_lock_is_lost_ends_with_an_unknown_outcome() {
    let servers = Servers::start(3);
    let instance = Instance::start(&servers, 600_000).await;
    let update = instance.updating().await;
    servers[0].kill();
    servers[1].kill();
    let lost = update.await.expect("no panic").expect_err("lost");
    assert_eq!(lost.code(), Code::Unknown, "{lost}");
    assert_eq!(pushback(&lost), -1);
    assert_eq!(instance.version("lamp").await, "");
}

#[tokio::test]
async fn the_device_of_a_client_that_gives_up_is_free() {
    let servers = Servers::start(3);
    let slow = Instance::start(&servers, 600_000).await;
    let fast = Instance::start(&servers, 0).await;
    let mut request = tonic::Request::new(UpdateRequest {
        device: "lamp".to_owned(),
        version: "2".to_owned(),
    });
    request.set_timeout(Duration::from_millis(500));
    let late = slow.client.clone().update(request).await;
    late.expect_err("its deadline has passed");
    until_async("it is free", SOON, async || {
        fast.update("lamp", "3").await.is_ok()
    })
    .await;
    assert_eq!(slow.version("lamp").await, "");
}

#[tokio::test]
async fn messages_that_name_no_device_are_refused() {
    let servers = Servers::start(3);
    let instance = Instance::start(&servers, 0).await;
    let refused = instance.update("", "2").await.expect_err("no device");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let long = "1".repeat(5000);
    let refused = instance.update("lamp", &long).await.expect_err("long");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
}

#[tokio::test]
async fn an_update_that_has_begun_is_finished_at_a_shutdown() {
    let servers = Servers::start(3);
    let mut instance = Instance::start(&servers, 1000).await;
    let update = instance.updating().await;
    instance.service.terminate();
    update.await.expect("no panic").expect("installed");
    drop(instance.client);
    let log = instance.service.log();
    assert_eq!(instance.service.exit().code(), Some(0), "{log}");
    assert_eq!(servers.holders("device:lamp"), [None, None, None]);
}

#[tokio::test]
async fn the_program_is_a_client_as_well() {
    let servers = Servers::start(3);
    let instance = Instance::start(&servers, 3000).await;
    let port = instance.service.port().to_string();
    let client = |version| {
        let env = [("PORT", &*port)];
        Program::start_with("grpc", &["lamp", version], &env)
    };
    let mut first = client("2");
    instance
        .service
        .until_logged(1, &["lamp: installing 2"])
        .await;
    let mut second = client("3");
    assert_eq!(second.exit().code(), Some(1));
    let words = second.finish();
    assert!(
        words.contains("Other requests") && words.contains("Try again in"),
        "{words}"
    );
    assert_eq!(first.exit().code(), Some(0));
    let words = first.finish();
    assert!(words.contains("lamp has 2"), "{words}");
}
