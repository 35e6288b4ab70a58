// Two users and three devices talk through an encrypted room with matrix-js-sdk and its Rust crypto:
//
//     node encrypted.mjs http://127.0.0.1:8008 [pause]
//
// Cross-signing, secret storage and key backup are set up; a message is read; a new device reads it from the backup, is
// verified by emoji, and is deleted at the end. With `pause` the script writes `pause` in the middle and goes on when a
// line comes: whoever runs it may kill and restart the server meanwhile.
// Ends with a line and exit code 0, or with what went wrong and another code.

import { once } from "node:events";
import {
    CryptoEvent,
    VerificationPhase,
    VerifierEvent,
    decodeRecoveryKey,
} from "matrix-js-sdk/lib/crypto-api/index.js";
import { check, complain, device, encryptedRoom, read, register, soon, until, waitFor } from "./device.mjs";

const [baseUrl, pausing] = process.argv.slice(2);
if (!baseUrl) {
    complain("usage: node encrypted.mjs URL [pause]");
    process.exit(2);
}

const run = `${Date.now().toString(36)}-${process.pid}`;
const userOf = (name) => `e2ee-${name}-${run}`;
const passwordOf = (name) => `password of ${name}`;

/** Sets up cross-signing, secret storage and a key backup; gives what the user writes down. */
async function setUp(client, secrets) {
    const crypto = client.getCrypto();
    await crypto.bootstrapCrossSigning({
        // The first keys of a user need no password.
        authUploadDeviceSigningKeys: (upload) => upload(null),
    });
    await crypto.bootstrapSecretStorage({
        createSecretStorageKey: async () => {
            const key = await crypto.createRecoveryKeyFromPassphrase();
            secrets.key = decodeRecoveryKey(key.encodedPrivateKey);
            return key;
        },
        setupNewSecretStorage: true,
        setupNewKeyBackup: true,
    });
    const status = await crypto.getCrossSigningStatus();
    check(status.publicKeysOnDevice && status.privateKeysInSecretStorage, "cross-signing is not set up");
    await until("the key backup", () => crypto.getActiveSessionBackupVersion());
}

/** Waits until a client has heard of another device. */
async function knows(client, other) {
    const userId = other.getUserId();
    await until("the new device", async () => {
        const devices = await client.getCrypto().getUserDeviceInfo([userId]);
        return devices.get(userId)?.has(other.getDeviceId());
    });
}

/** Two devices of one user compare emoji. */
async function verify(old, fresh) {
    // A client passes over requests by devices that it has not heard of yet.
    await knows(old, fresh);
    const asked = waitFor("the request", old, CryptoEvent.VerificationRequestReceived, () => true);
    const request = await fresh.getCrypto().requestOwnUserVerification();
    const [received] = await asked;
    const phases = () => [request, received].map(({ phase, cancellationCode }) => ({ phase, cancellationCode }));
    await received.accept();
    await until("the request's acceptance", () => request.phase === VerificationPhase.Ready);
    const verifier = await soon("the start's sending", request.startVerification("m.sas.v1"), phases);
    const shown = new Promise((resolve) => verifier.once(VerifierEvent.ShowSas, resolve));
    const verified = verifier.verify();
    await until("the start", () => received.verifier);
    const shownThere = new Promise((resolve) => received.verifier.once(VerifierEvent.ShowSas, resolve));
    const verifiedThere = received.verifier.verify();
    const [here, there] = await soon("the emoji", Promise.all([shown, shownThere]), phases);
    check(JSON.stringify(here.sas.emoji) === JSON.stringify(there.sas.emoji), "different emoji");
    const done = Promise.all([here.confirm(), there.confirm(), verified, verifiedThere]);
    await soon("the verification's end", done, phases);
    await until("the cross-signature", async () => {
        const status = await old.getCrypto().getDeviceVerificationStatus(fresh.getUserId(), fresh.getDeviceId());
        return status?.crossSigningVerified;
    });
}

async function deleteDevice(client, deviceId) {
    const answer = await client.deleteDevice(deviceId).catch((error) => error.data);
    await client.deleteDevice(deviceId, {
        type: "m.login.password",
        session: answer.session,
        identifier: { type: "m.id.user", user: client.getUserId() },
        password: passwordOf("alice"),
    });
}

async function talk() {
    const [alices, bobs] = [{}, {}];
    for (const name of ["alice", "bob"]) await register(baseUrl, userOf(name), passwordOf(name));
    const alice = await device(baseUrl, userOf("alice"), passwordOf("alice"), alices);
    const bob = await device(baseUrl, userOf("bob"), passwordOf("bob"), bobs);
    await setUp(alice, alices);
    await setUp(bob, bobs);

    const roomId = await encryptedRoom(alice, bob);
    await alice.sendTextMessage(roomId, "Nobody else reads this.");
    await read(bob, roomId, "Nobody else reads this.");
    await bob.sendTextMessage(roomId, "Nor this.");
    await read(alice, roomId, "Nor this.");
    // The crypto keeps what it once learned of the backup: asked for here anew.
    await until("the backup", async () => {
        const backup = await alice.http.authedRequest("GET", "/room_keys/version");
        return backup.count >= 2;
    });

    if (pausing) {
        process.stdout.write("pause\n");
        await once(process.stdin, "data");
    }

    const fresh = await device(baseUrl, userOf("alice"), passwordOf("alice"), alices);
    await fresh.getCrypto().loadSessionBackupPrivateKeyFromSecretStorage();
    const restored = await fresh.getCrypto().restoreKeyBackup();
    check(restored.imported >= 2, `${restored.imported} keys came from the backup`);
    for (const body of ["Nobody else reads this.", "Nor this."]) await read(fresh, roomId, body);

    await verify(alice, fresh);
    // Bob learns of the new device and shares his next message with it.
    await knows(bob, fresh);
    await bob.sendTextMessage(roomId, "Now three read this.");
    for (const client of [alice, fresh]) await read(client, roomId, "Now three read this.");

    fresh.stopClient();
    await deleteDevice(alice, fresh.getDeviceId());
    await until("the device's end", async () => {
        const devices = await bob.getCrypto().getUserDeviceInfo([alice.getUserId()]);
        return !devices.get(alice.getUserId())?.has(fresh.getDeviceId());
    });
    await bob.sendTextMessage(roomId, "Two again.");
    await read(alice, roomId, "Two again.");
    for (const client of [alice, bob]) {
        client.stopClient();
        await client.logout(true);
    }
}

try {
    await talk();
    process.stdout.write("matrix-js-sdk, encrypted: all well\n", () => process.exit(0));
} catch (error) {
    complain(error);
    process.exit(1);
}
