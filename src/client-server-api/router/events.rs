//! Sending and reading events.

use axum::Router;

use crate::Services;

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    router
}
