//! The few commands of [WebDriver](https://www.w3.org/TR/webdriver2/) that the tests of the page need. The
//! crates for all of it bring twenty others.

use axum::http::Method;
use base64::{Engine, prelude::BASE64_STANDARD};
use redsync_tests::http::try_send;
use serde_json::{Value, json};

/// The member of an element's reference that has its id.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session with a browser.
pub(crate) struct Session {
    url: String,
}

impl Session {
    /// Opens a session at the driver that listens on a port.
    pub(crate) async fn new(port: u16, capabilities: Value) -> Self {
        let url = format!("http://127.0.0.1:{port}/session");
        let body = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let session = command(Method::POST, &url, &body).await;
        let id = session["sessionId"].as_str().expect("a session");
        Self {
            url: format!("{url}/{id}"),
        }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        command(Method::POST, &format!("{}/{path}", self.url), &body).await
    }

    pub(crate) async fn go_to(&self, url: &str) {
        self.post("url", json!({ "url": url })).await;
    }

    /// Clicks at the first element with this selector, as a person does: where it is visible.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.post(&format!("{element}/click"), json!({})).await;
    }

    /// Types into an element, which gets the focus.
    pub(crate) async fn press(&self, selector: &str, keys: &str) {
        let element = self.element(selector).await;
        let keys = json!({ "text": keys });
        self.post(&format!("{element}/value"), keys).await;
    }

    /// Runs a script, and returns what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let script = json!({ "script": script, "args": [] });
        self.post("execute/sync", script).await
    }

    /// Returns a picture in the format PNG.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        let url = format!("{}/screenshot", self.url);
        let picture = command(Method::GET, &url, &Value::Null).await;
        let picture = picture.as_str().expect("a picture");
        BASE64_STANDARD.decode(picture).expect("base64")
    }

    /// Ends the browser.
    pub(crate) async fn close(self) {
        command(Method::DELETE, &self.url, &Value::Null).await;
    }

    async fn element(&self, selector: &str) -> String {
        let by = json!({ "using": "css selector", "value": selector });
        let element = self.post("element", by).await;
        let id = element[ELEMENT].as_str().expect("an element");
        format!("element/{id}")
    }
}

async fn command(method: Method, url: &str, body: &Value) -> Value {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let json = [("content-type", "application/json")];
    let answer = try_send(method, url, &json, &body).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{url}: {}", answer.body);
    answer.json()["value"].take()
}
