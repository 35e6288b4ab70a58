// What the scripts share: patience, quiet, and devices of users with encryption.

import { ClientEvent, createClient } from "matrix-js-sdk";

/** Writes to the console, which the library would fill with its own log. */
export const complain = console.error;
for (const level of ["trace", "debug", "log", "info", "warn", "error"]) console[level] = () => {};

const PATIENCE_MS = 60_000;
/** A logger that says nothing. */
export const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, getChild: () => quiet };

export function check(condition, message) {
    if (!condition) throw new Error(message);
}

/** Resolves when `matches` holds for what `emitter` tells; fails after PATIENCE_MS. */
export function waitFor(what, emitter, event, matches) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${what} did not come`)), PATIENCE_MS);
        const listener = (...args) => {
            if (!matches(...args)) return;
            clearTimeout(timer);
            emitter.off(event, listener);
            resolve(args);
        };
        emitter.on(event, listener);
    });
}

/** What `promise` becomes; fails after PATIENCE_MS, with what `state` says by then. */
export function soon(what, promise, state = () => "") {
    return new Promise((resolve, reject) => {
        const late = () => reject(new Error(`${what} did not come: ${JSON.stringify(state())}`));
        const timer = setTimeout(late, PATIENCE_MS);
        promise.then(resolve, reject).finally(() => clearTimeout(timer));
    });
}

export async function until(what, condition) {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
        const found = await condition();
        if (found) return found;
        check(Date.now() < end, `${what} did not come`);
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
}

/** Makes an account, as whoever may. */
export async function register(baseUrl, user, password) {
    await createClient({ baseUrl, logger: quiet }).registerRequest({
        username: user,
        password,
        auth: { type: "m.login.dummy" },
        inhibit_login: true,
    });
}

/** A device of a user, syncing, with keys uploaded. `secrets` is what the user has written down. */
export async function device(baseUrl, user, password, secrets = {}) {
    const login = await createClient({ baseUrl, logger: quiet }).loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user },
        password,
    });
    const client = createClient({
        baseUrl,
        userId: login.user_id,
        deviceId: login.device_id,
        accessToken: login.access_token,
        logger: quiet,
        cryptoCallbacks: {
            getSecretStorageKey: async ({ keys }) => [Object.keys(keys)[0], secrets.key],
        },
    });
    await client.initRustCrypto({ useIndexedDB: false });
    const prepared = waitFor("the first sync", client, ClientEvent.Sync, (state) => state === "PREPARED");
    await client.startClient({ initialSyncLimit: 20 });
    await prepared;
    await until("the device's keys", async () => {
        const answer = await client.downloadKeysForUsers([login.user_id]);
        return answer.device_keys[login.user_id]?.[login.device_id];
    });
    return client;
}

/** Alice makes an encrypted room, and Bob joins it. */
export async function encryptedRoom(alice, bob) {
    const { room_id: roomId } = await alice.createRoom({
        preset: "private_chat",
        invite: [bob.getUserId()],
        initial_state: [
            { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } },
        ],
    });
    await until("the invite", () => bob.getRoom(roomId)?.getMyMembership() === "invite");
    await bob.joinRoom(roomId);
    await until("bob's join", () => alice.getRoom(roomId)?.getMember(bob.getUserId())?.membership === "join");
    return roomId;
}

/** Waits until a message can be read. */
export async function read(client, roomId, body) {
    const event = await until(`"${body}" for ${client.getDeviceId()}`, () => {
        const events = client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
        return events.find((event) => event.getContent().body === body);
    });
    check(event.getWireType() === "m.room.encrypted", `"${body}" was sent in the clear`);
    return event;
}
