//! The parts of guards.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_fuzz::text;
use redsync_tests::inputs::parts;

const WORDS: &[&str] = &[
    "[\"a\"]",
    "\"b\"",
    "\"Exclusive\"",
    "\"Shared\"",
    "null",
    "{\"secs\":1,\"nanos\":0}",
    "4611686018427387904",
    "18446744073709551615",
    "ä",
    "\\u0000",
];

/// The value of a field: by default, one that fits.
fn field(bytes: &[u8], default: &str) -> String {
    match bytes {
        [] => default.to_owned(),
        bytes => text(bytes, WORDS),
    }
}

fuzz_target!(
    |input: (u8, Option<u64>, Option<&[u8]>, [&[u8]; 5], &[u8])| {
        let (millis, token, value, fields, rest) = input;
        let [names, owner, mode, number, remaining] = fields;
        parts::check(&format!(
            r#"{{"names":{},"value":{},"mode":{},"fencing_token":{},"remaining":{}}}{}"#,
            field(names, r#"["a"]"#),
            field(owner, r#""b""#),
            field(mode, r#""Exclusive""#),
            field(number, "null"),
            field(remaining, r#"{"secs":1,"nanos":0}"#),
            text(rest, WORDS),
        ));
        let value = value.map(|value| text(value, WORDS));
        parts::check_changed(value.as_deref(), token, u32::from(millis) % 3);
    }
);
