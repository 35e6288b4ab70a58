//! Plugs the parts together: the one place that knows them all.

use std::{any::Any, future::Future, pin::Pin, sync::Arc, time::Duration};

use administration::Administration;
use axum::Router;
use client_server_api::{AllServices, Services};
use config::Config;
use encryption::{DeviceName, DevicesFuture, Encryption};
use host::{Host, Shutdown};
use http_layer::{Frame, HttpFigures, RateLimits, frame};
use media::Media;
use outbound::Outbound;
use push::{BadgeFuture, Badges, HttpGateway, Push};
use room_versions::Signer;
use rooms::{
    Delayed, DelayedOptions, Identity, MemberProfile, Profiles, RoomOptions, Rooms, Typing, Watch,
};
use ruma::{OwnedUserId, UserId};
use search::Search;
use serde_json::Value;
use store::{Batch, Store, StoreError, UserNid};
use sync::Engine;
use thiserror::Error;
use traces::TraceFigures;
use users::{DeviceKeeper, InvitePermission, KeeperFuture, OptionsError, UserNews, Users};

/// Why the parts do not fit together.
#[derive(Debug, Error)]
pub enum AssembleError {
    /// An option of the users' cannot be used.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// There is no place for files.
    #[error(transparent)]
    Media(#[from] media::OpenError),
}

/// The services over `store`, ready for the first request; `traces` counts what becomes of spans.
///
/// # Errors
/// Options that cannot be used, such as a key that is none.
pub fn assemble(
    config: Config,
    host: Host,
    store: Store,
    signer: Signer,
    shutdown: Shutdown,
    traces: TraceFigures,
) -> Result<Services, AssembleError> {
    let media_store = store.clone();
    let users = Users::new(store.clone(), host.clone(), &config)?;
    let encryption = Encryption::new(store.clone(), Arc::new(UserDevices(store.clone())));
    users.keep_with(Arc::new(DeviceKeys(encryption.clone())));
    let identity = Identity {
        server_name: config.server_name.clone(),
        signer,
    };
    let profiles = Arc::new(UserProfiles(users.clone()));
    let rooms = Rooms::new(
        store,
        host.clone(),
        identity,
        room_options(&config),
        profiles,
    );
    let typing = Typing::new(rooms.clone());
    let sync = Engine::new(
        rooms.clone(),
        users.clone(),
        typing.clone(),
        encryption.clone(),
        host.clone(),
        shutdown.clone(),
        sync_options(&config),
    );
    let (room_follower, user_follower) = sync.followers();
    let watch = Watch::default();
    let search = Search::new(rooms.clone());
    let outbound = Outbound::new(&config);
    let push = Push::new(
        rooms.clone(),
        users.clone(),
        host.clone(),
        config.push.clone(),
        Arc::new(UnreadEverywhere(sync.clone())),
        Arc::new(HttpGateway::new(outbound.clone(), &config.push)),
    );
    rooms.follow(vec![
        room_follower,
        typing.follower(),
        Arc::new(watch.clone()),
        Arc::new(search.clone()),
        Arc::new(push.clone()),
    ]);
    let delayed = Delayed::new(rooms.clone(), host.clone(), delayed_options(&config));
    if delayed.is_enabled() {
        host.spawn("delayed events", delayed.clone().run(shutdown.clone()));
    }
    host.spawn("search index", search.clone().run(shutdown.clone()));
    let sweeps = crate::sweeps::run(users.clone(), rooms.clone(), shutdown.clone());
    host.spawn("sweeps", sweeps);
    users.follow(user_follower);
    users.follow(Arc::new(push.clone()));
    if config.push.enabled {
        host.spawn("push", push.clone().run(shutdown.clone()));
    }
    encryption.follow(sync.encryption_follower());
    let media = Media::open(
        &config.data_dir.join("media"),
        &config,
        media_store,
        host.clone(),
        outbound,
        shutdown.clone(),
    )?;
    host.spawn("media sweep", media.clone().run(shutdown.clone()));
    let administration = Administration::new(
        host.clone(),
        users.clone(),
        rooms.clone(),
        media.clone(),
        search.clone(),
        config.server_notices.clone(),
    );
    host.spawn("tasks", administration.clone().run(shutdown.clone()));
    let all = AllServices {
        http: HttpFigures::default(),
        certificates: Arc::default(),
        traces,
        limits: RateLimits::new(&config.rate_limits, host.clone()),
        config: Arc::new(config),
        host,
        shutdown,
        administration,
        users,
        rooms,
        typing,
        delayed,
        watch,
        encryption,
        media,
        push,
        search,
        sync,
    };
    Ok(all.into())
}

/// Tells the services, before the first request, what administrators had decided before the server stopped.
///
/// # Errors
/// The store failed.
pub async fn recall(services: &Services) -> Result<(), StoreError> {
    for (user_id, instead) in services.administration.rate_limit_overrides().await? {
        let instead = Some(admin_api::meaning(instead));
        services.limits.set_override(&user_id, instead);
    }
    Ok(())
}

/// Every API over `services`, with the frame around: everything else is `M_UNRECOGNIZED`.
pub fn router(services: Services) -> Router {
    let around = Frame::new(&services.config, services.http.clone());
    let endpoints = client_server_api::endpoints()
        .merge(admin_api::endpoints())
        .merge(monitoring::public());
    frame(endpoints, around).with_state(services)
}

/// Whose devices there are, for those who keep their keys.
struct UserDevices(Store);

impl encryption::Directory for UserDevices {
    fn devices(&self, user: UserNid) -> DevicesFuture<'_> {
        Box::pin(async move {
            let devices = users::device_names(&self.0, user).await?.into_iter();
            Ok(devices
                .map(|(device_id, display_name)| DeviceName {
                    device_id,
                    display_name,
                })
                .collect())
        })
    }
}

/// The keys and messages that go with a device.
struct DeviceKeys(Encryption);

impl DeviceKeeper for DeviceKeys {
    fn keep<'a>(
        &'a self,
        batch: &'a mut Batch,
        user: UserNid,
        news: &'a [UserNews],
    ) -> KeeperFuture<'a> {
        Box::pin(async move {
            let (mut removed, mut renamed) = (Vec::new(), Vec::new());
            for news in news {
                match news {
                    UserNews::Deactivated => {
                        let held = self.0.account_closes(batch, user).await?;
                        return Ok(Box::new(held) as Box<dyn Any + Send>);
                    }
                    UserNews::DeviceRemoved { device_id } => removed.push(device_id.as_str()),
                    UserNews::DeviceChanged { device_id } => renamed.push(device_id.as_str()),
                    UserNews::AccountData { .. }
                    | UserNews::PushRules
                    | UserNews::Pushers
                    | UserNews::LoggedOut { .. }
                    | UserNews::Profile => {}
                }
            }
            let held = self
                .0
                .devices_change(batch, user, &removed, &renamed)
                .await?;
            Ok(Box::new(held) as Box<dyn Any + Send>)
        })
    }
}

/// The number on the icons of applications.
struct UnreadEverywhere(Engine);

impl Badges for UnreadEverywhere {
    fn unread<'a>(&'a self, user: UserNid, user_id: &'a UserId) -> BadgeFuture<'a> {
        Box::pin(async move {
            match self.0.unread_everywhere(user, user_id).await {
                Ok(unread) => Some(unread),
                Err(error) => {
                    tracing::warn!(user.id = %user_id, %error, "what is unread cannot be counted");
                    None
                }
            }
        })
    }
}

/// What the rooms need to know of the users.
struct UserProfiles(Users);

impl UserProfiles {
    async fn read(&self, user: &UserId) -> Result<MemberProfile, StoreError> {
        let Some(number) = self.0.number(user).await? else {
            return Ok(MemberProfile::default());
        };
        let profile = self.0.profile(number).await?.0;
        let field = |name| profile.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(MemberProfile {
            displayname: field("displayname"),
            avatar_url: field("avatar_url"),
        })
    }

    async fn refuses(&self, invitee: &UserId, inviter: &UserId) -> Result<bool, StoreError> {
        let Some(number) = self.0.number(invitee).await? else {
            return Ok(false);
        };
        let permission = self.0.invite_permission(number, inviter).await?;
        Ok(permission == InvitePermission::Block)
    }
}

impl Profiles for UserProfiles {
    fn profile<'a>(
        &'a self,
        user: &'a UserId,
    ) -> Pin<Box<dyn Future<Output = MemberProfile> + Send + 'a>> {
        Box::pin(async move {
            // A member event without a name is better than no member.
            self.read(user).await.unwrap_or_else(|error| {
                tracing::warn!(user.id = %user, %error, "a profile cannot be read");
                MemberProfile::default()
            })
        })
    }

    fn refuses_invite<'a>(
        &'a self,
        invitee: &'a UserId,
        inviter: &'a UserId,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            // Where it cannot be known the invitation goes out: sync asks again before it tells anybody.
            self.refuses(invitee, inviter)
                .await
                .unwrap_or_else(|error| {
                    tracing::warn!(user.id = %invitee, %error, "invite permissions cannot be read");
                    false
                })
        })
    }

    fn guests<'a>(
        &'a self,
        users: &'a [UserNid],
    ) -> Pin<Box<dyn Future<Output = Result<Vec<OwnedUserId>, StoreError>> + Send + 'a>> {
        Box::pin(self.0.guests_among(users))
    }
}

fn sync_options(config: &Config) -> sync::Options {
    sync::Options {
        max_timeout: Duration::from_millis(config.limits.sync_timeout_ms),
        max_timeline_events: config.limits.sync_timeline_events,
        session_bytes: SESSION_BYTES,
        presence: sync::PresenceOptions {
            enabled: config.presence.enabled,
            idle_after: Duration::from_millis(config.presence.idle_after_ms),
            offline_after: Duration::from_millis(config.presence.offline_after_ms),
        },
    }
}

/// Sessions kept in memory: about 100,000 users with 8 rooms each.
const SESSION_BYTES: usize = 192 << 20;

fn delayed_options(config: &Config) -> DelayedOptions {
    DelayedOptions {
        max_events: config.calls.max_delayed_events,
        max_delay_ms: config.calls.max_event_delay_ms,
    }
}

fn room_options(config: &Config) -> RoomOptions {
    let notices = &config.server_notices.localpart;
    let notices = UserId::parse(format!("@{notices}:{}", config.server_name));
    // Half of the memory for rooms themselves, half for their recent events.
    RoomOptions {
        notices_user: notices
            .ok()
            .filter(|_| !config.server_notices.localpart.is_empty()),
        default_version: config.rooms.default_version.clone(),
        room_cache_bytes: config.rooms.cache_bytes / 2,
        event_cache_bytes: config.rooms.cache_bytes / 2,
    }
}
