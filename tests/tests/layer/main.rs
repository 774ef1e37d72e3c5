//! The layer: through its service where that is the better instrument, and through real sockets
//! and real Redis servers where behaviour depends on them.

mod answers;
mod bounds;
mod clients;
mod endings;
mod exclusion;
mod held;
mod input;
mod keep_alive;
mod keys;
mod limits;
mod loss;
mod methods;
mod passing;
mod readiness;
mod real;
mod retry_after;
mod support;
