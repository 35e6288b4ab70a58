//! Two users talk through a room: one function per thing that people do in a client.

use std::collections::BTreeSet;

use matrix_sdk::{
    Room, RoomState,
    attachment::AttachmentConfig,
    deserialized_responses::TimelineEvent,
    media::{MediaFormat, MediaRequestParameters, MediaThumbnailSettings},
    notification_settings::RoomNotificationMode,
    room::{
        ListThreadsOptions, Receipts, RelationsOptions,
        edit::EditedContent,
        reply::{EnforceThread, Reply},
    },
    room_directory_search::RoomDirectorySearch,
    ruma::{
        OwnedEventId, OwnedRoomId, RoomAliasId, RoomId, UserId,
        api::client::{
            receipt::create_receipt::v3::ReceiptType as SentReceiptType,
            room::{Visibility, create_room},
        },
        events::{
            AnySyncMessageLikeEvent, AnySyncTimelineEvent,
            reaction::ReactionEventContent,
            receipt::{ReceiptThread, ReceiptType},
            relation::Annotation,
            room::{
                MediaSource,
                message::{
                    AddMentions, MessageType, ReplyWithinThread, RoomMessageEventContent,
                    RoomMessageEventContentWithoutRelation,
                },
            },
        },
        uint,
    },
};
use tokio::time::timeout;

use crate::{
    Result,
    account::Account,
    check,
    device::{Device, PATIENCE, body_of, until, until_true},
};

/// A picture of one pixel.
const PICTURE: &[u8] = include_bytes!("../../tests/content_repository/dot.png");

pub async fn talk(url: &str) -> Result {
    let alices = Account::register(url, "alice").await?;
    let bobs = Account::register(url, "bob").await?;
    let alice = alices.log_in().await?;
    let bob = bobs.log_in().await?;

    session(&alice).await?;
    profile(&alice).await?;
    let room_id = room(&alice, &bob).await?;
    let question = conversation(&alice, &bob, &room_id).await?;
    attention(&alice, &bob, &room_id, &question).await?;
    relations(&alice, &bob, &room_id, &question).await?;
    redaction(&alice, &bob, &room_id, &question).await?;
    media(&alice, &bob, &room_id).await?;
    lists(&alice, &bob, &room_id).await?;
    notifications(&bob, &room_id).await?;
    paging(&alice, &bobs, &room_id).await?;
    goodbye(&alice, &bob, &room_id).await
}

fn id(device: &Device) -> Result<&UserId> {
    Ok(device.user_id().ok_or("nobody is logged in")?)
}

/// What a client asks of the server and of its session.
async fn session(alice: &Device) -> Result {
    check(!alice.server_versions().await?.is_empty(), "no versions")?;
    let who = alice.whoami().await?;
    check(who.user_id == id(alice)?, "whoami is somebody else")?;
    let token = alice.access_token();
    alice.refresh_access_token().await?;
    check(token != alice.access_token(), "the token stays as it was")?;
    check(alice.whoami().await?.user_id == who.user_id, "another user")?;

    let device_id = alice.device_id().ok_or("nobody is logged in")?;
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

async fn profile(alice: &Device) -> Result {
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

/// A room with a name and an alias; the invited user sees both before the join.
async fn room(alice: &Device, bob: &Device) -> Result<OwnedRoomId> {
    let local = id(alice)?.localpart();
    let alias = RoomAliasId::parse(format!("#{local}:{}", id(alice)?.server_name()))?;
    check(
        alice.is_room_alias_available(&alias).await?,
        "a free alias is taken",
    )?;
    let mut request = create_room::v3::Request::new();
    request.name = Some("rust-sdk".to_owned());
    request.topic = Some("tests".to_owned());
    request.preset = Some(create_room::v3::RoomPreset::PublicChat);
    request.visibility = Visibility::Public;
    request.room_alias_name = Some(local.to_owned());
    let room = alice.create_room(request).await?;
    check(
        !alice.is_room_alias_available(&alias).await?,
        "a taken alias is free",
    )?;

    let preview = bob.get_room_preview((&*alias).into(), Vec::new()).await?;
    check(
        preview.room_id == room.room_id() && preview.name.as_deref() == Some("rust-sdk"),
        "the preview is of another room",
    )?;
    room.invite_user_by_id(id(bob)?).await?;
    let invited = bob.room(room.room_id()).await?;
    check(invited.state() == RoomState::Invited, "no invite")?;
    let details = invited.invite_details().await?;
    check(details.inviter_id == id(alice)?, "somebody else invites")?;
    invited.join().await?;
    until_true("bob's join", async || Ok(room.joined_members_count() == 2)).await?;
    Ok(room.room_id().to_owned())
}

/// Both speak, and see the other type and read; gives the first message.
async fn conversation(alice: &Device, bob: &Device, room_id: &RoomId) -> Result<OwnedEventId> {
    let (here, there) = (alice.room(room_id).await?, bob.room(room_id).await?);
    let question = alice.send(room_id, "Can you hear me?").await?;
    let heard = bob.read(room_id, "Can you hear me?").await?;
    check(
        heard.event_id().as_ref() == Some(&question),
        "another event id",
    )?;
    let sender = there.get_member(id(alice)?).await?.ok_or("no sender")?;
    check(
        sender.display_name() == Some("Alice of the tests"),
        format!("the sender is called {:?}", sender.display_name()),
    )?;

    let (_guard, mut typing) = here.subscribe_to_typing_notifications();
    there.typing_notice(true).await?;
    let who = timeout(PATIENCE, typing.recv()).await??;
    check(who == [id(bob)?], "somebody else types")?;
    there.typing_notice(false).await?;
    let who = timeout(PATIENCE, typing.recv()).await??;
    check(who.is_empty(), "somebody types on")?;

    until_true("bob's count", async || Ok(there.num_unread_messages() > 0)).await?;
    there
        .send_single_receipt(
            SentReceiptType::Read,
            ReceiptThread::Unthreaded,
            question.clone(),
        )
        .await?;
    until_true("bob's receipt", async || {
        let receipt = here
            .load_user_receipt(ReceiptType::Read, ReceiptThread::Unthreaded, id(bob)?)
            .await?;
        Ok(receipt.is_some_and(|(event_id, _)| event_id == question))
    })
    .await?;
    until_true("the end of bob's count", async || {
        Ok(there.num_unread_messages() == 0
            && there.unread_notification_counts().notification_count == 0)
    })
    .await?;

    // As the applications do: through the queue.
    let content = RoomMessageEventContent::text_plain("Loud and clear.");
    there.send_queue().send(content.into()).await?;
    alice.read(room_id, "Loud and clear.").await?;
    Ok(question)
}

/// Markers, tags and lists that a user keeps, at all of the user's devices.
async fn attention(
    alice: &Device,
    bob: &Device,
    room_id: &RoomId,
    event_id: &OwnedEventId,
) -> Result {
    let room = alice.room(room_id).await?;
    let receipts = Receipts::new()
        .fully_read_marker(event_id.clone())
        .private_read_receipt(event_id.clone());
    room.send_multiple_receipts(receipts).await?;
    room.set_is_favourite(true, Some(0.5)).await?;
    until_true("the tag", async || Ok(room.is_favourite())).await?;
    room.set_unread_flag(true).await?;
    until_true("the flag", async || Ok(room.is_marked_unread())).await?;
    room.set_unread_flag(false).await?;

    alice
        .account()
        .mark_as_dm(room_id, &[id(bob)?.to_owned()])
        .await?;
    until_true("the direct room", async || Ok(room.is_direct().await?)).await?;
    let account = alice.account();
    account.ignore_user(id(bob)?).await?;
    until_true("the ignored user", async || {
        Ok(alice.is_user_ignored(id(bob)?).await)
    })
    .await?;
    account.unignore_user(id(bob)?).await?;
    until_true("the forgiven user", async || {
        Ok(!alice.is_user_ignored(id(bob)?).await)
    })
    .await?;

    room.pin_event(event_id).await?;
    let there = bob.room(room_id).await?;
    until_true("the pin", async || {
        Ok(there
            .pinned_event_ids()
            .is_some_and(|pinned| pinned.contains(event_id)))
    })
    .await?;
    room.set_name("renamed".to_owned()).await?;
    room.set_room_topic("other tests").await?;
    until_true("the name and the topic", async || {
        Ok(there.name().as_deref() == Some("renamed")
            && there.topic().as_deref() == Some("other tests"))
    })
    .await
}

/// A reaction, an edit and a thread.
async fn relations(alice: &Device, bob: &Device, room_id: &RoomId, root: &OwnedEventId) -> Result {
    let (here, there) = (alice.room(room_id).await?, bob.room(room_id).await?);
    let reaction = ReactionEventContent::new(Annotation::new(root.clone(), "👍".to_owned()));
    let reaction = there.send(reaction).await?.response.event_id;
    let text = RoomMessageEventContentWithoutRelation::text_plain("Can you really hear me?");
    let edit = here
        .make_edit_event(root, EditedContent::RoomMessage(text))
        .await?;
    let edit = here.send(edit).await?.response.event_id;
    let text = RoomMessageEventContentWithoutRelation::text_plain("in a thread");
    let reply = Reply {
        event_id: root.clone(),
        enforce_thread: EnforceThread::Threaded(ReplyWithinThread::No),
        add_mentions: AddMentions::Yes,
    };
    let reply = there.make_reply_event(text, reply).await?;
    let reply = there.send(reply).await?.response.event_id;

    let related = here
        .relations(root.clone(), RelationsOptions::default())
        .await?;
    let related: BTreeSet<_> = related
        .chunk
        .iter()
        .filter_map(TimelineEvent::event_id)
        .collect();
    check(
        related == BTreeSet::from([reaction, edit, reply.clone()]),
        format!("other relations: {related:?}"),
    )?;
    let threads = here
        .list_threads(ListThreadsOptions::default())
        .await?
        .chunk;
    let roots: Vec<_> = threads.iter().filter_map(TimelineEvent::event_id).collect();
    check(roots == [root.clone()], format!("other threads: {roots:?}"))?;
    let summary = threads[0].thread_summary.summary();
    check(
        summary
            .is_some_and(|summary| summary.num_replies == 1 && summary.latest_reply == Some(reply)),
        "the thread has no summary",
    )?;
    let context = there.event_with_context(root, true, uint!(4), None).await?;
    let found = context.event.and_then(|event| event.event_id());
    check(found.as_ref() == Some(root), "no event in its context")
}

async fn redaction(
    alice: &Device,
    bob: &Device,
    room_id: &RoomId,
    event_id: &OwnedEventId,
) -> Result {
    let there = bob.room(room_id).await?;
    there
        .report_content(event_id.clone(), Some("for the tests".to_owned()))
        .await?;
    alice
        .room(room_id)
        .await?
        .redact(event_id, Some("for the tests"), None)
        .await?;
    until_true("the redaction", async || {
        let event = there.event(event_id, None).await?.raw().deserialize()?;
        Ok(matches!(
            event,
            AnySyncTimelineEvent::MessageLike(AnySyncMessageLikeEvent::RoomMessage(message))
                if message.as_original().is_none()
        ))
    })
    .await
}

/// A picture is sent, and fetched in full and small.
async fn media(alice: &Device, bob: &Device, room_id: &RoomId) -> Result {
    let room = alice.room(room_id).await?;
    room.send_attachment(
        "dot.png",
        &mime::IMAGE_PNG,
        PICTURE.to_vec(),
        AttachmentConfig::new(),
    )
    .await?;
    let event = bob.read(room_id, "dot.png").await?;
    let AnySyncTimelineEvent::MessageLike(AnySyncMessageLikeEvent::RoomMessage(message)) =
        event.raw().deserialize()?
    else {
        return Err("the picture is no message".into());
    };
    let Some(MessageType::Image(image)) = message
        .as_original()
        .map(|message| &message.content.msgtype)
    else {
        return Err("the picture is no image".into());
    };
    let file = MediaRequestParameters {
        source: image.source.clone(),
        format: MediaFormat::File,
    };
    check(
        bob.media().get_media_content(&file, false).await? == PICTURE,
        "another picture",
    )?;
    let small = MediaThumbnailSettings::new(uint!(32), uint!(32));
    let small = MediaRequestParameters {
        source: image.source.clone(),
        format: MediaFormat::Thumbnail(small),
    };
    let small = bob.media().get_media_content(&small, false).await?;
    check(small.starts_with(b"\x89PNG"), "the thumbnail is no PNG")?;

    let announced = alice.media().create_content_uri().await?;
    let uri = announced.uri.clone();
    alice
        .media()
        .upload_preallocated(announced, &mime::TEXT_PLAIN, b"later".to_vec())
        .await?;
    let source = MediaSource::Plain(uri);
    let later = MediaRequestParameters {
        source,
        format: MediaFormat::File,
    };
    check(
        bob.media().get_media_content(&later, false).await? == b"later",
        "another text",
    )?;
    let limit = alice.load_or_fetch_max_upload_size().await?;
    check(limit > uint!(0), "nothing may be uploaded")
}

/// People and rooms are found.
async fn lists(alice: &Device, bob: &Device, room_id: &RoomId) -> Result {
    let local = id(alice)?.localpart();
    let found = bob.search_users(local, 10).await?.results;
    check(
        found
            .iter()
            .any(|user| user.user_id == id(alice).map_or("", UserId::as_str)),
        "alice is not found",
    )?;
    let mut directory = RoomDirectorySearch::new((**bob).clone());
    directory
        .search(Some("renamed".to_owned()), 50, None)
        .await?;
    until("the public room", async || {
        let (rooms, _) = directory.results();
        Ok(rooms
            .iter()
            .find(|room| room.room_id == room_id)
            .map(|_| ()))
    })
    .await?;
    let known: Vec<_> = bob
        .joined_rooms()
        .iter()
        .map(|room| room.room_id().to_owned())
        .collect();
    check(known == [room_id], "another list of rooms")
}

async fn notifications(bob: &Device, room_id: &RoomId) -> Result {
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
    let rules = bob.account().push_rules().await?;
    check(
        rules.content.iter().any(|rule| rule.pattern == "myelin"),
        "the keyword is not kept",
    )?;
    settings.remove_keyword("myelin").await?;
    Ok(())
}

/// A fresh device pages back from its first sync to the room's creation.
async fn paging(alice: &Device, bobs: &Account, room_id: &RoomId) -> Result {
    for line in 0..25 {
        alice.send(room_id, &format!("line {line}")).await?;
    }
    let fresh = bobs.log_in().await?;
    let timeline = fresh.timeline(room_id).await?;
    until_true("the room's beginning", async || {
        Ok(timeline
            .pagination()
            .run_backwards_once(7)
            .await?
            .reached_start)
    })
    .await?;
    let lines: Vec<String> = timeline
        .events()
        .await?
        .iter()
        .filter_map(body_of)
        .filter(|body| body.starts_with("line "))
        .collect();
    let sent: Vec<String> = (0..25).map(|line| format!("line {line}")).collect();
    check(lines == sent, format!("paged to {lines:?}"))?;
    fresh.logout().await?;
    Ok(())
}

/// One is banned, comes back when pardoned, and leaves.
async fn goodbye(alice: &Device, bob: &Device, room_id: &RoomId) -> Result {
    let (here, there) = (alice.room(room_id).await?, bob.room(room_id).await?);
    let is = async |what: &str, room: &Room, state: RoomState| {
        until_true(what, async || Ok(room.state() == state)).await
    };
    here.ban_user(id(bob)?, Some("for the tests")).await?;
    is("the ban", &there, RoomState::Left).await?;
    check(
        bob.join_room_by_id(room_id).await.is_err(),
        "a banned user comes back",
    )?;
    here.unban_user(id(bob)?, None).await?;
    bob.join_room_by_id(room_id).await?;
    is("the return", &there, RoomState::Joined).await?;
    there.leave().await?;
    there.forget().await?;
    check(bob.get_room(room_id).is_none(), "a forgotten room is there")?;
    for client in [alice, bob] {
        client.logout().await?;
    }
    Ok(())
}
