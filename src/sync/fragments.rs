//! The small parts of a room's update, as bytes.

use rooms::{Receipt, RoomUnread, Unread, write_json_str};
use ruma::OwnedUserId;

use crate::{
    summary::Summary,
    write::{Members, basic_event, events, list},
};

pub(crate) fn write_summary(out: &mut Vec<u8>, summary: &Summary) {
    let mut object = Members::open(out);
    if !summary.heroes.is_empty() {
        let out = object.name("m.heroes");
        out.push(b'[');
        list(out, &summary.heroes, |out, hero| {
            write_json_str(out, hero.as_str());
        });
        out.push(b']');
    }
    object.number("m.joined_member_count", summary.joined.into());
    object.number("m.invited_member_count", summary.invited.into());
    object.close();
}

pub(crate) fn write_unread(room: &mut Members<'_>, unread: &RoomUnread) {
    let write = |out: &mut Vec<u8>, unread: &Unread| {
        let mut object = Members::open(out);
        object.number("notification_count", unread.notifications);
        object.number("highlight_count", unread.highlights);
        object.close();
    };
    write(room.name("unread_notifications"), &unread.main);
    if !unread.threads.is_empty() {
        let mut threads = Members::open(room.name("unread_thread_notifications"));
        for (root, unread) in &unread.threads {
            write(threads.name(root.as_str()), unread);
        }
        threads.close();
    }
}

pub(crate) fn write_ephemeral(
    room: &mut Members<'_>,
    typing: Option<&[OwnedUserId]>,
    receipts: &[Receipt],
) {
    let mut written: Vec<(&str, Vec<u8>)> = Vec::new();
    if let Some(typing) = typing {
        let mut content = b"{\"user_ids\":[".to_vec();
        list(&mut content, typing, |out, user| {
            write_json_str(out, user.as_str());
        });
        content.extend_from_slice(b"]}");
        written.push(("m.typing", content));
    }
    // A user may have a receipt for the same event in several threads, and an event has one place for each user.
    let mut threads: Vec<&str> = receipts
        .iter()
        .map(|receipt| receipt.thread.as_str())
        .collect();
    threads.sort_unstable();
    threads.dedup();
    for thread in threads {
        let of_thread = receipts
            .iter()
            .filter(|receipt| receipt.thread.as_str() == thread);
        written.push(("m.receipt", receipt_content(of_thread)));
    }
    events(room, "ephemeral", written, |out, (event_type, content)| {
        basic_event(out, event_type, &content);
    });
}

/// `{event: {kind: {user: {ts, thread_id}}}}`
fn receipt_content<'a>(receipts: impl Iterator<Item = &'a Receipt>) -> Vec<u8> {
    let mut receipts: Vec<&Receipt> = receipts.collect();
    receipts
        .sort_by(|a, b| (&a.event_id, a.kind, &a.user_id).cmp(&(&b.event_id, b.kind, &b.user_id)));
    let mut content = Vec::new();
    let mut by_event = Members::open(&mut content);
    for of_event in receipts.chunk_by(|a, b| a.event_id == b.event_id) {
        let mut by_kind = Members::open(by_event.name(of_event[0].event_id.as_str()));
        for of_kind in of_event.chunk_by(|a, b| a.kind == b.kind) {
            let mut by_user = Members::open(by_kind.name(of_kind[0].kind.as_str()));
            for receipt in of_kind {
                let mut object = Members::open(by_user.name(receipt.user_id.as_str()));
                object.number("ts", receipt.ts);
                if receipt.thread.as_str() != "" {
                    object.text("thread_id", receipt.thread.as_str());
                }
                object.close();
            }
            by_user.close();
        }
        by_kind.close();
    }
    by_event.close();
    content
}
