// Two users talk through a homeserver with matrix-js-sdk: node talk.mjs http://127.0.0.1:8008
//
// Register, log in, create, invite, join, talk both ways, type, read, paginate, log out.
// Ends with a line and exit code 0, or with what went wrong and another code.

import {
    ClientEvent,
    Direction,
    EventType,
    KnownMembership,
    MatrixError,
    RoomEvent,
    RoomMemberEvent,
    RoomStateEvent,
    createClient,
} from "matrix-js-sdk";
import { check, complain, quiet, waitFor } from "./device.mjs";

const [baseUrl] = process.argv.slice(2);
if (!baseUrl) {
    complain("usage: node talk.mjs URL");
    process.exit(2);
}

const run = `${Date.now().toString(36)}-${process.pid}`;

function waitForMessage(client, roomId, body) {
    const matches = (event, room) => room?.roomId === roomId && event.getContent().body === body;
    const known = client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
    const found = known.find((event) => event.getContent().body === body);
    if (found) return Promise.resolve([found]);
    return waitFor(`"${body}"`, client, RoomEvent.Timeline, matches);
}

async function registerAndLogIn(name) {
    const username = `js-${name}-${run}`;
    const password = `password of ${name}`;
    const anonymous = createClient({ baseUrl, logger: quiet });
    const flows = await anonymous.loginFlows();
    check(flows.flows.some((flow) => flow.type === "m.login.password"), "no password login");
    check(await anonymous.isUsernameAvailable(username), `${username} is taken`);
    await registerAsClientsDo(anonymous, username, password);
    const login = await anonymous.loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: username },
        password,
        initial_device_display_name: "spec-tests",
    });
    const client = createClient({
        baseUrl,
        userId: login.user_id,
        deviceId: login.device_id,
        accessToken: login.access_token,
        logger: quiet,
    });
    check((await client.whoami()).user_id === login.user_id, "whoami is somebody else");
    return client;
}

/** Asks for the flows first, then completes the session, as Element does. */
async function registerAsClientsDo(anonymous, username, password) {
    let session;
    try {
        await anonymous.registerRequest({ username, password });
        throw new Error("registered without any stage");
    } catch (error) {
        if (!(error instanceof MatrixError) || error.httpStatus !== 401) throw error;
        session = error.data.session;
    }
    const auth = { type: "m.login.dummy", session };
    await anonymous.registerRequest({ username, password, auth, inhibit_login: true });
}

async function start(client) {
    const prepared = waitFor("the first sync", client, ClientEvent.Sync, (state) => state === "PREPARED");
    await client.startClient({ initialSyncLimit: 5, lazyLoadMembers: true });
    await prepared;
}

async function talk() {
    const alice = await registerAndLogIn("alice");
    const bob = await registerAndLogIn("bob");
    await start(alice);
    await start(bob);

    await alice.setDisplayName("Alice of the tests");
    const invited = waitFor("the invite", bob, RoomEvent.MyMembership, (_, membership) => {
        return membership === KnownMembership.Invite;
    });
    const { room_id: roomId } = await alice.createRoom({ name: "js-sdk", topic: "tests", preset: "private_chat" });
    await alice.invite(roomId, bob.getUserId());
    const [invitation] = await invited;
    check(invitation.roomId === roomId, "invited to another room");
    const seen = waitFor("bob's join", alice, RoomStateEvent.Members, (event, _, member) => {
        return event.getRoomId() === roomId && member.userId === bob.getUserId() && member.membership === "join";
    });
    await bob.joinRoom(roomId);
    await seen;

    const question = waitForMessage(bob, roomId, "Can you hear me?");
    const sent = await alice.sendTextMessage(roomId, "Can you hear me?");
    const [heard] = await question;
    check(heard.getId() === sent.event_id, "another event id");
    check(heard.sender?.name === "Alice of the tests", `the sender is called ${heard.sender?.name}`);

    const typing = waitFor("bob's typing", alice, RoomMemberEvent.Typing, (_, member) => {
        return member.userId === bob.getUserId() && member.typing;
    });
    await bob.sendTyping(roomId, true, 20_000);
    await typing;
    const read = waitFor("bob's receipt", alice, RoomEvent.Receipt, (event, room) => {
        return room.roomId === roomId && sent.event_id in event.getContent();
    });
    await bob.sendReadReceipt(heard);
    await read;

    const answer = waitForMessage(alice, roomId, "Loud and clear.");
    await bob.sendTextMessage(roomId, "Loud and clear.");
    const [answered] = await answer;
    const reaction = waitFor("the reaction", bob, RoomEvent.Timeline, (event) => event.getType() === "m.reaction");
    await alice.sendEvent(roomId, EventType.Reaction, {
        "m.relates_to": { rel_type: "m.annotation", event_id: answered.getId(), key: "👍" },
    });
    await reaction;
    const redacted = waitFor("the redaction", bob, RoomEvent.Redaction, () => true);
    await alice.redactEvent(roomId, sent.event_id);
    await redacted;

    await alice.setRoomTopic(roomId, "paging");
    for (let n = 0; n < 25; n++) await alice.sendTextMessage(roomId, `line ${n}`);
    await waitForMessage(bob, roomId, "line 24");
    await paginate(roomId);
    await alice.setRoomTag(roomId, "m.favourite", { order: 0.5 });
    await alice.setAccountData("m.direct", { [bob.getUserId()]: [roomId] });
    await bob.leave(roomId);
    await bob.forget(roomId);
    for (const client of [alice, bob]) {
        client.stopClient();
        await client.logout(true);
    }

    /** A fresh device pages back from its first sync to the room's creation. */
    async function paginate(roomId) {
        const fresh = createClient({
            baseUrl,
            userId: bob.getUserId(),
            deviceId: bob.getDeviceId(),
            accessToken: bob.getAccessToken(),
            logger: quiet,
        });
        await start(fresh);
        const room = fresh.getRoom(roomId);
        const timeline = room.getLiveTimeline();
        for (let page = 0; page < 50 && timeline.getPaginationToken(Direction.Backward); page++) {
            await fresh.scrollback(room, 7);
        }
        const lines = timeline.getEvents().map((event) => event.getContent().body);
        const expected = Array.from({ length: 25 }, (_, n) => `line ${n}`);
        const seen = lines.filter((body) => body?.startsWith("line "));
        check(JSON.stringify(seen) === JSON.stringify(expected), `paged to ${JSON.stringify(seen)}`);
        check(timeline.getEvents()[0].getType() === "m.room.create", "paging did not reach the beginning");
        fresh.stopClient();
    }
}

try {
    await talk();
    process.stdout.write("matrix-js-sdk: all well\n", () => process.exit(0));
} catch (error) {
    complain(error);
    process.exit(1);
}
