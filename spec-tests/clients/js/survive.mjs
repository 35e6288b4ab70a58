// Two users of matrix-js-sdk, encrypted, over the loss of a server and its return from a backup:
//
//     node survive.mjs http://127.0.0.1:8008 ALICE BOB PASSWORD
//
// They talk and write `backup`; at the next line on standard input they talk on, and write `destroy`; at the next line after
// that the server is back, as it was at `backup`. Their sessions go on by themselves: nobody logs in, nobody starts anew.
// Ends with a line and exit code 0, or with what went wrong and another code.

import { createInterface } from "node:readline";
import { Direction } from "matrix-js-sdk";
import { check, complain, device, encryptedRoom, read, until } from "./device.mjs";

const [baseUrl, aliceName, bobName, password] = process.argv.slice(2);
if (!password) {
    complain("usage: node survive.mjs URL ALICE BOB PASSWORD");
    process.exit(2);
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Says how far this is, and waits to be told to go on. */
async function tell(word) {
    process.stdout.write(`${word}\n`);
    await lines.next();
}

/** Both ways, each message read by the other. */
async function talk(alice, bob, roomId, words) {
    await alice.sendTextMessage(roomId, `Alice ${words}`);
    await read(bob, roomId, `Alice ${words}`);
    await bob.sendTextMessage(roomId, `Bob ${words}`);
    await read(alice, roomId, `Bob ${words}`);
}

/** Every message of the room that the server has and this client can read, through /messages. */
async function history(client, roomId) {
    const timeline = client.getRoom(roomId).getLiveTimeline();
    while (timeline.getPaginationToken(Direction.Backward)) {
        await client.paginateEventTimeline(timeline, { backwards: true, limit: 5 });
    }
    for (const event of timeline.getEvents()) await client.decryptEventIfNeeded(event);
    return timeline.getEvents().map((event) => event.getContent().body).filter(Boolean);
}

async function survive() {
    const alice = await device(baseUrl, aliceName, password);
    const bob = await device(baseUrl, bobName, password);
    const roomId = await encryptedRoom(alice, bob);
    for (let n = 0; n < 15; n++) await talk(alice, bob, roomId, `before ${n}`);
    await tell("backup");

    await talk(alice, bob, roomId, "after the backup");
    const left = await alice.createRoom({ name: "made after the backup" });
    await until("the other room", () => alice.getRoom(left.room_id));
    await tell("destroy");

    await talk(alice, bob, roomId, "afterwards");
    for (const client of [alice, bob]) {
        const bodies = await history(client, roomId);
        for (let n = 0; n < 15; n++) {
            for (const who of ["Alice", "Bob"]) {
                const copies = bodies.filter((body) => body === `${who} before ${n}`).length;
                check(copies === 1, `"${who} before ${n}" is there ${copies} times for ${client.getUserId()}`);
            }
        }
    }
    // A device that nobody has talked to needs a one-time key of the others, and they one of its own.
    const fresh = await device(baseUrl, bobName, password);
    await until("the new device", async () => {
        const devices = await alice.getCrypto().getUserDeviceInfo([bob.getUserId()]);
        return devices.get(bob.getUserId())?.has(fresh.getDeviceId());
    });
    await alice.sendTextMessage(roomId, "Three hear this");
    for (const client of [bob, fresh]) await read(client, roomId, "Three hear this");
    await fresh.sendTextMessage(roomId, "and this");
    for (const client of [alice, bob]) await read(client, roomId, "and this");
    for (const client of [alice, bob, fresh]) client.stopClient();
}

try {
    await survive();
    process.stdout.write("matrix-js-sdk, restored: all well\n", () => process.exit(0));
} catch (error) {
    complain(error);
    process.exit(1);
}
