//! The connection over which the tests themselves talk to a server.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{
    Client, Cmd, Connection, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisResult,
    Value,
};

/// A separate connection, made when it is first needed.
pub(super) struct Control {
    password: Option<String>,
    limit: Duration,
    connection: Mutex<Option<Connection>>,
}

impl Control {
    /// `limit` is how long to wait for a reply.
    pub(super) fn new(password: Option<String>, limit: Duration) -> Self {
        Self {
            password,
            limit,
            connection: Mutex::new(None),
        }
    }

    /// Forgets the connection, because its server has ended.
    pub(super) fn disconnect(&self) {
        *self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn run(&self, port: u16, words: &[&str]) -> RedisResult<Value> {
        let mut command = Cmd::new();
        for word in words {
            command.arg(word);
        }

        let mut kept = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(mut connection) = kept.take() {
            match command.query(&mut connection) {
                // The test may have closed it with CLIENT KILL.
                Err(error) if error.is_connection_dropped() => {}
                Err(error) if error.is_io_error() => return Err(error),
                result => {
                    *kept = Some(connection);
                    return result;
                }
            }
        }

        let mut connection = self.connect(port)?;
        let result = command.query(&mut connection);
        if !result.as_ref().is_err_and(redis::RedisError::is_io_error) {
            *kept = Some(connection);
        }
        result
    }

    fn connect(&self, port: u16) -> RedisResult<Connection> {
        let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let info = ConnectionAddr::Tcp("127.0.0.1".to_owned(), port)
            .into_connection_info()?
            .set_redis_settings(settings);

        let connection = Client::open(info)?.get_connection_with_timeout(self.limit)?;
        connection.set_read_timeout(Some(self.limit))?;
        connection.set_write_timeout(Some(self.limit))?;
        Ok(connection)
    }
}
