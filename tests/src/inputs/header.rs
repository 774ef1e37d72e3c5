//! Headers that contain a key, such as `Idempotency-Key`.

use std::fmt::Debug;

use futures_util::FutureExt;
use http::{HeaderValue, Request};
use redsync_tower::key::{self, Key, KeyError};

/// Checks that a request with these values of the header has the name that the value says, if there
/// is exactly one and all of it is visible, and else none.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check(values: &[impl AsRef<[u8]> + Debug]) {
    let mut request = Request::new(());
    for value in values {
        // Servers refuse anything else themselves.
        let Ok(value) = HeaderValue::from_bytes(value.as_ref()) else {
            return;
        };
        request.headers_mut().append("idempotency-key", value);
    }
    let key = key::header("Idempotency-Key").key(request).now_or_never();
    let (_, key) = key.expect("the key of a header is there at once");
    let name = match values {
        [value] => str::from_utf8(value.as_ref()).ok(),
        _ => None,
    };
    let name = name.filter(|name| !name.is_empty() && name.bytes().all(|it| it.is_ascii_graphic()));
    match (key, name) {
        (Ok(Some(key)), Some(name)) => {
            let names: Vec<_> = key.names().map(str::to_owned).collect();
            assert_eq!(names, [format!("idempotency-key:{name}")]);
        }
        (Err(KeyError::BadRequest(_)), None) => {}
        (key, _) => panic!("{values:?} made {key:?}"),
    }
}
