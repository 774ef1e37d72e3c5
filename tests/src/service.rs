//! An example that serves HTTP.

use std::{
    net::TcpListener,
    ops::{Deref, DerefMut},
    process::ExitStatus,
};

use crate::{
    program::{Program, SOON},
    wait::until_async,
};

/// A running copy of an example, on a port of its own. It is killed when this is dropped.
#[derive(Debug)]
pub struct Service {
    program: Program,
    port: u16,
}

impl Service {
    /// Starts the example with additions to the environment, and waits until it has its port.
    ///
    /// # Panics
    ///
    /// If it ends instead, or prints no URL with its port.
    pub async fn start(example: &str, env: &[(&str, &str)]) -> Self {
        loop {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
            let port = listener.local_addr().expect("an address").port();
            drop(listener);
            let number = port.to_string();
            let env: Vec<_> = env.iter().copied().chain([("PORT", &*number)]).collect();
            let mut program = Program::start(example, &env);
            // It prints this when it has the port.
            let serves = format!("on http://127.0.0.1:{port}");
            let mut exited = None;
            until_async("it serves", SOON, async || {
                exited = program.exited();
                exited.is_some() || program.log().contains(&serves)
            })
            .await;
            let Some(status) = exited else {
                return Self { program, port };
            };
            let log = program.finish();
            // Another program has taken the port meanwhile.
            assert!(log.contains("cannot listen on"), "{status}: {log}");
        }
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Runs the example where it cannot serve, and returns its status and output.
    ///
    /// # Panics
    ///
    /// If it does not end.
    #[must_use]
    pub fn fails(example: &str, env: &[(&str, &str)]) -> (ExitStatus, String) {
        let mut program = Program::start(example, env);
        let status = program.exit();
        (status, program.finish())
    }
}

impl Deref for Service {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

impl DerefMut for Service {
    fn deref_mut(&mut self) -> &mut Program {
        &mut self.program
    }
}
