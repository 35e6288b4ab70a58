//! What a user sees and sets besides the rooms.

use matrix_sdk::{
    media::MediaFormat, notification_settings::RoomNotificationMode,
    room_directory_search::RoomDirectorySearch, ruma::RoomId,
};

use super::PICTURE;
use crate::{
    Result, check,
    device::{Device, until_true},
};

/// What a client asks of the server and of its session.
pub async fn session(alice: &Device) -> Result {
    check(!alice.server_versions().await?.is_empty(), "no versions")?;
    let who = alice.whoami().await?;
    check(
        who.user_id == alice.own_user_id()?,
        "whoami is somebody else",
    )?;
    let token = alice.access_token();
    alice.refresh_access_token().await?;
    check(token != alice.access_token(), "the token stays as it was")?;
    check(alice.whoami().await?.user_id == who.user_id, "another user")?;

    let device_id = alice.own_device_id()?;
    alice.rename_device(device_id, "renamed").await?;
    let devices = alice.devices().await?.devices;
    check(
        devices.len() == 1 && devices[0].display_name.as_deref() == Some("renamed"),
        "the device keeps its name",
    )?;
    let capabilities = alice.homeserver_capabilities();
    check(
        capabilities.can_change_password().await? && capabilities.can_change_displayname().await?,
        "passwords and names cannot be changed",
    )
}

pub async fn profile(alice: &Device) -> Result {
    let account = alice.account();
    account.set_display_name(Some("Alice of the tests")).await?;
    check(
        account.get_display_name().await?.as_deref() == Some("Alice of the tests"),
        "the display name is another one",
    )?;
    let url = account
        .upload_avatar(&mime::IMAGE_PNG, PICTURE.to_vec())
        .await?;
    check(
        account.get_avatar_url().await? == Some(url),
        "another avatar",
    )?;
    let avatar = account.get_avatar(MediaFormat::File).await?;
    check(avatar.as_deref() == Some(PICTURE), "another picture")
}

/// People and rooms are found.
pub async fn lists(alice: &Device, bob: &Device, room_id: &RoomId) -> Result {
    let alices_id = alice.own_user_id()?;
    let found = bob.search_users(alices_id.localpart(), 10).await?.results;
    check(
        found.iter().any(|user| user.user_id == alices_id),
        "alice is not found",
    )?;
    let mut directory = RoomDirectorySearch::new((**bob).clone());
    directory
        .search(Some("renamed".to_owned()), 50, None)
        .await?;
    let (rooms, _) = directory.results();
    check(
        rooms.iter().any(|room| room.room_id == room_id),
        "the public room is not found",
    )?;
    let known: Vec<_> = bob
        .joined_rooms()
        .iter()
        .map(|room| room.room_id().to_owned())
        .collect();
    check(known == [room_id], "another list of rooms")
}

pub async fn notifications(bob: &Device, room_id: &RoomId) -> Result {
    let settings = bob.notification_settings().await;
    for mode in [
        RoomNotificationMode::Mute,
        RoomNotificationMode::MentionsAndKeywordsOnly,
        RoomNotificationMode::AllMessages,
    ] {
        settings.set_room_notification_mode(room_id, mode).await?;
        let now = settings
            .get_user_defined_room_notification_mode(room_id)
            .await;
        check(now == Some(mode), format!("{now:?} instead of {mode:?}"))?;
    }
    settings.delete_user_defined_room_rules(room_id).await?;
    settings.add_keyword("myelin".to_owned()).await?;
    until_true("the keyword", async || {
        let rules = bob.account().push_rules().await?;
        Ok(rules.content.iter().any(|rule| rule.pattern == "myelin"))
    })
    .await?;
    settings.remove_keyword("myelin").await?;
    Ok(())
}
