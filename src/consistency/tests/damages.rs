//! Kinds of damage, each done to a copy of the store, with the row that the check has to name.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use store::{
    Batch, Pos, RoomNid, Rsn, Scan, Store, Table,
    rows::{EventRow, MemberRow, Membership, StateRef},
    sweep,
    tables::*,
};

/// One kind of damage.
pub(super) struct Damage {
    pub(super) what: &'static str,
    /// Whether a repair heals it.
    pub(super) heals: bool,
    pub(super) inflict: fn(&Store, Option<&Path>) -> Damaged,
}

/// The row that was damaged.
pub(super) struct Damaged {
    pub(super) table: &'static str,
    pub(super) key: String,
}

fn rows<T: Table>(store: &Store) -> Vec<(T::Key, T::Value)> {
    let mut rows = Vec::new();
    store
        .sweep()
        .rows::<T>(&Scan::prefix::<T>(&()), &mut |row| {
            rows.push(row.decode::<T>().unwrap());
            true
        })
        .unwrap();
    rows
}

fn find<T: Table>(store: &Store, is: impl Fn(&T::Key, &T::Value) -> bool) -> (T::Key, T::Value) {
    let found = rows::<T>(store).into_iter().find(|(key, row)| is(key, row));
    found.unwrap_or_else(|| panic!("no row of {} is so", T::NAME))
}

fn any<T: Table>(store: &Store) -> (T::Key, T::Value) {
    find::<T>(store, |_, _| true)
}

fn write(store: &Store, write: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::new();
    write(&mut batch);
    store.queue(batch).unwrap().wait().unwrap();
}

fn put<T: Table>(store: &Store, key: &T::Key, row: &T::Value) {
    write(store, |batch| batch.put::<T>(key, row));
}

fn delete<T: Table>(store: &Store, key: &T::Key) {
    write(store, |batch| batch.delete::<T>(key));
}

fn damaged<T: Table>(key: impl Into<String>) -> Damaged {
    Damaged {
        table: T::NAME,
        key: key.into(),
    }
}

fn at(pos: Pos) -> String {
    format!("position {pos}")
}

fn number(rsn: Rsn) -> String {
    format!("event number {}", rsn.0)
}

/// Removes a row and says which.
fn remove<T: Table>(store: &Store, key: &T::Key, name: impl Into<String>) -> Damaged {
    delete::<T>(store, key);
    damaged::<T>(name)
}

type EventKey = (RoomNid, Rsn);

fn text(row: &EventRow) -> &str {
    std::str::from_utf8(&row.client).unwrap()
}

/// A message that nobody has redacted.
fn message(store: &Store) -> (EventKey, EventRow) {
    find::<Events>(store, |_, row| {
        text(row).contains("hello everybody") && row.redacted_by == Rsn::NONE
    })
}

fn change(store: &Store, (key, row): (EventKey, EventRow), from: &str, to: &str) -> Damaged {
    let change = |run: &Bytes| {
        let text = std::str::from_utf8(run).unwrap();
        Bytes::from(text.replacen(from, to, 1))
    };
    let changed = EventRow {
        client: change(&row.client),
        federation: change(&row.federation),
        ..row.clone()
    };
    assert_ne!(changed, row, "{from} is not in it");
    put::<Events>(store, &key, &changed);
    damaged::<Events>(number(key.1))
}

fn file(media: Option<&Path>, store: &Store, size_is: impl Fn(u64) -> bool) -> (PathBuf, String) {
    let (_, raw) = find::<Media>(store, |_, raw| {
        let row: serde_json::Value = serde_json::from_slice(&raw.0).unwrap();
        row["content"]["size"].as_u64().is_some_and(&size_is)
    });
    let row: serde_json::Value = serde_json::from_slice(&raw.0).unwrap();
    let sha256 = row["content"]["sha256"].as_str().unwrap().to_owned();
    let path = media
        .unwrap()
        .join("files")
        .join(&sha256[..2])
        .join(&sha256);
    (path, sha256)
}

fn file_damaged(key: String) -> Damaged {
    Damaged {
        table: "media",
        key,
    }
}

/// Changes a row's JSON.
fn json<T: Table<Value = Raw>>(
    store: &Store,
    (key, raw): (T::Key, Raw),
    change: impl FnOnce(&mut serde_json::Value),
) {
    let mut row: serde_json::Value = serde_json::from_slice(&raw.0).unwrap();
    change(&mut row);
    put::<T>(store, &key, &Raw(row.to_string().into()));
}

macro_rules! damages {
    ($($what:literal, $heals:literal, |$store:pat_param, $media:pat_param| $damage:expr;)*) => {
        pub(super) const DAMAGES: &[Damage] = &[$(Damage {
            what: $what,
            heals: $heals,
            inflict: |$store, $media| $damage,
        }),*];
    };
}

damages! {
    "a byte of an event's content flipped", false, |store, _| {
        change(store, message(store), "hello everybody", "hello everybodx")
    };
    "a byte of an event's signature flipped", false, |store, _| {
        let (key, row) = message(store);
        let federation = std::str::from_utf8(&row.federation).unwrap();
        let start = federation.find("ed25519:test\":\"").unwrap() + "ed25519:test\":\"".len();
        let signature = federation[start..start + 20].to_owned();
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        let other = format!("{first}{}", &signature[1..]);
        change(store, (key, row), &signature, &other)
    };
    "an event's braces broken", false, |store, _| {
        change(store, message(store), "\"content\":{", "\"content\":")
    };
    "an event kept under another's id", false, |store, _| {
        let (key, mut row) = message(store);
        row.event_id = format!("${}", "A".repeat(43));
        put::<Events>(store, &key, &row);
        damaged::<Events>(number(key.1))
    };
    "an event's row cut short", false, |store, _| {
        let (key, row) = message(store);
        let bytes = sweep::value_bytes::<Events>(&row);
        write(store, |batch| {
            batch.put_bytes(Events::FAMILY, &sweep::key_bytes::<Events>(&key), &bytes[..20]);
        });
        damaged::<Events>(number(key.1))
    };
    "an event's row removed", false, |store, _| {
        let (key, _) = message(store);
        remove::<Events>(store, &key, number(key.1))
    };
    "a member event's row removed", false, |store, _| {
        let (key, _) = find::<Events>(store, |_, row| {
            text(row).contains("m.room.member") && text(row).contains("@bob:")
        });
        remove::<Events>(store, &key, number(key.1))
    };
    "an event's position changed", true, |store, _| {
        let (key, mut row) = message(store);
        row.pos = Pos(row.pos.0 - 100_000);
        row.state_before = StateRef::Line(row.pos);
        put::<Events>(store, &key, &row);
        damaged::<Events>(number(key.1))
    };
    "what a state event replaced forgotten", true, |store, _| {
        let (key, mut row) = find::<Events>(store, |_, row| row.replaces != Rsn::NONE);
        row.replaces = Rsn::NONE;
        put::<Events>(store, &key, &row);
        damaged::<Events>(number(key.1))
    };
    "a redaction's mark lost", false, |store, _| {
        let (key, mut row) = find::<Events>(store, |_, row| row.redacted_by != Rsn::NONE);
        row.redacted_by = Rsn::NONE;
        put::<Events>(store, &key, &row);
        damaged::<Events>(number(key.1))
    };
    "an index row of an event removed", true, |store, _| {
        let (key, (_, _)) = any::<EventIds>(store);
        delete::<EventIds>(store, &key);
        damaged::<EventIds>("")
    };
    "an index row pointing at another event", true, |store, _| {
        let (key, (room, rsn)) = any::<EventIds>(store);
        put::<EventIds>(store, &key, &(room, Rsn(rsn.0 + 1)));
        damaged::<EventIds>("")
    };
    "an index row of no event", true, |store, _| {
        put::<EventIds>(store, &store::codec::Tail(vec![7; 32]), &(RoomNid(1), Rsn(9_999)));
        damaged::<EventIds>("0707")
    };
    "a row of the timeline removed", true, |store, _| {
        let (key, _) = any::<Timeline>(store);
        remove::<Timeline>(store, &key, at(key.1))
    };
    "a row of the timeline pointing at another event", true, |store, _| {
        let (key, mut row) = find::<Timeline>(store, |_, row| row.rsn.0 > 3);
        row.rsn = Rsn(row.rsn.0 - 1);
        put::<Timeline>(store, &key, &row);
        damaged::<Timeline>(at(key.1))
    };
    "the counters of the timeline changed", true, |store, _| {
        let (key, mut row) = find::<Timeline>(store, |_, row| row.notifying > 0);
        row.notifying += 7;
        put::<Timeline>(store, &key, &row);
        damaged::<Timeline>(at(key.1))
    };
    "a row of the log removed", true, |store, _| {
        let (pos, _) = any::<Log>(store);
        remove::<Log>(store, &pos, at(pos))
    };
    "a row of the log in another room", true, |store, _| {
        let (pos, (room, rsn)) = any::<Log>(store);
        put::<Log>(store, &pos, &(RoomNid(room.0 + 1), rsn));
        damaged::<Log>(at(pos))
    };
    "the current state gone back", true, |store, _| {
        let (key, mut row) = find::<CurrentState>(store, |_, row| row.rsn.0 > 10);
        row.rsn = Rsn(2);
        put::<CurrentState>(store, &key, &row);
        damaged::<CurrentState>("m.room.")
    };
    "a hole in a state's history", true, |store, _| {
        let (key, _) = find::<StateHistory>(store, |_, rsn| rsn.0 > 2);
        remove::<StateHistory>(store, &key, at(key.2))
    };
    "a change missing in the state log", true, |store, _| {
        let (key, _) = find::<StateLog>(store, |_, row| row.old != Rsn::NONE);
        remove::<StateLog>(store, &key, at(key.1))
    };
    "a banned member joined again", true, |store, _| {
        let (key, row) = find::<Members>(store, |_, row| row.membership == Membership::Leave);
        let row = MemberRow { membership: Membership::Join, ..row };
        put::<Members>(store, &key, &row);
        damaged::<Members>("@carol:localhost")
    };
    "a user's room removed", true, |store, _| {
        let (key, _) = find::<UserRooms>(store, |_, row| !row.forgotten);
        remove::<UserRooms>(store, &key, "localhost")
    };
    "a row of a membership's log removed", true, |store, _| {
        let (key, _) = any::<MembershipLog>(store);
        remove::<MembershipLog>(store, &key, at(key.1))
    };
    "the count of members wrong", true, |store, _| {
        let (room, mut head) = any::<RoomHeads>(store);
        head.joined += 3;
        put::<RoomHeads>(store, &room, &head);
        damaged::<RoomHeads>("!")
    };
    "a head with another extremity", true, |store, _| {
        let (room, mut head) = any::<RoomHeads>(store);
        head.forward_extremities = vec![Rsn(9_999)];
        put::<RoomHeads>(store, &room, &head);
        damaged::<RoomHeads>("!")
    };
    "a head removed", true, |store, _| {
        let (room, _) = any::<RoomHeads>(store);
        remove::<RoomHeads>(store, &room, "!")
    };
    "a room's activity gone back", true, |store, _| {
        let (room, _) = any::<Activity>(store);
        put::<Activity>(store, &room, &Pos(1));
        damaged::<Activity>("!")
    };
    "a relation removed", true, |store, _| {
        let (key, _) = any::<Relations>(store);
        remove::<Relations>(store, &key, at(key.3))
    };
    "a relation of an event that makes none", true, |store, _| {
        let ((room, parent, _, pos), row) = any::<Relations>(store);
        put::<Relations>(store, &(room, parent, 4, Pos(pos.0 - 1)), &row);
        damaged::<Relations>(at(Pos(pos.0 - 1)))
    };
    "a parent removed", true, |store, _| {
        let (key, ()) = any::<Parents>(store);
        remove::<Parents>(store, &key, at(key.1))
    };
    "a thread's row removed", true, |store, _| {
        let (key, _) = any::<Threads>(store);
        remove::<Threads>(store, &key, at(key.1))
    };
    "what a redaction took from the counts removed", true, |store, _| {
        let (key, _) = any::<Uncounted>(store);
        remove::<Uncounted>(store, &key, at(key.1))
    };
    "a highlight removed", true, |store, _| {
        let (key, ()) = any::<Highlights>(store);
        remove::<Highlights>(store, &key, at(key.2))
    };
    "a receipt at another position than its event's", true, |store, _| {
        let (key, mut row) = any::<Receipts>(store);
        row.event_pos = Pos(row.event_pos.0 + 1);
        put::<Receipts>(store, &key, &row);
        damaged::<Receipts>("localhost")
    };
    "a receipt's row in the feed removed", true, |store, _| {
        let (key, _) = any::<ReceiptLog>(store);
        remove::<ReceiptLog>(store, &key, at(key.1))
    };
    "read up to a position where nothing is", true, |store, _| {
        let (key, _) = any::<ReadUpTo>(store);
        put::<ReadUpTo>(store, &key, &Pos(3));
        damaged::<ReadUpTo>("localhost")
    };
    "threads read up to nowhere", true, |store, _| {
        let (key, _) = any::<ReadThreads>(store);
        remove::<ReadThreads>(store, &key, "localhost")
    };
    "an alias that its room does not know", true, |store, _| {
        let (key, ()) = any::<RoomAliases>(store);
        remove::<RoomAliases>(store, &key.clone(), key.1)
    };
    "a room that is not there published", true, |store, _| {
        put::<PublishedRooms>(store, &RoomNid(777), &());
        damaged::<PublishedRooms>("777")
    };
    "the number of a name removed", true, |store, _| {
        let (key, _) = find::<NumberOfName>(store, |key, _| key.1.0.starts_with(b"@bob"));
        remove::<NumberOfName>(store, &key, "@bob:localhost")
    };
    "the name of a number removed", true, |store, _| {
        let (key, _) = find::<NameOfNumber>(store, |_, name| name.0.starts_with(b"@bob"));
        remove::<NameOfNumber>(store, &key, format!("{}, {}", key.0, key.1))
    };
    "a name with another's number", true, |store, _| {
        let (key, number) = find::<NumberOfName>(store, |key, _| key.1.0.starts_with(b"@bob"));
        put::<NumberOfName>(store, &key, &(number + 1));
        damaged::<NumberOfName>("@bob:localhost")
    };
    "an access token of no device", true, |store, _| {
        let row = serde_json::json!({ "user": 1, "device": "NONE" });
        put::<AccessTokens>(store, &store::codec::Tail(vec![9; 32]), &Raw(row.to_string().into()));
        damaged::<AccessTokens>("0909")
    };
    "an access token removed", false, |store, _| {
        let (key, _) = any::<AccessTokens>(store);
        remove::<AccessTokens>(store, &key, "")
    };
    "an account's row damaged", false, |store, _| {
        let (user, _) = any::<Accounts>(store);
        put::<Accounts>(store, &user, &Raw(Bytes::from_static(b"{\"admin\":tru")));
        damaged::<Accounts>("@alice:localhost")
    };
    "the count of one-time keys wrong", true, |store, _| {
        let row = any::<KeyStocks>(store);
        let key = row.0.1.clone();
        json::<KeyStocks>(store, row, |row| row["counts"]["signed_curve25519"] = 50.into());
        damaged::<KeyStocks>(key)
    };
    "one-time keys of no device", true, |store, _| {
        let (mut key, row) = any::<OneTimeKeys>(store);
        "GONE".clone_into(&mut key.1);
        put::<OneTimeKeys>(store, &key, &row);
        damaged::<OneTimeKeys>("GONE")
    };
    "the count of a key backup wrong", true, |store, _| {
        let row = any::<KeyBackups>(store);
        json::<KeyBackups>(store, row, |row| row["count"] = 99.into());
        damaged::<KeyBackups>("@alice:localhost, 1")
    };
    "a message for a device that is gone", true, |store, _| {
        let (mut key, row) = any::<Inbox>(store);
        "GONE".clone_into(&mut key.1);
        put::<Inbox>(store, &key, &row);
        damaged::<Inbox>("GONE")
    };
    "the last change of a device list unknown", true, |store, _| {
        let (key, _) = any::<DeviceListHeads>(store);
        remove::<DeviceListHeads>(store, &key, "localhost")
    };
    "account data missing in the feed", true, |store, _| {
        let (key, _) = any::<AccountDataLog>(store);
        remove::<AccountDataLog>(store, &key, at(key.1))
    };
    "account data damaged", false, |store, _| {
        let (key, mut row) = any::<AccountData>(store);
        row.content = Bytes::from_static(b"{");
        put::<AccountData>(store, &key, &row);
        damaged::<AccountData>(key.2)
    };
    "a filter without its number", true, |store, _| {
        let (key, _) = any::<FilterNumbers>(store);
        remove::<FilterNumbers>(store, &key, "@alice:localhost")
    };
    "a pusher that its key does not lead to", true, |store, _| {
        let (key, ()) = any::<PusherUsers>(store);
        remove::<PusherUsers>(store, &key, "phone")
    };
    "a transaction answered with an event that is not there", true, |store, _| {
        let (key, mut row) = find::<Transactions>(store, |_, row| row.answer.starts_with('$'));
        row.answer = format!("${}", "B".repeat(43));
        put::<Transactions>(store, &key, &row);
        damaged::<Transactions>(key.1)
    };
    "a posting of the search index astray", true, |store, _| {
        let (key, mut row) = any::<SearchPostings>(store);
        row.0 = Rsn(9_999);
        put::<SearchPostings>(store, &key, &row);
        damaged::<SearchPostings>(at(key.2))
    };
    "a follower ahead of the log", true, |store, _| {
        put::<Cursors>(store, &"search".to_owned(), &Pos(store.visible().0 + 1_000));
        damaged::<Cursors>("search")
    };
    "a row ahead of the clock", true, |store, _| {
        let (key, mut row) = any::<AccountData>(store);
        let before = (key.0, row.pos);
        row.pos = Pos(store.visible().0 + 5_000);
        write(store, |batch| {
            batch.delete::<AccountDataLog>(&before);
            batch.put::<AccountDataLog>(&(key.0, row.pos), &(key.1, key.2.clone()));
            batch.put::<AccountData>(&key, &row);
        });
        damaged::<AccountData>("localhost")
    };
    "a use of a file removed", true, |store, _| {
        let (key, ()) = any::<MediaUses>(store);
        remove::<MediaUses>(store, &key.clone(), key.2)
    };
    "what a user has uploaded summed up wrong", true, |store, _| {
        let row = any::<MediaUsage>(store);
        json::<MediaUsage>(store, row, |row| row["bytes"] = 1.into());
        damaged::<MediaUsage>("@alice:localhost")
    };
    "an announced upload removed", true, |store, _| {
        let (key, _) = any::<PendingMedia>(store);
        remove::<PendingMedia>(store, &key.clone(), key.1)
    };
    "a file missing", false, |store, media| {
        let (path, sha256) = file(media, store, |_| true);
        std::fs::remove_file(path).unwrap();
        file_damaged(sha256)
    };
    "a file cut short", false, |store, media| {
        let (path, sha256) = file(media, store, |size| size == 9);
        std::fs::write(path, b"some").unwrap();
        file_damaged(sha256)
    };
    "a byte of a file flipped", false, |store, media| {
        let (path, sha256) = file(media, store, |size| size == 9);
        std::fs::write(path, b"some tex!").unwrap();
        file_damaged(sha256)
    };
}
