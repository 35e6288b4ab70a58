//! Two users talk through a room: one function per thing that people do in a client.

mod events;
mod settings;

use matrix_sdk::{
    Room, RoomState,
    room::Receipts,
    ruma::{
        OwnedEventId, OwnedRoomId, RoomAliasId, RoomId,
        api::client::{
            receipt::create_receipt::v3::ReceiptType as SentReceiptType,
            room::{Visibility, create_room},
        },
        events::{
            receipt::{ReceiptThread, ReceiptType},
            room::message::RoomMessageEventContent,
        },
    },
};
use tokio::time::timeout;

use crate::{
    Result,
    account::Account,
    check,
    device::{Device, PATIENCE, body_of, until_true},
};

/// A picture of one pixel.
const PICTURE: &[u8] = include_bytes!("../../tests/content_repository/dot.png");

pub async fn talk(url: &str) -> Result {
    let alices = Account::register(url, "alice").await?;
    let bobs = Account::register(url, "bob").await?;
    let alice = alices.log_in().await?;
    let bob = bobs.log_in().await?;

    settings::session(&alice).await?;
    settings::profile(&alice).await?;
    let room_id = room(&alice, &bob).await?;
    let question = conversation(&alice, &bob, &room_id).await?;
    attention(&alice, &bob, &room_id, &question).await?;
    events::relations(&alice, &bob, &room_id, &question).await?;
    events::redaction(&alice, &bob, &room_id, &question).await?;
    events::media(&alice, &bob, &room_id).await?;
    settings::lists(&alice, &bob, &room_id).await?;
    settings::notifications(&bob, &room_id).await?;
    paging(&alice, &bobs, &room_id).await?;
    goodbye(&alice, &bob, &room_id).await
}

/// A room with a name and an alias; the invited user sees both before the join.
async fn room(alice: &Device, bob: &Device) -> Result<OwnedRoomId> {
    let local = alice.own_user_id()?.localpart();
    let alias = RoomAliasId::parse(format!("#{local}:{}", alice.own_user_id()?.server_name()))?;
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
    room.invite_user_by_id(bob.own_user_id()?).await?;
    let invited = bob.room(room.room_id()).await?;
    check(invited.state() == RoomState::Invited, "no invite")?;
    let details = invited.invite_details().await?;
    check(
        details.inviter_id == alice.own_user_id()?,
        "somebody else invites",
    )?;
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
    let sender = there
        .get_member(alice.own_user_id()?)
        .await?
        .ok_or("no sender")?;
    check(
        sender.display_name() == Some("Alice of the tests"),
        format!("the sender is called {:?}", sender.display_name()),
    )?;

    let (_guard, mut typing) = here.subscribe_to_typing_notifications();
    there.typing_notice(true).await?;
    let who = timeout(PATIENCE, typing.recv()).await??;
    check(who == [bob.own_user_id()?], "somebody else types")?;
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
            .load_user_receipt(
                ReceiptType::Read,
                ReceiptThread::Unthreaded,
                bob.own_user_id()?,
            )
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
        .mark_as_dm(room_id, &[bob.own_user_id()?.to_owned()])
        .await?;
    until_true("the direct room", async || Ok(room.is_direct().await?)).await?;
    let account = alice.account();
    account.ignore_user(bob.own_user_id()?).await?;
    until_true("the ignored user", async || {
        Ok(alice.is_user_ignored(bob.own_user_id()?).await)
    })
    .await?;
    account.unignore_user(bob.own_user_id()?).await?;
    until_true("the forgiven user", async || {
        Ok(!alice.is_user_ignored(bob.own_user_id()?).await)
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
    here.ban_user(bob.own_user_id()?, Some("for the tests"))
        .await?;
    is("the ban", &there, RoomState::Left).await?;
    check(
        bob.join_room_by_id(room_id).await.is_err(),
        "a banned user comes back",
    )?;
    here.unban_user(bob.own_user_id()?, None).await?;
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
