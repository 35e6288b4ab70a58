//! Accounts: found, shown, made and changed
//! ([Synapse's user API](https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html)).

use ::rooms::{MemberProfile, Rooms};
use ::users::{Account, AccountToCreate, Listed, Profile, Users};
use administration::Administration;
use axum::{extract::State, response::Response};
use client_server_api::Error;
use http::StatusCode;
use http_layer::{JsonBody, StandardError, json};
use ruma::UserId;
use serde::Deserialize;
use serde_json::{Value, json};
use store::UserNid;

use crate::{
    Administrator,
    extract::{InPath, Params, Target, local_user},
};

/// Users on a page, unless asked for otherwise, as in Synapse.
const PAGE: usize = 100;
/// Users on the largest page.
const MAX_PAGE: usize = 10_000;

/// The query of [`list`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    from: usize,
    limit: Option<usize>,
    user_id: Option<String>,
    name: Option<String>,
    guests: Option<bool>,
    admins: Option<bool>,
    deactivated: Option<bool>,
    locked: Option<bool>,
    suspended: Option<bool>,
    not_user_type: Option<String>,
    order_by: Option<String>,
    dir: Option<String>,
}

/// `GET /_synapse/admin/v2/users`
///
/// Without `deactivated=true`, closed accounts are left out.
///
/// # Errors
/// `M_INVALID_PARAM` for an order that does not exist.
pub async fn list(
    State(users): State<Users>,
    _: Administrator,
    Params(query): Params<ListQuery>,
) -> Result<Response, Error> {
    let deactivated = query.deactivated.unwrap_or(false);
    page(&users, query, move |account| {
        deactivated || !account.deactivated
    })
    .await
}

/// `GET /_synapse/admin/v3/users`
///
/// As [`list`], but `deactivated` picks: closed accounts alone, open ones alone, or both.
pub async fn list_by_state(
    State(users): State<Users>,
    _: Administrator,
    Params(query): Params<ListQuery>,
) -> Result<Response, Error> {
    let wanted = query.deactivated;
    page(&users, query, move |account| {
        wanted.is_none_or(|wanted| wanted == account.deactivated)
    })
    .await
}

async fn page(
    users: &Users,
    query: ListQuery,
    is_wanted: impl Fn(&Account) -> bool,
) -> Result<Response, Error> {
    let limit = query.limit.unwrap_or(PAGE);
    if limit > MAX_PAGE {
        return Err(StandardError::invalid_param("`limit` is at most 10000.").into());
    }
    let is = |wanted: Option<bool>, fact: bool| wanted.is_none_or(|wanted| wanted == fact);
    let mut found = users
        .accounts(|user_id, account| {
            let id = query.user_id.as_deref();
            is_wanted(account)
                && is(query.admins, account.admin)
                && is(query.suspended, account.suspended)
                && (query.guests != Some(false) || !account.guest)
                && (query.locked != Some(false) || !account.locked)
                && id.is_none_or(|id| contains(user_id.as_str(), id))
                && (query.not_user_type.as_deref())
                    .is_none_or(|kind| account.user_type.as_deref().unwrap_or_default() != kind)
        })
        .await?;
    // Names, pictures and times cost a read each: for a page, unless they decide who is on it.
    let order = query.order_by.as_deref().unwrap_or("name");
    let describe_all =
        query.name.is_some() || matches!(order, "displayname" | "avatar_url" | "last_seen_ts");
    if describe_all {
        users.describe(&mut found).await?;
    }
    if let Some(name) = &query.name {
        found.retain(|listed| {
            contains(listed.user_id.localpart(), name)
                || (listed.displayname.as_deref()).is_some_and(|display| contains(display, name))
        });
    }
    sort(&mut found, order)?;
    match query.dir.as_deref() {
        None | Some("f") => {}
        Some("b") => found.reverse(),
        Some(_) => return Err(StandardError::invalid_param("`dir` is `f` or `b`.").into()),
    }
    let total = found.len();
    let mut on_page: Vec<Listed> = found.into_iter().skip(query.from).take(limit).collect();
    if !describe_all {
        users.describe(&mut on_page).await?;
    }
    let next = query.from + on_page.len();
    let mut answer = json!({
        "users": on_page.iter().map(listed_json).collect::<Vec<_>>(),
        "total": total,
    });
    if next < total {
        answer["next_token"] = json!(next.to_string());
    }
    Ok(json(StatusCode::OK, &answer))
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

fn sort(found: &mut [Listed], order: &str) -> Result<(), Error> {
    match order {
        "name" => found.sort_by(|a, b| a.user_id.cmp(&b.user_id)),
        "is_guest" => found.sort_by_key(|listed| listed.account.guest),
        "admin" => found.sort_by_key(|listed| listed.account.admin),
        "user_type" => found.sort_by(|a, b| a.account.user_type.cmp(&b.account.user_type)),
        "deactivated" => found.sort_by_key(|listed| listed.account.deactivated),
        "displayname" => found.sort_by(|a, b| a.displayname.cmp(&b.displayname)),
        "avatar_url" => found.sort_by(|a, b| a.avatar_url.cmp(&b.avatar_url)),
        "creation_ts" => found.sort_by_key(|listed| listed.account.created_ms),
        "last_seen_ts" => found.sort_by_key(|listed| listed.last_seen_ts),
        "locked" => found.sort_by_key(|listed| listed.account.locked),
        // Nobody is: as good as no order.
        "shadow_banned" => {}
        _ => {
            let message = format!("`order_by`: there is no order `{order}`.");
            return Err(StandardError::invalid_param(message).into());
        }
    }
    Ok(())
}

fn listed_json(listed: &Listed) -> Value {
    let account = &listed.account;
    json!({
        "name": listed.user_id,
        "user_type": account.user_type,
        "is_guest": account.guest,
        "admin": account.admin,
        "deactivated": account.deactivated,
        "erased": account.erased,
        "locked": account.locked,
        "suspended": account.suspended,
        "shadow_banned": false,
        "displayname": listed.displayname,
        "avatar_url": listed.avatar_url,
        "creation_ts": account.created_ms,
        "last_seen_ts": listed.last_seen_ts,
    })
}

/// `GET /_synapse/admin/v2/users/{userId}`
///
/// # Errors
/// `M_NOT_FOUND`, `M_INVALID_PARAM` for another server's user.
pub async fn show(
    State(users): State<Users>,
    _: Administrator,
    target: Target,
) -> Result<Response, Error> {
    let answer = account_json(&users, target.user, &target.user_id).await?;
    Ok(json(StatusCode::OK, &answer))
}

async fn account_json(users: &Users, user: UserNid, user_id: &UserId) -> Result<Value, Error> {
    let account = users.account_of(user).await?.unwrap_or_default();
    let mut listed = [Listed {
        user,
        user_id: user_id.to_owned(),
        account,
        displayname: None,
        avatar_url: None,
        last_seen_ts: None,
    }];
    users.describe(&mut listed).await?;
    let [listed] = &listed;
    let mut answer = listed_json(listed);
    // Seconds here and milliseconds in the list, as Synapse has it.
    answer["creation_ts"] = json!(listed.account.created_ms / 1_000);
    answer["has_password"] = json!(listed.account.has_password());
    for empty in ["threepids", "external_ids"] {
        answer[empty] = json!([]);
    }
    for none in [
        "appservice_id",
        "consent_server_notice_sent",
        "consent_version",
        "consent_ts",
    ] {
        answer[none] = Value::Null;
    }
    Ok(answer)
}

/// The body of [`create_or_modify`]: what is absent stays as it is.
#[derive(Debug, Deserialize)]
pub(crate) struct AccountBody {
    #[serde(default)]
    password: Sent,
    #[serde(default = "yes")]
    logout_devices: bool,
    #[serde(default)]
    displayname: Sent,
    #[serde(default)]
    avatar_url: Sent,
    #[serde(default)]
    threepids: Vec<Value>,
    #[serde(default)]
    external_ids: Vec<Value>,
    #[serde(default)]
    admin: Option<bool>,
    #[serde(default)]
    deactivated: Option<bool>,
    #[serde(default)]
    locked: Option<bool>,
    #[serde(default)]
    user_type: Sent,
}

fn yes() -> bool {
    true
}

/// Text that may be absent, which changes nothing, or `null`, which takes away what there is.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Option<String>")]
enum Sent {
    #[default]
    Absent,
    Null,
    Text(String),
}

impl From<Option<String>> for Sent {
    fn from(sent: Option<String>) -> Self {
        sent.map_or(Self::Null, Self::Text)
    }
}

impl Sent {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Null => None,
        }
    }
}

/// `PUT /_synapse/admin/v2/users/{userId}`
///
/// Makes an account (201) or changes one (200).
///
/// # Errors
/// `M_INVALID_PARAM` for addresses and single sign-on, which are not there yet, and for a user type that nobody knows;
/// `M_FORBIDDEN` for an administrator who would demote or close their own account.
pub async fn create_or_modify(
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    State(administration): State<Administration>,
    administrator: Administrator,
    InPath(name): InPath<String>,
    JsonBody(body): JsonBody<AccountBody>,
) -> Result<Response, Error> {
    let user_id = local_user(&users, &name)?;
    check(&body)?;
    let known = users.account(&user_id).await?;
    administrator.audit(if known.is_some() {
                "user.modify"
            } else {
                "user.create"
            },
            user_id.as_str(),
            json!({
                "password": body.password.text().is_some(), "admin": body.admin, "deactivated": body.deactivated,
                "locked": body.locked, "displayname": body.displayname.text(),
            }),
        )
        .await?;
    let (status, user) = if let Some((user, account)) = known {
        modify(
            &users,
            &administration,
            &administrator,
            (user, &user_id, &account),
            &body,
        )
        .await?;
        (StatusCode::OK, user)
    } else {
        let new = AccountToCreate {
            localpart: user_id.localpart().to_owned(),
            password: body.password.text().map(str::to_owned),
            admin: body.admin.unwrap_or(false),
            user_type: body.user_type.text().map(str::to_owned),
            displayname: body.displayname.text().map(str::to_owned),
        };
        users.create_account(new).await?;
        let made = users.account(&user_id).await?;
        let (user, _) = made.ok_or_else(|| StandardError::not_found("User not found"))?;
        if body.locked == Some(true) {
            users.set_locked(user, true).await?;
        }
        (StatusCode::CREATED, user)
    };
    for (field, value) in [
        ("displayname", body.displayname),
        ("avatar_url", body.avatar_url),
    ] {
        let value = match value {
            Sent::Absent => continue,
            Sent::Null => Value::Null,
            Sent::Text(text) => Value::String(text),
        };
        if let Some(profile) = users.set_profile_field(user, field, value).await? {
            tell_rooms(&rooms, &user_id, &profile).await?;
        }
    }
    Ok(json(status, &account_json(&users, user, &user_id).await?))
}

fn check(body: &AccountBody) -> Result<(), StandardError> {
    if !body.threepids.is_empty() || !body.external_ids.is_empty() {
        let message = "Email addresses, telephone numbers and single sign-on are not there yet.";
        return Err(StandardError::invalid_param(message));
    }
    if !matches!(body.user_type.text(), None | Some("bot" | "support")) {
        return Err(StandardError::invalid_param(
            "`user_type` is `bot`, `support` or null.",
        ));
    }
    Ok(())
}

async fn modify(
    users: &Users,
    administration: &Administration,
    administrator: &Administrator,
    (user, user_id, account): (UserNid, &UserId, &Account),
    body: &AccountBody,
) -> Result<(), Error> {
    let own = administrator.user == Some(user);
    if own && (body.admin == Some(false) || body.deactivated == Some(true)) {
        let message = "You may not demote or deactivate yourself.";
        return Err(StandardError::forbidden(message).into());
    }
    if body.deactivated == Some(true) && !account.deactivated {
        administration.deactivate(user, user_id, false).await?;
        return Ok(());
    }
    let password = body.password.text();
    if body.deactivated == Some(false) && account.deactivated && password.is_none() {
        let message = "Must provide a password to re-activate an account.";
        return Err(StandardError::invalid_param(message).into());
    }
    if let Some(password) = password {
        if account.deactivated && body.deactivated != Some(false) {
            let message = "A closed account gets a password with `deactivated: false` alone.";
            return Err(StandardError::invalid_param(message).into());
        }
        users
            .reset_password(user, password, body.logout_devices)
            .await?;
    }
    if let Some(admin) = body.admin.filter(|admin| *admin != account.admin) {
        users.set_admin(user, admin).await?;
    }
    if let Some(locked) = body.locked.filter(|locked| *locked != account.locked) {
        users.set_locked(user, locked).await?;
    }
    if !matches!(body.user_type, Sent::Absent) {
        let user_type = body.user_type.text().map(str::to_owned);
        users.set_user_type(user, user_type).await?;
    }
    Ok(())
}

/// A name or a picture is shown in rooms: they get a new member event.
async fn tell_rooms(rooms: &Rooms, user_id: &UserId, profile: &Profile) -> Result<(), Error> {
    let profile = MemberProfile {
        displayname: profile.displayname().map(str::to_owned),
        avatar_url: profile.avatar_url().map(str::to_owned),
    };
    Ok(rooms.profile_changed(user_id, &profile).await?)
}

/// `GET /_synapse/admin/v1/auth_providers/{provider}/users/{externalId}`, and
/// `GET /_synapse/admin/v1/threepid/{medium}/users/{address}`
///
/// # Errors
/// Always `M_NOT_FOUND`: nobody has an address or an account elsewhere yet.
pub async fn by_address(_: Administrator) -> StandardError {
    StandardError::not_found("User not found")
}

/// The query of [`username_available`].
#[derive(Debug, Deserialize)]
pub(crate) struct NameQuery {
    username: String,
}

/// `GET /_synapse/admin/v1/username_available`
///
/// # Errors
/// As registration's: `M_USER_IN_USE`, `M_INVALID_USERNAME`.
pub async fn username_available(
    State(users): State<Users>,
    _: Administrator,
    Params(query): Params<NameQuery>,
) -> Result<Response, Error> {
    users.check_available(&query.username).await?;
    Ok(json(StatusCode::OK, &json!({ "available": true })))
}
