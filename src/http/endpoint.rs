//! Registers a handler under every path and the method that ruma knows for its request type.

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, on},
};
use ruma::api::{IncomingRequest, path_builder::PathBuilder};

/// `.endpoint::<Request, _>(handler)` for [`Router`].
pub trait Endpoints<S> {
    /// Serves `R` with `handler`, under each of its paths: stable, `r0` and unstable. GET serves HEAD too.
    #[must_use]
    fn endpoint<R: IncomingRequest, M: 'static>(self, handler: impl Handler<M, S>) -> Self;
}

impl<S: Clone + Send + Sync + 'static> Endpoints<S> for Router<S> {
    fn endpoint<R: IncomingRequest, M: 'static>(self, handler: impl Handler<M, S>) -> Self {
        let Ok(method) = MethodFilter::try_from(R::METHOD) else {
            tracing::error!(http.method = %R::METHOD, "an endpoint has a method without a route");
            return self;
        };
        let route = on(method, handler);
        paths::<R>()
            .into_iter()
            .fold(self, |router, path| router.route(&path, route.clone()))
    }
}

/// How many variables the paths of `R` have.
pub(crate) fn variables<R: IncomingRequest>() -> usize {
    R::PATH_BUILDER
        .all_paths()
        .next()
        .map_or(0, |path| path.matches('{').count())
}

/// Every path to register for `R`, in axum's syntax: what [`axum::extract::MatchedPath`] holds in its handler.
pub fn paths<R: IncomingRequest>() -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for path in R::PATH_BUILDER.all_paths() {
        let path = numbered(path);
        paths.push(path.clone());
        // The spec: an empty state key may be left out, with its slash or without.
        if let Some(parent) = path.strip_suffix("/{3}")
            && parent.ends_with("/state/{2}")
        {
            paths.push(parent.to_owned());
            paths.push(format!("{parent}/"));
        }
        // `/pushrules/`: clients leave the slash out.
        if let Some(bare) = path.strip_suffix('/') {
            paths.push(bare.to_owned());
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

/// `/rooms/{room_id}/send` as `/rooms/{1}/send`: the router wants one name for a place, ruma's differ by endpoint.
fn numbered(path: &str) -> String {
    let mut count = 0;
    let segments: Vec<String> = path
        .split('/')
        .map(|segment| {
            if segment.starts_with('{') {
                count += 1;
                format!("{{{count}}}")
            } else {
                segment.to_owned()
            }
        })
        .collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use ruma::api::client::{
        push::get_pushrules_all, state::get_state_event_for_key, typing::create_typing_event,
    };

    use super::{paths, variables};

    #[test]
    fn every_version_of_a_path_is_served() {
        assert_eq!(
            paths::<create_typing_event::v3::Request>(),
            [
                "/_matrix/client/r0/rooms/{1}/typing/{2}",
                "/_matrix/client/v3/rooms/{1}/typing/{2}"
            ]
        );
        assert_eq!(variables::<create_typing_event::v3::Request>(), 2);
    }

    #[test]
    fn an_empty_state_key_may_be_left_out() {
        let paths = paths::<get_state_event_for_key::v3::Request>();
        for path in ["state/{2}", "state/{2}/", "state/{2}/{3}"] {
            assert!(
                paths.contains(&format!("/_matrix/client/v3/rooms/{{1}}/{path}")),
                "{path}"
            );
        }
    }

    #[test]
    fn a_last_slash_may_be_left_out() {
        let paths = paths::<get_pushrules_all::v3::Request>();
        assert!(
            paths.contains(&"/_matrix/client/v3/pushrules".to_owned()),
            "{paths:?}"
        );
        assert!(
            paths.contains(&"/_matrix/client/v3/pushrules/".to_owned()),
            "{paths:?}"
        );
    }
}
