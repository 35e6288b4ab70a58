"""A user of matrix-nio over the loss of a server and its return from a backup:

    python survive.py http://127.0.0.1:8008 USER PASSWORD

Sends, writes `backup`; at the next line on standard input sends on, and writes `destroy`; at the next line after that the
server is back, as it was at `backup`. The session goes on by itself: it does not log in again.
Ends with a line and exit code 0, or with what went wrong and another code.
"""

import asyncio
import sys

import nio
from talk import good, message, page_back, text, until

ALTOGETHER_S = 300


async def tell(word):
    """Says how far this is, and waits to be told to go on."""
    print(word, flush=True)
    await asyncio.to_thread(sys.stdin.readline)


async def said(client, room_id, body):
    """Sends and waits until the session hears it."""
    sent = await text(client, room_id, body)
    heard = await until(client, body, message(room_id, body))
    assert heard.event_id == sent, heard


async def survive(url, user, password):
    client = nio.AsyncClient(url, user)
    good(await client.login(password, device_name="survivor"))
    good(await client.sync(full_state=True))
    room_id = good(await client.room_create(name="nio", topic="backups")).room_id
    await until(client, "the room", lambda sync: room_id in sync.rooms.join)
    for number in range(25):
        await said(client, room_id, f"before {number}")
    await tell("backup")

    await said(client, room_id, "after the backup")
    good(await client.room_create(name="made after the backup"))
    await tell("destroy")

    await said(client, room_id, "afterwards")
    assert client.rooms[room_id].name == "nio", client.rooms[room_id].name
    bodies = [getattr(event, "body", None) for event in await page_back(client, room_id)]
    spoken = [body for body in bodies if body]
    assert spoken == [*(f"before {number}" for number in range(25)), "afterwards"], spoken
    await client.close()


def main():
    if len(sys.argv) != 4:
        print("usage: python survive.py URL USER PASSWORD", file=sys.stderr)
        return 2
    # The library itself would try a server that does not answer again and again.
    asyncio.run(asyncio.wait_for(survive(*sys.argv[1:]), ALTOGETHER_S))
    print("matrix-nio, restored: all well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
