//! [Creation](https://spec.matrix.org/v1.19/client-server-api/#creation-1).

use ::rooms::{Creation, InitialState, Preset, Rooms};
use axum::extract::State;
use http_layer::{Class, Errcode, MatrixRequest, MatrixResponse, RateLimits, StandardError};
use ruma::{
    OwnedUserId,
    api::client::room::{
        Visibility,
        create_room::{self, v3::RoomPreset},
    },
    serde::Raw,
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{ActiveSender, Error};

/// The most users that are invited with a room's creation; each is an event.
const MAX_INVITES: usize = 500;

/// The most events of `initial_state`.
const MAX_INITIAL_STATE: usize = 500;

/// `POST /_matrix/client/v3/createRoom`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom)
///
/// # Errors
/// `M_ROOM_IN_USE`, `M_INVALID_ROOM_STATE`, `M_UNSUPPORTED_ROOM_VERSION`, `M_BAD_JSON`; `M_THREEPID_DENIED` for
/// `invite_3pid`, which needs an identity server; `M_INVITE_BLOCKED` if one of the invited does not want to be.
pub async fn create_room(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    ActiveSender(sender): ActiveSender,
    MatrixRequest(request): MatrixRequest<create_room::v3::Request>,
) -> Result<MatrixResponse<create_room::v3::Response>, Error> {
    limits.check(Class::CreateRoom, &sender)?;
    let room_id = rooms.create(creation(sender, request)?).await?;
    Ok(MatrixResponse(create_room::v3::Response::new(room_id)))
}

/// What the client asks for, within limits.
fn creation(
    creator: OwnedUserId,
    request: create_room::v3::Request,
) -> Result<Creation, StandardError> {
    if !request.invite_3pid.is_empty() {
        return Err(StandardError::new(
            Errcode::ThreepidDenied,
            "This server uses no identity server and cannot invite by email or phone.",
        ));
    }
    let mut invite = request.invite;
    invite.sort_unstable();
    invite.dedup();
    if invite.len() > MAX_INVITES {
        return Err(StandardError::invalid_param(format!(
            "At most {MAX_INVITES} users can be invited with a room's creation."
        )));
    }
    if request.initial_state.len() > MAX_INITIAL_STATE {
        return Err(StandardError::invalid_param(format!(
            "At most {MAX_INITIAL_STATE} events can be in initial_state."
        )));
    }
    let published = request.visibility == Visibility::Public;
    let preset = match request.preset {
        None if published => Preset::PublicChat,
        None | Some(RoomPreset::PrivateChat) => Preset::PrivateChat,
        Some(RoomPreset::TrustedPrivateChat) => Preset::TrustedPrivateChat,
        Some(RoomPreset::PublicChat) => Preset::PublicChat,
        Some(_) => return Err(StandardError::invalid_param("There is no such preset.")),
    };
    let initial_state = request.initial_state.iter().map(initial_state);
    Ok(Creation {
        creator,
        published,
        alias_localpart: request.room_alias_name,
        name: request.name,
        topic: request.topic,
        preset,
        room_version: request.room_version,
        creation_content: members("creation_content", request.creation_content.as_ref())?,
        initial_state: initial_state.collect::<Result<_, _>>()?,
        power_level_content_override: members(
            "power_level_content_override",
            request.power_level_content_override.as_ref(),
        )?,
        invite,
        is_direct: request.is_direct,
    })
}

fn initial_state<T>(event: &Raw<T>) -> Result<InitialState, StandardError> {
    #[derive(Deserialize)]
    struct Event {
        r#type: String,
        #[serde(default)]
        state_key: Option<String>,
        content: Box<RawValue>,
    }
    let event: Event = serde_json::from_str(event.json().get())
        .map_err(|error| StandardError::bad_json(format!("initial_state: {error}.")))?;
    Ok(InitialState {
        event_type: event.r#type,
        state_key: event.state_key.unwrap_or_default(),
        content: event.content,
    })
}

/// An object, member by member; an absent one has none.
fn members<T>(name: &str, object: Option<&Raw<T>>) -> Result<Map<String, Value>, StandardError> {
    let Some(object) = object else {
        return Ok(Map::new());
    };
    serde_json::from_str(object.json().get())
        .map_err(|_| StandardError::bad_json(format!("{name} must be a JSON object.")))
}
