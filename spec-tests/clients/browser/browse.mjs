// Hydrogen in a browser talks to a homeserver: node browse.mjs http://127.0.0.1:8008 /usr/bin/chromium [FOLDER]
//
// Register, log in, see the rooms, accept invitations, read, write, send and see pictures, and the same encrypted.
// Bob and Carol sit before Hydrogen, Alice talks plain HTTP. Screenshots go into FOLDER, if one is given.
// Ends with a line and exit code 0, or with what went wrong and another code.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { Hydrogen } from "./hydrogen.mjs";
import { Person } from "./person.mjs";
import { serve } from "./serve.mjs";
import { PATIENCE_MS, check } from "./wait.mjs";

const [homeserver, executablePath, screenshots] = process.argv.slice(2);
if (!executablePath) {
    console.error("usage: node browse.mjs URL BROWSER [FOLDER]");
    process.exit(2);
}

const run = `${Date.now().toString(36)}-${process.pid}`;

/** Speaks with us over a pipe, listens nowhere, and asks nobody but 127.0.0.1 for anything. */
function launch() {
    const args = [
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--disable-background-networking",
        // Containers often give /dev/shm 64 MiB, which is too little for a page.
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--force-color-profile=srgb",
    ];
    // Chromium's sandbox refuses to work for root.
    if (process.getuid() === 0) args.push("--no-sandbox");
    return puppeteer.launch({ executablePath, args, pipe: true, timeout: 2 * PATIENCE_MS });
}

async function newcomer(browser, page, name) {
    const hydrogen = await Hydrogen.open(browser, page, homeserver, screenshots);
    const password = `password of ${name}`;
    hydrogen.id = await hydrogen.register(`${name}-${run}`, password);
    await hydrogen.logIn(`${name}-${run}`, password);
    return hydrogen;
}

async function talk(alice, bob, picture) {
    const bytes = await readFile(picture);
    const uri = await alice.upload(bytes, "image/png");
    await alice.setProfile("displayname", "Alice");
    await alice.setProfile("avatar_url", uri);

    const invitation = { preset: "private_chat", invite: [bob.id] };
    const garden = await alice.createRoom({ ...invitation, name: "Garden" });
    await alice.setState(garden, "m.room.avatar", { url: uri });
    await alice.createRoom({ ...invitation, name: "Kitchen" });
    await bob.acceptInvite("Garden");
    await bob.acceptInvite("Kitchen");

    // Bob looks at the kitchen meanwhile.
    await alice.say(garden, "The roses are out");
    const last = await alice.say(garden, "Come and see");
    await bob.badge("Garden", "2");
    await bob.badge("Kitchen", "");
    await bob.screenshot("rooms");
    await bob.openRoom("Garden");
    await bob.reads("The roses are out");
    await bob.reads("Come and see");
    await bob.badge("Garden", "");
    const isRead = (event) => event.content[last]?.["m.read"]?.[bob.id] !== undefined;
    await alice.waitFor("Bob's receipt", garden, isRead, "ephemeral");

    await bob.say("On my way");
    const isAnswer = (event) => event.content.body === "On my way";
    const { sender } = await alice.waitFor("Bob's message", garden, isAnswer);
    check(sender === bob.id, `${sender} instead of ${bob.id} said it`);

    await bob.sendPicture(picture);
    const isPicture = (event) => event.content.msgtype === "m.image" && event.sender === bob.id;
    const { content } = await alice.waitFor("Bob's picture", garden, isPicture);
    check(bytes.equals(await alice.download(content.url)), "Bob's picture is another one on the server");
    const { thumbnail_url } = content.info;
    check(thumbnail_url && thumbnail_url !== content.url, "Bob's client made no thumbnail");
    const info = { mimetype: "image/png", size: bytes.length, w: content.info.w, h: content.info.h };
    await alice.send(garden, { msgtype: "m.image", body: "picture.png", url: uri, info });
    await bob.seesPictures(2);
    await bob.seesAvatars();
    await bob.screenshot("timeline");

    await bob.reload();
    await alice.say(garden, "Still there?");
    await bob.reads("Still there?");
    await bob.reads("On my way");
    await bob.seesPictures(2);
}

async function whisper(alice, bob, carol, picture) {
    const room = await alice.createRoom({
        name: "Cellar",
        preset: "private_chat",
        invite: [bob.id, carol.id],
        initial_state: [{ type: "m.room.encryption", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    });
    await bob.acceptInvite("Cellar");
    await carol.acceptInvite("Cellar");
    // Whoever has not heard yet of Carol's coming does not share the key with her.
    await bob.reads(`carol-${run} joined the room`);
    await bob.say("The key is under the mat");
    await carol.reads("The key is under the mat");
    await carol.say("Found it");
    await bob.reads("Found it");
    await bob.sendPicture(picture);
    await carol.seesPictures(1, "blob:");
    await carol.screenshot("encrypted");

    const isCarols = (event) => event.sender === carol.id && event.type === "m.room.encrypted";
    const event = await alice.waitFor("Carol's message", room, isCarols);
    check(!JSON.stringify(event).includes("Found it"), "Carol's message is not encrypted");
}

async function main() {
    const page = await serve();
    const browser = await launch();
    const folder = await mkdtemp(join(tmpdir(), "hydrogen-"));
    try {
        const alice = await Person.register(homeserver, `alice-${run}`);
        const bob = await newcomer(browser, page.url, "bob");
        const picture = join(folder, "picture.png");
        await writeFile(picture, await bob.paint());
        await talk(alice, bob, picture);
        const carol = await newcomer(browser, page.url, "carol");
        await whisper(alice, bob, carol, picture);
        bob.isCalm();
        carol.isCalm();
    } finally {
        await browser.close();
        page.close();
        await rm(folder, { recursive: true });
    }
}

await main();
console.log("hydrogen-view-sdk: all well");
