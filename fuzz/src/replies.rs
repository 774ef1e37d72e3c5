//! Replies of servers, of every shape.

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use redsync::{NodeError, node::redis::Reply};

/// The shape of a reply. Those that a decoder knows are more likely.
#[derive(Arbitrary, Debug)]
pub enum Shape<'a> {
    Nil,
    Status(&'a str),
    Integer(i64),
    Small(i8),
    Bytes(&'a [u8]),
    Mode(bool),
    Foreign,
    OwnValue,
    Granted,
    Token(u8),
    Info(&'a str),
    Array(Vec<Self>),
}

/// The answer of a server to a command.
#[derive(Arbitrary, Debug)]
pub enum Answer<'a> {
    Reply(Shape<'a>),
    Refused(&'a str, &'a str),
    NoScript,
    NoPermission,
    WrongType,
    Disconnected,
}

impl From<Shape<'_>> for Reply {
    fn from(shape: Shape<'_>) -> Self {
        let bytes = |bytes: &str| Self::Bytes(bytes.into());
        match shape {
            Shape::Nil => Self::Nil,
            Shape::Status(status) => Self::Status(status.to_owned().into()),
            Shape::Integer(number) => Self::Integer(number),
            Shape::Small(number) => Self::Integer(number.into()),
            Shape::Bytes(bytes) => Self::Bytes(bytes.into()),
            Shape::Mode(true) => bytes("shared"),
            Shape::Mode(false) => bytes("exclusive"),
            Shape::Foreign => bytes("foreign"),
            Shape::OwnValue => bytes("value"),
            Shape::Info(id) => bytes(&format!("# Server\r\nrun_id:{id}\r\n")),
            Shape::Granted => Self::Status("OK".into()),
            Shape::Token(number) => {
                Self::Array(vec![Self::Integer(1), bytes(&(number % 4).to_string())])
            }
            Shape::Array(parts) => Self::Array(parts.into_iter().map(Into::into).collect()),
        }
    }
}

impl From<Answer<'_>> for Result<Reply, NodeError> {
    fn from(answer: Answer<'_>) -> Self {
        Err(match answer {
            Answer::Reply(shape) => return Ok(shape.into()),
            Answer::Refused(code, message) => NodeError::refused(code, message),
            Answer::NoScript => NodeError::refused("NOSCRIPT", ""),
            Answer::NoPermission => NodeError::refused("NOPERM", ""),
            Answer::WrongType => NodeError::refused("WRONGTYPE", ""),
            Answer::Disconnected => {
                NodeError::Disconnected(std::sync::Arc::new(std::io::Error::other("planned")))
            }
        })
    }
}
