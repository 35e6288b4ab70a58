//! What is counted of requests: by the pattern of the route, never by the path, so that no client can make the list grow.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use figures::{Counter, Distribution, Gauge, Histogram};
use http::{Method, StatusCode};
use parking_lot::RwLock;

/// What requests elsewhere are counted under.
const ELSEWHERE: &str = "elsewhere";

/// Methods with a count of their own, and all the others.
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other",
];

/// Statuses with a count of their own: those that anything here answers. 499 is nginx's word for a client that hung up
/// before it was answered, as those do who wait in `/sync` and lose their connection.
const CODES: [u16; 24] = [
    200, 201, 204, 206, 302, 304, 307, 400, 401, 403, 404, 405, 408, 409, 413, 416, 429, 499, 500,
    501, 502, 503, 504, 507,
];

/// Counts requests; cheap to clone.
#[derive(Clone, Default)]
pub struct HttpFigures(Arc<Inner>);

#[derive(Default)]
struct Inner {
    in_flight: Gauge,
    body_bytes: Counter,
    panics: Counter,
    /// As many as there are routes, once each has been asked.
    routes: RwLock<HashMap<Box<str>, Arc<Route>>>,
    elsewhere: Arc<Route>,
}

/// The counts of one route, by method.
#[derive(Default)]
pub(crate) struct Route([OnceLock<Box<Series>>; METHODS.len()]);

struct Series {
    duration: Histogram,
    /// By [`CODES`]; the last is for all others.
    codes: [Counter; CODES.len() + 1],
}

/// The requests of one route and method.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestFigures {
    /// The route's pattern, or `elsewhere`.
    pub endpoint: String,
    /// The method, or `other`.
    pub method: &'static str,
    /// How many by status, those without any left out; `None` is a status that is not counted on its own.
    pub codes: Vec<(Option<u16>, u64)>,
    /// How long they took, to the last byte of the body, in seconds.
    pub duration: Distribution,
}

impl HttpFigures {
    /// Every route and method that was asked so far, in order.
    pub fn requests(&self) -> Vec<RequestFigures> {
        let mut routes: Vec<(String, Arc<Route>)> = {
            let routes = self.0.routes.read();
            let routes = routes.iter();
            routes
                .map(|(pattern, route)| (pattern.to_string(), Arc::clone(route)))
                .collect()
        };
        routes.push((ELSEWHERE.to_owned(), Arc::clone(&self.0.elsewhere)));
        routes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut requests = Vec::new();
        for (endpoint, route) in routes {
            for (method, series) in METHODS.into_iter().zip(&route.0) {
                if let Some(series) = series.get() {
                    requests.push(series.read(endpoint.clone(), method));
                }
            }
        }
        requests
    }

    /// Requests that are being answered, those included whose body is still on its way.
    pub fn in_flight(&self) -> i64 {
        self.0.in_flight.get()
    }

    /// Bytes of the bodies of answers.
    pub fn body_bytes(&self) -> u64 {
        self.0.body_bytes.get()
    }

    /// Handlers that panicked.
    pub fn panics(&self) -> u64 {
        self.0.panics.get()
    }

    /// The counts of a route, by its pattern; `None` is elsewhere.
    pub(crate) fn route(&self, pattern: Option<&str>) -> Arc<Route> {
        let Some(pattern) = pattern else {
            return Arc::clone(&self.0.elsewhere);
        };
        if let Some(route) = self.0.routes.read().get(pattern) {
            return Arc::clone(route);
        }
        let mut routes = self.0.routes.write();
        Arc::clone(routes.entry(pattern.into()).or_default())
    }

    pub(crate) fn begin(&self) {
        self.0.in_flight.enter();
    }

    pub(crate) fn end(&self, body_bytes: u64) {
        self.0.in_flight.leave();
        self.0.body_bytes.add(body_bytes);
    }

    pub(crate) fn panicked(&self) {
        self.0.panics.increment();
    }
}

impl Route {
    pub(crate) fn count(&self, method: &Method, status: StatusCode, took: Duration) {
        let named = METHODS.iter().position(|name| *name == method.as_str());
        let series = self.0[named.unwrap_or(METHODS.len() - 1)].get_or_init(Box::default);
        series.duration.took(took);
        let named = CODES.iter().position(|code| *code == status.as_u16());
        series.codes[named.unwrap_or(CODES.len())].increment();
    }
}

impl Default for Series {
    fn default() -> Self {
        Self {
            duration: Histogram::of_requests(),
            codes: Default::default(),
        }
    }
}

impl Series {
    fn read(&self, endpoint: String, method: &'static str) -> RequestFigures {
        let names = CODES.into_iter().map(Some).chain([None]);
        let codes = names.zip(self.codes.iter().map(Counter::get));
        RequestFigures {
            endpoint,
            method,
            codes: codes.filter(|(_, count)| *count > 0).collect(),
            duration: self.duration.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode};

    use super::HttpFigures;

    #[test]
    fn requests_are_counted_by_route_method_and_status() {
        let figures = HttpFigures::default();
        let took = Duration::from_millis(3);
        let route = figures.route(Some("/a/{1}"));
        route.count(&Method::GET, StatusCode::OK, took);
        route.count(&Method::GET, StatusCode::OK, took);
        route.count(&Method::GET, StatusCode::NOT_FOUND, took);
        let same = figures.route(Some("/a/{1}"));
        same.count(&Method::PUT, StatusCode::IM_A_TEAPOT, took);
        let brew = Method::from_bytes(b"BREW").unwrap();
        figures
            .route(None)
            .count(&brew, StatusCode::NOT_FOUND, took);

        let read = figures.requests();
        let read: Vec<_> = read
            .iter()
            .map(|one| {
                (
                    one.endpoint.as_str(),
                    one.method,
                    one.codes.as_slice(),
                    one.duration.count,
                )
            })
            .collect();
        let expected = [
            ("/a/{1}", "GET", &[(Some(200), 2), (Some(404), 1)][..], 3),
            ("/a/{1}", "PUT", &[(None, 1)], 1),
            ("elsewhere", "other", &[(Some(404), 1)], 1),
        ];
        assert_eq!(read, expected);
    }
}
