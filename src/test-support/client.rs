//! Somebody who asks the server.

use axum::{Router, body::Body};
use http::{Method, Request, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{Reply, asked};

/// A client, logged in or not; cheap to clone. Requests go straight into the router.
#[derive(Clone)]
pub struct Client {
    router: Router,
    /// Empty for [`crate::TestServer::anyone`].
    pub user_id: String,
    /// Empty for [`crate::TestServer::anyone`].
    pub device_id: String,
    /// Sent with every request.
    pub access_token: Option<String>,
}

impl Client {
    pub(crate) fn new(router: Router, access_token: Option<String>) -> Self {
        Self {
            router,
            user_id: String::new(),
            device_id: String::new(),
            access_token,
        }
    }

    /// The same client with another token.
    #[must_use]
    pub fn with_token(&self, access_token: &str) -> Self {
        Self {
            access_token: Some(access_token.to_owned()),
            ..self.clone()
        }
    }

    /// `GET path`, the query included.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Body::empty()).await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Body::from(body.to_string()))
            .await
    }

    /// `PUT path` with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, Body::from(body.to_string()))
            .await
    }

    /// `DELETE path` with a JSON body.
    pub async fn delete(&self, path: &str, body: Value) -> Reply {
        self.send(Method::DELETE, path, Body::from(body.to_string()))
            .await
    }

    /// Any request; `body` may be anything at all.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Reply {
        self.send_with(method, path, &[], body).await
    }

    /// Any request with these headers.
    pub async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        let mut request = Request::builder().method(&method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.access_token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(body.into())
            .expect("the test's path is a path");
        let response = self.router.clone().oneshot(request).await;
        let response = response.expect("a router never fails");
        asked::note("ring-2", method.as_str(), path, response.status().as_u16());
        Reply::read(response).await
    }

    pub(crate) async fn register(&self, localpart: &str) -> Self {
        let body = json!({
            "username": localpart,
            "password": password(localpart),
            "auth": { "type": "m.login.dummy" },
        });
        self.logged_in(&self.post("/_matrix/client/v3/register", body).await.ok())
    }

    pub(crate) async fn login(&self, localpart: &str) -> Self {
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": localpart },
            "password": password(localpart),
        });
        self.logged_in(&self.post("/_matrix/client/v3/login", body).await.ok())
    }

    fn logged_in(&self, answer: &Value) -> Self {
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        Self {
            router: self.router.clone(),
            user_id: text("user_id"),
            device_id: text("device_id"),
            access_token: Some(text("access_token")),
        }
    }
}

fn password(localpart: &str) -> String {
    format!("password-of-{localpart}")
}
