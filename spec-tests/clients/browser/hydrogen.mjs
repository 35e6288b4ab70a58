// Somebody who sits before Hydrogen: clicks, types and reads what is on the screen.

import { join } from "node:path";
import { PATIENCE_MS, check } from "./wait.mjs";

const WINDOW = { width: 1000, height: 640 };

export class Hydrogen {
    #page;
    #screenshots;
    /** Errors that nobody in the client caught, and what else it says about its troubles. */
    #errors = [];
    #troubles = [];

    /** Opens the page in a profile of its own: no cookies, no sessions, no keys from before. */
    static async open(browser, url, homeserver, screenshots) {
        const hydrogen = new Hydrogen();
        const context = await browser.createBrowserContext();
        const page = await context.newPage();
        hydrogen.#page = page;
        hydrogen.#screenshots = screenshots;
        page.setDefaultTimeout(PATIENCE_MS);
        page.on("pageerror", (error) => hydrogen.#errors.push(error.message));
        page.on("console", (line) => line.type() === "error" && hydrogen.#troubles.push(line.text()));
        page.on("requestfailed", (request) => hydrogen.#troubles.push(`${request.method()} ${request.url()} failed`));
        await page.setViewport(WINDOW);
        await page.goto(`${url}?homeserver=${encodeURIComponent(homeserver)}`);
        // The service worker adds the access token to requests for media.
        await hydrogen.#until("the service worker", () => navigator.serviceWorker.controller !== null);
        return hydrogen;
    }

    register(username, password) {
        return this.#page.evaluate((...account) => window.register(...account), username, password);
    }

    async logIn(username, password) {
        await this.#type("#username", username);
        await this.#type("#password", password);
        await this.screenshot("login");
        await this.#page.click(".PasswordLoginView button[type=submit]");
        await this.#see(".SessionView .RoomList");
    }

    /** Starts the client anew, as after a crash: its session and its rooms are in the browser's database. */
    async reload() {
        await this.#page.reload();
        await this.#see(".SessionView .RoomList");
    }

    async acceptInvite(room) {
        await this.#openTile(room);
        await this.#page.locator(".InviteView .primary:not(.destructive)").click();
        await this.#isIn(room);
    }

    async openRoom(room) {
        await this.#openTile(room);
        await this.#isIn(room);
    }

    /** Waits until the room stands in the list with this badge; an empty one is no badge. */
    badge(room, badge) {
        return this.#until(`the badge "${badge}" of ${room}`, (room, badge) => {
            const tiles = [...document.querySelectorAll(".RoomList li")];
            const tile = tiles.find((tile) => tile.querySelector(".name")?.textContent === room);
            const shown = tile?.querySelector(".badge:not(.hidden)")?.textContent ?? "";
            return tile && shown === badge;
        }, room, badge);
    }

    async say(text) {
        await this.#type(".MessageComposer textarea", text);
        await this.#page.keyboard.press("Enter");
        await this.#until(`"${text}" sent`, (text) => {
            const messages = [...document.querySelectorAll(".Timeline_message:not(.unsent)")];
            return messages.some((message) => message.querySelector(".Timeline_messageBody")?.innerText.includes(text));
        }, text);
    }

    reads(text) {
        return this.#until(`"${text}" in the timeline`, (text) => {
            const tiles = [...document.querySelectorAll(".Timeline_messageBody, .AnnouncementView")];
            return tiles.some((tile) => tile.innerText.includes(text));
        }, text);
    }

    async sendPicture(path) {
        await this.#page.locator(".MessageComposer .sendFile").click();
        const [chooser] = await Promise.all([
            this.#page.waitForFileChooser(),
            this.#page.locator(".menu .picture button").click(),
        ]);
        await chooser.accept([path]);
    }

    /**
     * Waits until the timeline has so many pictures, and all of them are drawn. What the client draws from the server it has
     * by `http:`, what it has still to upload, or had to decrypt, by `blob:`.
     */
    seesPictures(count, scheme = "http:") {
        return this.#until(`${count} pictures`, (count, scheme) => {
            const pictures = [...document.querySelectorAll(".Timeline .media img")];
            const drawn = (img) => img.src.startsWith(scheme) && img.complete && img.naturalWidth > 0;
            return pictures.length === count && pictures.every(drawn);
        }, count, scheme);
    }

    /** Waits until every avatar on the screen that is a picture is drawn, and there is one. */
    seesAvatars() {
        return this.#until("the avatars", () => {
            const avatars = [...document.querySelectorAll(".avatar img")];
            return avatars.length > 0 && avatars.every((img) => img.complete && img.naturalWidth > 0);
        });
    }

    /** Nothing went wrong that the client did not expect of a server. */
    isCalm() {
        check(this.#errors.length === 0, this.#errors.join("\n"));
    }

    async screenshot(name) {
        if (!this.#screenshots) return;
        await this.#page.screenshot({ path: join(this.#screenshots, `${name}.png`) });
    }

    /** A PNG to send: large enough that the client makes a thumbnail of it, light enough to keep. */
    async paint() {
        const url = await this.#page.evaluate(() => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 260 });
            const paper = canvas.getContext("2d");
            const shapes = [
                ["#f6d8a8", () => paper.rect(0, 0, 640, 260)],
                ["#e8743b", () => paper.arc(320, 150, 80, 0, 7)],
                ["#7a9e5a", () => paper.ellipse(160, 270, 340, 110, 0, 0, 7)],
                ["#3f6b4a", () => paper.ellipse(540, 280, 320, 100, 0, 0, 7)],
            ];
            for (const [colour, shape] of shapes) {
                paper.beginPath();
                shape();
                paper.fillStyle = colour;
                paper.fill();
            }
            return canvas.toDataURL("image/png");
        });
        return Buffer.from(url.split(",")[1], "base64");
    }

    #openTile(room) {
        return this.#page.locator(`.RoomList li ::-p-text(${room})`).click();
    }

    #isIn(room) {
        return this.#until(`the room ${room}`, (room) => {
            const composer = document.querySelector(".MessageComposer textarea");
            return composer && document.querySelector(".RoomView .RoomHeader h2")?.textContent === room;
        }, room);
    }

    async #type(selector, text) {
        await this.#see(selector);
        await this.#page.type(selector, text);
    }

    #see(selector) {
        return this.#until(selector, (selector) => document.querySelector(selector)?.checkVisibility() ?? false, selector);
    }

    async #until(what, condition, ...values) {
        try {
            await this.#page.waitForFunction(condition, { polling: 50 }, ...values);
        } catch (error) {
            await this.screenshot("missing");
            const screen = await this.#page.evaluate(() => document.body.innerText);
            const troubles = [...this.#errors, ...this.#troubles].join("\n");
            throw new Error(`${what}: not there. On the screen:\n${screen}\n${troubles}`, { cause: error });
        }
    }
}
