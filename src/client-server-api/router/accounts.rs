//! Accounts, sessions, devices, profiles and what belongs to one user.

use axum::Router;

use crate::Services;

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    router
}
