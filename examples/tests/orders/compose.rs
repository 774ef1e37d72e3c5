//! The files for Docker Compose agree with each other and with the program. No container is started.

use std::{fs, path::Path};

use yaml_rust2::{Yaml, YamlLoader};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/orders");

const COPIES: [&str; 2] = ["orders-1", "orders-2"];
const NODES: [&str; 3] = ["redis-1", "redis-2", "redis-3"];

fn read(name: &str) -> String {
    let path = Path::new(FOLDER).join(name);
    fs::read_to_string(path).expect(name)
}

fn compose() -> Yaml {
    let text = read("docker-compose.yml");
    YamlLoader::load_from_str(&text).expect("YAML").remove(0)
}

/// A value in a mapping, or in the mapping that is merged into it.
#[track_caller]
fn get<'a>(mapping: &'a Yaml, key: &str) -> &'a Yaml {
    match &mapping[key] {
        Yaml::BadValue => &mapping["<<"][key],
        value => value,
    }
}

#[track_caller]
fn text<'a>(mapping: &'a Yaml, key: &str) -> &'a str {
    get(mapping, key).as_str().expect(key)
}

#[test]
fn each_redis_keeps_its_keys_and_stays_away_for_an_expiry_after_a_crash() {
    let compose = compose();
    for node in NODES {
        let redis = &compose["services"][node];
        assert!(text(redis, "image").starts_with("redis:"));
        let command = get(redis, "command")[2].as_str().expect("a command");
        for setting in [
            "--appendonly yes",
            "--appendfsync always",
            "--maxmemory-policy noeviction",
            // The expiry is 8 s.
            "sleep 10",
        ] {
            assert!(command.contains(setting), "{setting} in {command}");
        }
        assert_eq!(text(redis, "restart"), "unless-stopped");
        assert!(text(get(redis, "healthcheck"), "test").contains("redis-cli ping"));
    }
}

#[test]
fn both_copies_have_the_same_nodes_and_database_and_the_proxy_knows_both() {
    let compose = compose();
    let settings = |copy: &str| get(&compose["services"][copy], "environment").clone();
    for copy in COPIES {
        let settings = settings(copy);
        assert_eq!(text(&settings, "INSTANCE"), copy);
        let urls = NODES.map(|node| format!("redis://{node}")).join(",");
        assert_eq!(text(&settings, "REDIS_URLS"), urls);
        let (volume, folder) = get(&compose["services"][copy], "volumes")[0]
            .as_str()
            .and_then(|volume| volume.split_once(':'))
            .expect("a volume");
        assert!(!compose["volumes"][volume].is_badvalue(), "{volume}");
        assert!(Path::new(text(&settings, "DATABASE")).starts_with(folder));
        assert!(read("Dockerfile").contains(&format!("--owner orders {folder}")));
    }

    let proxy = &compose["services"]["proxy"];
    let caddyfile = read("Caddyfile");
    let upstreams = COPIES.map(|copy| format!("{copy}:3000")).join(" ");
    assert!(caddyfile.contains(&format!("reverse_proxy {upstreams} ")));
    let peers = text(&settings(COPIES[0]), "PEERS").to_owned();
    let port = peers.strip_prefix("http://proxy:").expect("the proxy");
    assert!(caddyfile.contains(&format!("\n:{port} {{")));
    let published = get(proxy, "ports")[0].as_str().expect("a port");
    assert_eq!(published, format!("127.0.0.1:{port}:{port}"));
    let mounted = get(proxy, "volumes")[0].as_str().expect("a file");
    assert!(mounted.starts_with("./Caddyfile:"), "{mounted}");
}

#[test]
fn the_settings_are_those_of_the_program() {
    let documented = read("main.rs");
    let compose = compose();
    let copy = &compose["services"][COPIES[0]];
    let settings = get(copy, "environment").as_hash().expect("settings");
    for name in settings.keys() {
        let name = name.as_str().expect("a name");
        assert!(documented.contains(&format!("`{name}`")), "{name}");
    }
    let build = get(copy, "build");
    let root = Path::new(FOLDER).join(text(build, "context"));
    assert!(root.join("Cargo.lock").exists());
    assert!(root.join(text(build, "dockerfile")).exists());
}
