//! Keys from axum extractors: with the application's state, and with rejections of their own.

use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    extract::{FromRef, FromRequestParts, Path, State},
    response::IntoResponse,
    routing,
};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode, header, request::Parts};
use redsync_tower::{
    HeldLock, LockRejection, LockRejectionReason as Reason, RedlockLayer,
    key::{self, KeyError},
};
use tower::ServiceExt;

use crate::support::{World, fetch, post, request, serve};

/// The application's state, a part of which knows whose session is whose.
#[derive(Clone)]
struct App {
    sessions: Sessions,
}

impl FromRef<App> for Sessions {
    fn from_ref(app: &App) -> Self {
        app.sessions.clone()
    }
}

#[derive(Clone)]
struct Sessions(&'static [(&'static str, u64)]);

/// The user of the session in the path.
struct User(u64);

impl<S: Send + Sync> FromRequestParts<S> for User
where
    Sessions: FromRef<S>,
{
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let State(sessions) = State::<Sessions>::from_request_parts(parts, state)
            .await
            .unwrap_or_else(|never| match never {});
        let Path(session) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(IntoResponse::into_response)?;
        let user = sessions.0.iter().find(|(other, _)| *other == session);
        let (_, user) = user.ok_or_else(unauthorized)?;
        Ok(Self(*user))
    }
}

/// A response with all that a response can have, and a body that is a stream.
fn unauthorized() -> Response<Body> {
    let frames =
        [b"who ", b"are ", b"you?"].map(|frame| Ok::<_, Infallible>(Bytes::from_static(frame)));
    Response::builder()
        .status(StatusCode::UNAUTHORIZED)
        .header(header::WWW_AUTHENTICATE, "Bearer")
        .header(header::LOCATION, "/login")
        .header(header::SET_COOKIE, "session=; Max-Age=0")
        .header(header::SET_COOKIE, "cart=; Max-Age=0")
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Body::from_stream(stream::iter(frames)))
        .unwrap()
}

async fn name(lock: HeldLock) -> String {
    lock.name().to_owned()
}

fn app(world: &World) -> Router {
    let app = App {
        sessions: Sessions(&[("a1", 1), ("a2", 1), ("b1", 2)]),
    };
    let key = key::from_extractor_with_state(app.clone(), |User(id): User| format!("user:{id}"));
    let lock = RedlockLayer::new(world.redsync.clone(), key);
    Router::new()
        .route("/{session}", routing::post(name).route_layer(lock))
        .with_state(app)
}

#[tokio::test]
async fn an_extractor_reads_the_state_and_the_sessions_of_a_user_have_one_lock() {
    let world = World::new();
    let address = serve(app(&world)).await;
    assert_eq!(post(address, "/a1").await, (200, "user:1".into()));
    let held = world.lock("user:1").await;
    for (path, status) in [("/a1", 409), ("/a2", 409), ("/b1", 200)] {
        assert_eq!(post(address, path).await.0, status, "{path}");
    }
    held.release().await.unwrap();
    world.ends_empty().await;
}

#[track_caller]
fn assert_whole(response: &Response<Bytes>) {
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let headers = response.headers();
    assert_eq!(headers[header::WWW_AUTHENTICATE], "Bearer");
    assert_eq!(headers[header::LOCATION], "/login");
    assert_eq!(headers[header::CONTENT_TYPE], "text/plain");
    let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
    assert_eq!(cookies, ["session=; Max-Age=0", "cart=; Max-Age=0"]);
    assert!(!headers.contains_key(header::RETRY_AFTER));
    assert_eq!(response.body(), "who are you?");
}

#[tokio::test]
async fn an_extractors_rejection_reaches_the_client_whole() {
    let world = World::new();
    let address = serve(app(&world)).await;
    assert_whole(&fetch(address, request("POST", "/nobody")).await);
    let key = key::from_extractor(|Path(_): Path<u64>| "never");
    let lock = RedlockLayer::new(world.redsync.clone(), key);
    let app = Router::new().route("/{id}", routing::post(name).route_layer(lock));
    let response = fetch(serve(app).await, request("POST", "/x")).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body = str::from_utf8(response.body()).unwrap();
    assert!(body.starts_with("Invalid URL"), "{body}");
    world.ends_empty().await;
}

#[tokio::test]
async fn a_grpc_client_gets_the_status_that_corresponds_to_a_rejection() {
    let world = World::new();
    let address = serve(app(&world)).await;
    let mut call = request("POST", "/nobody");
    let grpc = "application/grpc+proto".parse().unwrap();
    call.headers_mut().insert(header::CONTENT_TYPE, grpc);
    let response = fetch(address, call).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "16", "unauthenticated");
}

#[tokio::test]
async fn a_layer_outside_sees_why_a_request_with_a_whole_rejection_was_refused() {
    let world = World::new();
    let request = Request::post("/nobody").body(Body::empty()).unwrap();
    let response = app(&world).oneshot(request).await.unwrap();
    let rejection: &LockRejection = response.extensions().get().unwrap();
    assert_eq!(rejection.reason(), Reason::BadRequest);
    assert_eq!(rejection.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(rejection.retry_after(), None);
}

#[tokio::test]
async fn a_key_from_the_body_rejects_with_a_whole_response_too() {
    let world = World::new();
    let key = key::body(100, |_: &Parts, _: &[u8]| {
        Err::<String, _>(KeyError::from(
            Response::builder()
                .status(303)
                .header(header::LOCATION, "/login")
                .body("log in")
                .unwrap(),
        ))
    });
    // The layer's own responses have another form.
    let lock = RedlockLayer::new(world.redsync.clone(), key)
        .with_response(|_: &LockRejection| Response::new("refused"));
    let app = Router::new().route("/", routing::post(name).route_layer(lock));
    let response = fetch(serve(app).await, request("POST", "/")).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[header::LOCATION], "/login");
    assert_eq!(response.body(), "log in");
    world.ends_empty().await;
}
