//! Replies of servers, to every operation of a node.

#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use redsync::{NodeError, node::redis::Reply};
use redsync_tests::inputs::replies::{self, Asked};

#[derive(Arbitrary, Debug)]
enum Shape {
    Nil,
    Status(String),
    Integer(i64),
    Small(i8),
    Bytes(Vec<u8>),
    Mode(bool),
    Foreign,
    OwnValue,
    Array(Vec<Shape>),
}

impl From<Shape> for Reply {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::Nil => Self::Nil,
            Shape::Status(status) => Self::Status(status.into()),
            Shape::Integer(number) => Self::Integer(number),
            Shape::Small(number) => Self::Integer(number.into()),
            Shape::Bytes(bytes) => Self::Bytes(bytes),
            Shape::Mode(true) => Self::Bytes("shared".into()),
            Shape::Mode(false) => Self::Bytes("exclusive".into()),
            Shape::Foreign => Self::Bytes("foreign".into()),
            Shape::OwnValue => Self::Bytes("value".into()),
            Shape::Array(parts) => Self::Array(parts.into_iter().map(Into::into).collect()),
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Answer {
    Reply(Shape),
    Refused(String, String),
    NoScript,
    NoPermission,
    WrongType,
}

impl From<Answer> for Result<Reply, NodeError> {
    fn from(answer: Answer) -> Self {
        Err(match answer {
            Answer::Reply(shape) => return Ok(shape.into()),
            Answer::Refused(code, message) => NodeError::refused(code, &message),
            Answer::NoScript => NodeError::refused("NOSCRIPT", ""),
            Answer::NoPermission => NodeError::refused("NOPERM", ""),
            Answer::WrongType => NodeError::refused("WRONGTYPE", ""),
        })
    }
}

fuzz_target!(|input: ((u8, u8), bool, Vec<Answer>)| {
    let ((operation, kind), both, answers) = input;
    let names = ["a", "b"].map(String::from);
    let names = if both { &names[..] } else { &names[..1] };
    let answers = answers.into_iter().map(Into::into).collect();
    replies::check(Asked { operation, kind }, names, answers);
});
