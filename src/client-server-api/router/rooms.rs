//! Rooms, membership, aliases and the directory.

use axum::Router;

use crate::Services;

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    router
}
