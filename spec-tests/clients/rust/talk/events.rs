//! Events that belong to others, and files.

use std::collections::BTreeSet;

use matrix_sdk::{
    attachment::AttachmentConfig,
    deserialized_responses::TimelineEvent,
    media::{MediaFormat, MediaRequestParameters, MediaThumbnailSettings},
    room::{
        ListThreadsOptions, RelationsOptions,
        edit::EditedContent,
        reply::{EnforceThread, Reply},
    },
    ruma::{
        OwnedEventId, RoomId,
        events::{
            AnySyncMessageLikeEvent, AnySyncTimelineEvent,
            reaction::ReactionEventContent,
            relation::Annotation,
            room::{
                MediaSource,
                message::{
                    AddMentions, MessageType, ReplyWithinThread,
                    RoomMessageEventContentWithoutRelation,
                },
            },
        },
        uint,
    },
};

use super::PICTURE;
use crate::{
    Result, check,
    device::{Device, until_true},
};

/// A reaction, an edit and a thread.
pub async fn relations(
    alice: &Device,
    bob: &Device,
    room_id: &RoomId,
    root: &OwnedEventId,
) -> Result {
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

pub async fn redaction(
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
pub async fn media(alice: &Device, bob: &Device, room_id: &RoomId) -> Result {
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
