"""Two users talk through a homeserver with matrix-nio: python talk.py http://127.0.0.1:8008

Register, log in, create, invite, join, talk both ways, type, read, paginate, log out.
Ends with a line and exit code 0, or with what went wrong and another code.
"""

import asyncio
import os
import sys
import time

import nio

PATIENCE_S = 30
ALTOGETHER_S = 180
RUN = f"{int(time.time()):x}-{os.getpid()}"


def good(answer):
    """The answer, unless it is one of nio's errors."""
    if isinstance(answer, nio.ErrorResponse):
        raise RuntimeError(f"{type(answer).__name__}: {answer}")
    return answer


async def until(client, what, found):
    """Syncs until `found` gives something for a response."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = good(await client.sync(timeout=5_000))
        result = found(answer)
        if result:
            return result
    raise RuntimeError(f"{what} did not come")


def message(room_id, body):
    def find(sync):
        info = sync.rooms.join.get(room_id)
        events = info.timeline.events if info else []
        return next((event for event in events if getattr(event, "body", None) == body), None)

    return find


def ephemeral(room_id, kind, matches):
    def find(sync):
        info = sync.rooms.join.get(room_id)
        events = info.ephemeral if info else []
        return next((event for event in events if isinstance(event, kind) and matches(event)), None)

    return find


async def register_and_log_in(url, name):
    localpart = f"nio-{name}-{RUN}"
    password = f"password of {name}"
    first = nio.AsyncClient(url, localpart)
    good(await first.register(localpart, password))
    await first.close()
    client = nio.AsyncClient(url, localpart)
    good(await client.login(password, device_name="spec-tests"))
    whoami = good(await client.whoami())
    assert whoami.user_id == client.user_id, whoami
    good(await client.sync(full_state=True))
    return client


async def text(client, room_id, body):
    content = {"msgtype": "m.text", "body": body}
    return good(await client.room_send(room_id, "m.room.message", content)).event_id


async def page_back(client, room_id):
    """All events of the room, oldest first."""
    events = []
    start = None
    for _ in range(100):
        page = good(await client.room_messages(room_id, start, limit=7))
        events.extend(page.chunk)
        if not page.end:
            return list(reversed(events))
        start = page.end
    raise RuntimeError("paging does not end")


async def talk(url):
    alice = await register_and_log_in(url, "alice")
    bob = await register_and_log_in(url, "bob")
    good(await alice.set_displayname("Alice of the tests"))
    assert good(await bob.get_displayname(alice.user_id)).displayname == "Alice of the tests"

    created = good(await alice.room_create(name="nio", topic="tests"))
    room_id = created.room_id
    good(await alice.room_invite(room_id, bob.user_id))
    await until(bob, "the invite", lambda sync: room_id in sync.rooms.invite)
    good(await bob.join(room_id))
    await until(bob, "the room", lambda sync: room_id in sync.rooms.join)
    await until(alice, "bob's join", lambda _: bob.user_id in alice.rooms[room_id].users)

    sent = await text(alice, room_id, "Can you hear me?")
    heard = await until(bob, "the question", message(room_id, "Can you hear me?"))
    assert heard.event_id == sent, heard

    good(await bob.room_typing(room_id, True, timeout=20_000))
    await until(
        alice,
        "bob's typing",
        ephemeral(room_id, nio.TypingNoticeEvent, lambda event: bob.user_id in event.users),
    )
    good(await bob.room_read_markers(room_id, sent, read_event=sent))
    await until(
        alice,
        "bob's receipt",
        ephemeral(
            room_id,
            nio.ReceiptEvent,
            lambda event: any(receipt.event_id == sent for receipt in event.receipts),
        ),
    )

    await text(bob, room_id, "Loud and clear.")
    await until(alice, "the answer", message(room_id, "Loud and clear."))
    good(await alice.room_redact(room_id, sent, reason="test"))
    good(await alice.room_put_state(room_id, "m.room.topic", {"topic": "paging"}))
    assert good(await bob.room_get_state_event(room_id, "m.room.topic")).content["topic"] == "paging"

    for number in range(25):
        await text(alice, room_id, f"line {number}")
    await until(bob, "the last line", message(room_id, "line 24"))
    bodies = [getattr(event, "body", None) for event in await page_back(bob, room_id)]
    lines = [body for body in bodies if body and body.startswith("line ")]
    assert lines == [f"line {number}" for number in range(25)], lines

    members = good(await bob.joined_members(room_id)).members
    assert {member.user_id for member in members} == {alice.user_id, bob.user_id}, members
    good(await bob.room_leave(room_id))
    good(await bob.room_forget(room_id))
    for client in (alice, bob):
        good(await client.logout())
        await client.close()


def main():
    if len(sys.argv) != 2:
        print("usage: python talk.py URL", file=sys.stderr)
        return 2
    # The library itself would try a server that does not answer again and again.
    asyncio.run(asyncio.wait_for(talk(sys.argv[1]), ALTOGETHER_S))
    print("matrix-nio: all well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
