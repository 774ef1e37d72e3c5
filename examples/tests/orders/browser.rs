//! Chromium, without a window, driven through WebDriver.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

use redsync_tests::wait::until_async;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tempfile::TempDir;

use crate::{service::SOON, webdriver::Session};

/// How the page is looked at.
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
}

pub(crate) const WIDE: Look = Look {
    width: 1180,
    height: 1250,
    dark: false,
};

pub(crate) struct Browser {
    pub(crate) session: Session,
    _driver: Driver,
    _home: TempDir,
}

/// A process of chromedriver and, in its process group, those of Chromium.
struct Driver {
    child: Child,
    port: u16,
    /// `tests/run` kills the group if this test is killed.
    pid_file: Option<PathBuf>,
}

impl Browser {
    /// Starts the browser at a page. [`None`] without chromedriver, unless this is a CI run.
    pub(crate) async fn open(url: &str, look: &Look) -> Option<Self> {
        let home = TempDir::new().expect("a directory");
        let driver = Driver::start(&home)?;
        let mut args: Vec<_> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]
        .map(str::to_owned)
        .into();
        args.push(format!("--user-data-dir={}", home.path().display()));
        if look.dark {
            args.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        // A window cannot be as narrow as a phone.
        let metrics = json!({ "width": look.width, "height": look.height, "pixelRatio": 1.0 });
        let options = json!({ "args": args, "mobileEmulation": { "deviceMetrics": metrics } });
        let capabilities = json!({ "goog:chromeOptions": options });
        let session = Session::new(driver.port, capabilities).await;
        session.go_to(url).await;
        Some(Self {
            session,
            _driver: driver,
            _home: home,
        })
    }

    pub(crate) async fn close(self) {
        self.session.close().await;
    }

    /// The texts of all elements with this selector.
    pub(crate) async fn texts(&self, selector: &str) -> Vec<String> {
        let script = format!(
            "return Array.from(document.querySelectorAll('{selector}'), (it) => it.textContent)"
        );
        serde_json::from_value(self.session.run(&script).await).expect("texts")
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        self.texts(selector).await.concat()
    }

    pub(crate) async fn until_text(&self, selector: &str, words: &str) {
        let contains = async || self.text(selector).await.contains(words);
        until_async(&format!("{words:?} in {selector}"), SOON, contains).await;
    }

    /// Writes a screenshot into the folder that cargo has for files of tests.
    pub(crate) async fn screenshot(&self, name: &str) {
        let picture = self.session.screenshot().await;
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, &picture).expect("a file");
        println!("a screenshot: {}", path.display());
        assert!(picture.starts_with(b"\x89PNG"), "{}", path.display());
        assert!(picture.len() > 10_000, "{} shows nothing", path.display());
    }
}

impl Driver {
    fn start(home: &TempDir) -> Option<Self> {
        let child = Command::new(env::var_os("CHROMEDRIVER").unwrap_or("chromedriver".into()))
            .arg("--port=0")
            // All that they leave is in one place.
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let mut driver = match child {
            Ok(child) => Self {
                child,
                port: 0,
                pid_file: None,
            },
            Err(error) => {
                let words = "chromedriver cannot be run, so the page of `orders` is NOT TESTED in a \
                             browser; tests/run installs it";
                assert!(env::var_os("CI").is_none(), "{words}: {error}");
                // Not `eprintln`, which a test that passes does not show.
                let _ = writeln!(io::stderr(), "\nwarning: {words}: {error}\n");
                return None;
            }
        };
        if let Some(directory) = env::var_os("REDSYNC_TEST_PIDS") {
            let file = PathBuf::from(directory).join(format!("{}.group", driver.child.id()));
            std::fs::write(&file, "").expect("a file");
            driver.pid_file = Some(file);
        }
        let mut lines = BufReader::new(driver.child.stdout.take().expect("a pipe")).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let port = line.split("successfully on port ").nth(1)?;
            port.trim_end_matches('.').parse().ok()
        });
        driver.port = port.expect("chromedriver says on which port it listens");
        // It must not block on a full pipe.
        thread::spawn(move || lines.for_each(drop));
        Some(driver)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // If the session was closed, chromedriver is alone.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let reaped = self.child.wait().is_ok();
        if let (true, Some(file)) = (reaped, &self.pid_file) {
            let _ = std::fs::remove_file(file);
        }
    }
}
