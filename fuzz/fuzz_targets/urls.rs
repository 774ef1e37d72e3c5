//! URLs of servers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_fuzz::text;
use redsync_tests::inputs::urls;

const SCHEMES: &[&str] = &[
    "redis://",
    "rediss://",
    "unix://",
    "redis+unix://",
    "valkey://",
];
const PARTS: &[&str] = &[
    "10.0.0.1",
    ":6379",
    "/1",
    "/x",
    "?pass=",
    "db=",
    "&",
    "ä",
    "[::1]",
    "%40",
    "#insecure",
];

fuzz_target!(|input: (&[u8], [&[u8]; 4])| {
    let (scheme, parts) = input;
    let [before, after, host, query] = parts.map(|part| text(part, PARTS));
    urls::check(&text(scheme, SCHEMES), [&before, &after], &host, &query);
});
