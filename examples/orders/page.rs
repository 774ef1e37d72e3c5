//! The page, and what it loads. All of it is in the program, so that it works without a network.

use axum::{
    Router,
    http::header,
    response::IntoResponse,
    routing::{MethodRouter, get},
};

/// The page loads nothing from elsewhere, and has no script in its HTML.
const POLICY: &str = "default-src 'none'; connect-src 'self'; img-src data:; script-src 'self'; \
                      style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let html = |text| file("text/html; charset=utf-8", text);
    let css = |text| file("text/css; charset=utf-8", text);
    let js = |text| file("text/javascript; charset=utf-8", text);
    Router::new()
        .route("/", html(include_str!("page/page.html")))
        .route("/page.css", css(include_str!("page/page.css")))
        .route("/time_line.css", css(include_str!("page/time_line.css")))
        .route("/page.js", js(include_str!("page/page.js")))
        .route("/run.js", js(include_str!("page/run.js")))
        .route("/results.js", js(include_str!("page/results.js")))
        .route("/time_line.js", js(include_str!("page/time_line.js")))
}

fn file<S: Clone + Send + Sync + 'static>(
    kind: &'static str,
    text: &'static str,
) -> MethodRouter<S> {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // A new version of the program has a new page.
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    get(async move || (headers, text).into_response())
}
