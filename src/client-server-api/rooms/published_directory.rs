//! [Published room directory](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory).

use ::rooms::{DirectoryPage, DirectoryQuery, Rooms};
use axum::extract::State;
use http_layer::{Class, ClientAddress, MatrixRequest, MatrixResponse, RateLimits, StandardError};
use ruma::{
    OwnedServerName, UInt,
    api::{
        IncomingRequest, Metadata,
        client::{
            directory::{
                get_public_rooms, get_public_rooms_filtered, get_room_visibility,
                set_room_visibility,
            },
            room::Visibility,
        },
        error::DeserializationError,
    },
    directory::RoomNetwork,
};
use serde::Deserialize;

use crate::{Error, Sender};

/// `GET /_matrix/client/v3/directory/list/room/{roomId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directorylistroomroomid)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get_room_visibility_on_directory(
    State(rooms): State<Rooms>,
    MatrixRequest(request): MatrixRequest<get_room_visibility::v3::Request>,
) -> Result<MatrixResponse<get_room_visibility::v3::Response>, Error> {
    let visibility = if rooms.is_published(&request.room_id).await? {
        Visibility::Public
    } else {
        Visibility::Private
    };
    Ok(MatrixResponse(get_room_visibility::v3::Response::new(
        visibility,
    )))
}

/// `PUT /_matrix/client/v3/directory/list/room/{roomId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid)
///
/// # Errors
/// `M_NOT_FOUND`; `M_FORBIDDEN` unless the sender may send `m.room.canonical_alias` in the room.
pub async fn set_room_visibility_on_directory(
    State(rooms): State<Rooms>,
    Sender(sender): Sender,
    MatrixRequest(SetVisibility(request)): MatrixRequest<SetVisibility>,
) -> Result<MatrixResponse<set_room_visibility::v3::Response>, Error> {
    let published = match request.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        _ => return Err(StandardError::invalid_param("There is no such visibility.").into()),
    };
    rooms
        .set_published(&request.room_id, &sender, published)
        .await?;
    Ok(MatrixResponse(set_room_visibility::v3::Response::new()))
}

/// `GET /_matrix/client/v3/publicRooms`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms)
///
/// # Errors
/// `M_NOT_FOUND` for the directory of another server, `M_INVALID_PARAM` for a bogus `since`.
pub async fn get_public_rooms(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    address: ClientAddress,
    MatrixRequest(request): MatrixRequest<get_public_rooms::v3::Request>,
) -> Result<MatrixResponse<get_public_rooms::v3::Response>, Error> {
    limits.check(Class::Search, address.limit_key())?;
    require_own(&rooms, request.server.as_ref())?;
    let query = DirectoryQuery {
        since: since(request.since.as_deref()),
        limit: limit(request.limit),
        ..DirectoryQuery::default()
    };
    let page = rooms.published_rooms(&query).await?;
    let mut response = get_public_rooms::v3::Response::new(page.chunk);
    response.next_batch = page.next_batch;
    response.prev_batch = page.prev_batch;
    response.total_room_count_estimate = UInt::try_from(page.total).ok();
    Ok(MatrixResponse(response))
}

/// `POST /_matrix/client/v3/publicRooms`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3publicrooms)
///
/// # Errors
/// As [`get_public_rooms`].
pub async fn query_public_rooms(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<get_public_rooms_filtered::v3::Request>,
) -> Result<MatrixResponse<get_public_rooms_filtered::v3::Response>, Error> {
    limits.check(Class::Search, &sender)?;
    require_own(&rooms, request.server.as_ref())?;
    let query = DirectoryQuery {
        since: since(request.since.as_deref()),
        limit: limit(request.limit),
        search_term: request.filter.generic_search_term.as_deref(),
        room_types: &request.filter.room_types,
    };
    let page = match request.room_network {
        // Rooms of other networks come with application services.
        RoomNetwork::ThirdParty(_) => DirectoryPage::default(),
        _ => rooms.published_rooms(&query).await?,
    };
    let mut response = get_public_rooms_filtered::v3::Response::new();
    response.chunk = page.chunk;
    response.next_batch = page.next_batch;
    response.prev_batch = page.prev_batch;
    response.total_room_count_estimate = UInt::try_from(page.total).ok();
    Ok(MatrixResponse(response))
}

/// Another server's directory is read by federation.
fn require_own(rooms: &Rooms, server: Option<&OwnedServerName>) -> Result<(), StandardError> {
    if server.is_some_and(|server| **server != *rooms.server_name()) {
        return Err(StandardError::not_found(
            "This server does not know that server's rooms.",
        ));
    }
    Ok(())
}

/// Left empty is left out.
fn since(since: Option<&str>) -> Option<&str> {
    since.filter(|since| !since.is_empty())
}

fn limit(limit: Option<UInt>) -> Option<usize> {
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// ruma's request with the default that the spec gives `visibility`, which ruma requires: `public`.
#[derive(Debug)]
pub struct SetVisibility(set_room_visibility::v3::Request);

impl Metadata for SetVisibility {
    const METHOD: http::Method = set_room_visibility::v3::Request::METHOD;
    const RATE_LIMITED: bool = set_room_visibility::v3::Request::RATE_LIMITED;
    type Authentication = <set_room_visibility::v3::Request as Metadata>::Authentication;
    type PathBuilder = <set_room_visibility::v3::Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = set_room_visibility::v3::Request::PATH_BUILDER;
}

impl IncomingRequest for SetVisibility {
    type EndpointError = <set_room_visibility::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = <set_room_visibility::v3::Request as IncomingRequest>::OutgoingResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        #[derive(Deserialize)]
        struct Body {
            visibility: Option<serde::de::IgnoredAny>,
        }
        let body = *request.body();
        let says_nothing = body.is_empty()
            || serde_json::from_slice::<Body>(body).is_ok_and(|body| body.visibility.is_none());
        let request = if says_nothing {
            request.map(|_| &br#"{"visibility":"public"}"#[..])
        } else {
            request
        };
        IncomingRequest::try_from_http_request_inner(request, path_args).map(Self)
    }
}
