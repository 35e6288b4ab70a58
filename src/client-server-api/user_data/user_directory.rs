//! [User directory](https://spec.matrix.org/v1.19/client-server-api/#user-directory).

use ::rooms::Rooms;
use axum::extract::State;
use http_layer::{Class, MatrixRequest, MatrixResponse, RateLimits};
use ruma::{
    OwnedMxcUri,
    api::client::user_directory::search_users::{self, v3::User},
};
use users::{Found, Users};

use crate::{Error, Session, events::getting_events::count};

/// Users that one search may answer with.
const MAX_RESULTS: usize = 50;
/// Users whose rooms are looked at.
const MAX_TRIED: usize = 500;

/// `POST /_matrix/client/v3/user_directory/search`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3user_directorysearch)
///
/// Names that fit best come first: a name itself, a name that begins so, a name with such a word. Users are found by those
/// who share a room with them, and by everybody if they are in a room that is open to everybody.
pub async fn search_user_directory(
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<search_users::v3::Request>,
) -> Result<MatrixResponse<search_users::v3::Response>, Error> {
    limits.check(Class::Search, &session.user_id)?;
    let limit = count(request.limit).min(MAX_RESULTS);
    let (found, mut limited) = users.find_users(&request.search_term).await?;
    let mut acquaintance = rooms.acquaintance(session.user).await?;
    let mut results = Vec::new();
    for (tried, found) in found.into_iter().enumerate() {
        if tried >= MAX_TRIED {
            limited = true;
            break;
        }
        if found.user == session.user || !rooms.may_find(&mut acquaintance, found.user).await? {
            continue;
        }
        if results.len() >= limit {
            limited = true;
            break;
        }
        results.push(user(found));
    }
    Ok(MatrixResponse(search_users::v3::Response::new(
        results, limited,
    )))
}

fn user(found: Found) -> User {
    let mut user = User::new(found.user_id);
    user.display_name = found.displayname;
    user.avatar_url = found.avatar_url.map(OwnedMxcUri::from);
    user
}
