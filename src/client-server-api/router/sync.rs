//! /sync and what is heard through it.

use axum::Router;

use crate::Services;

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    router
}
