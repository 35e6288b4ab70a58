// Somebody who talks plain HTTP: the other side of what is seen in the browser.

import { PATIENCE_MS, check } from "./wait.mjs";

export class Person {
    #url;
    #token;
    #transactions = 0;

    static async register(url, username) {
        const person = new Person();
        person.#url = url;
        const account = { username, password: `password of ${username}`, auth: { type: "m.login.dummy" } };
        const { user_id, access_token } = await person.#json("POST", "/v3/register", account);
        person.id = user_id;
        person.#token = access_token;
        return person;
    }

    async createRoom(room) {
        return (await this.#json("POST", "/v3/createRoom", room)).room_id;
    }

    setState(room, type, content) {
        return this.#json("PUT", `/v3/rooms/${encodeURIComponent(room)}/state/${type}/`, content);
    }

    async send(room, content) {
        const path = `/v3/rooms/${encodeURIComponent(room)}/send/m.room.message/${++this.#transactions}`;
        return (await this.#json("PUT", path, content)).event_id;
    }

    say(room, body) {
        return this.send(room, { msgtype: "m.text", body });
    }

    async upload(bytes, type) {
        const answer = await this.#fetch("POST", "/_matrix/media/v3/upload", bytes, type);
        return (await answer.json()).content_uri;
    }

    async download(uri) {
        const path = uri.replace(/^mxc:\/\//, "/_matrix/client/v1/media/download/");
        return Buffer.from(await (await this.#fetch("GET", path)).arrayBuffer());
    }

    setProfile(name, value) {
        return this.#json("PUT", `/v3/profile/${encodeURIComponent(this.id)}/${name}`, { [name]: value });
    }

    /** Syncs until an event of the room's `section` matches, and gives it. */
    async waitFor(what, room, matches, section = "timeline") {
        const deadline = Date.now() + PATIENCE_MS;
        for (let since = ""; Date.now() < deadline; ) {
            const answer = await this.#json("GET", `/v3/sync?timeout=${since ? 5000 : 0}${since && `&since=${since}`}`);
            const found = answer.rooms?.join?.[room]?.[section]?.events.find(matches);
            if (found) return found;
            since = answer.next_batch;
        }
        throw new Error(`${what} did not come over the API`);
    }

    async #json(method, path, body) {
        const answer = await this.#fetch(method, `/_matrix/client${path}`, body && JSON.stringify(body));
        return answer.json();
    }

    async #fetch(method, path, body, type = "application/json") {
        const headers = { "content-type": type };
        if (this.#token) headers.authorization = `Bearer ${this.#token}`;
        const answer = await fetch(this.#url + path, { method, headers, body });
        check(answer.ok, `${method} ${path}: ${answer.status} ${answer.ok || (await answer.text())}`);
        return answer;
    }
}
