//! The example `observability`, end to end: what its alerts and its dashboard ask for is on its endpoint.

mod exposition;
mod queries;
mod traffic;

use redsync_tests::{Servers, Service, http::get};

use self::{
    exposition::Exposition,
    queries::{Selector, alerts, alerts_of_the_docs, panels},
};

async fn start(servers: &Servers) -> Service {
    let env = [
        ("REDIS_URLS", &*servers.urls().join(",")),
        ("WAIT_MS", "100"),
        ("EXPIRY_MS", "1500"),
    ];
    Service::start("observability", &env).await
}

async fn scrape(service: &Service) -> Exposition {
    let answer = get(&service.url("/metrics")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/plain"));
    Exposition::parse(&answer.body)
}

/// Prometheus sees no growth in a counter that appears with its first count.
#[tokio::test]
async fn before_the_first_lock_the_counters_of_locks_are_zero() {
    let servers = Servers::start(3);
    let service = start(&servers).await;
    let figures = scrape(&service).await;
    for name in ["LocksLost", "LocksUnavailable", "LocksMisused"] {
        let alerts = alerts();
        let alert = alerts.iter().find(|alert| alert.name == name);
        for selector in Selector::all(&alert.expect(name).expr) {
            let values: Vec<_> = figures.values(&selector).collect();
            assert!(!values.is_empty(), "{name}: {selector:?}");
            assert!(
                values.iter().all(|value| *value == 0.0),
                "{name}: {values:?}"
            );
        }
    }
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_what_the_endpoint_has_after_contention_a_loss_and_an_outage()
{
    let servers = Servers::start(3);
    let service = start(&servers).await;
    traffic::contention(&service).await;
    traffic::loss(&service, &servers).await;
    traffic::outage(&service, &servers).await;
    let figures = scrape(&service).await;

    let queries = alerts().into_iter().chain(panels());
    let mut seen = 0;
    for query in queries {
        let selectors = Selector::all(&query.expr);
        assert!(!selectors.is_empty(), "{query:?}");
        for selector in selectors {
            let selected = figures.selected(&selector).collect::<Vec<_>>();
            assert!(!selected.is_empty(), "{query:?}: nothing has {selector:?}");
            for label in query.grouping() {
                let have = |sample: &&exposition::Sample| sample.labels.contains_key(label);
                assert!(selected.iter().all(have), "{query:?}: no label {label}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen}");

    let sum = |expr: &str| {
        let selectors = Selector::all(expr);
        let values = selectors
            .iter()
            .flat_map(|selector| figures.values(selector));
        values.sum::<f64>()
    };
    let outcomes = r#"redsync_acquisitions_total{outcome=~"unavailable|too_late"}"#;
    assert_eq!(sum("redsync_lost_total"), 1.0);
    assert_eq!(sum(outcomes), 1.0);
    assert_eq!(
        sum(r#"redsync_tower_requests_total{outcome="timed_out"}"#),
        1.0
    );
    assert_eq!(sum("redsync_tower_holding"), 0.0);
}

#[tokio::test]
async fn histograms_have_the_buckets_that_the_docs_recommend() {
    let servers = Servers::start(3);
    let service = start(&servers).await;
    traffic::contention(&service).await;
    let figures = scrape(&service).await;
    let documented = queries::buckets_of_the_docs();
    let histograms = figures.histograms();
    assert!(histograms.len() >= 5, "{histograms:?}");
    for (name, buckets) in histograms {
        assert_eq!(buckets, documented, "{name}");
    }
}

#[test]
fn the_alerts_are_those_of_the_docs() {
    let in_docs = alerts_of_the_docs();
    assert_eq!(alerts(), in_docs);
    assert!(in_docs.len() >= 5);
}
