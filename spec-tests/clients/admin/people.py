"""An administrator, two users with rooms and files, and what they ask over HTTP."""

import os
import time

import requests

RUN = f"{int(time.time()):x}-{os.getpid()}"
PATIENCE_S = 60


class Person:
    """Somebody with an access token."""

    def __init__(self, url, token, user_id):
        self.url, self.token, self.user_id = url, token, user_id

    def ask(self, method, path, body=None, **more):
        """Sends a request as a web interface does: JSON, with the token in the header."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.request(
            method, self.url + path, json=body, headers=headers, timeout=PATIENCE_S, **more
        )

    def get(self, path):
        """The answer to a `GET` that has to go well."""
        return well(self.ask("GET", path))

    def upload(self, text):
        """A media id."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "text/plain"}
        path = "/_matrix/media/v3/upload?filename=a.txt"
        answer = requests.post(
            self.url + path, data=text.encode(), headers=headers, timeout=PATIENCE_S
        )
        return well(answer)["content_uri"].rsplit("/", 1)[1]

    def downloads(self, media_id):
        """The status of a download."""
        return self.ask("GET", f"/_matrix/client/v1/media/download/localhost/{media_id}").status_code

    def room(self, **body):
        """A new room."""
        return well(self.ask("POST", "/_matrix/client/v3/createRoom", body))["room_id"]

    def send(self, room, **content):
        """An event id."""
        transaction = f"{RUN}-{time.monotonic_ns()}"
        path = f"/_matrix/client/v3/rooms/{room}/send/m.room.message/{transaction}"
        content = {"msgtype": "m.text", **content}
        return well(self.ask("PUT", path, content))["event_id"]

    def is_logged_in(self):
        """Whether the token still holds."""
        return self.ask("GET", "/_matrix/client/v3/account/whoami").status_code == 200


def well(answer):
    """The JSON of a good answer."""
    if not answer.ok:
        raise RuntimeError(f"{answer.request.method} {answer.request.path_url}: {answer.text}")
    return answer.json()


def log_in(url, name, password):
    """A new device of `name`."""
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": name},
        "password": password,
    }
    answer = requests.post(url + "/_matrix/client/v3/login", json=body, timeout=PATIENCE_S)
    answer = well(answer)
    return Person(url, answer["access_token"], answer["user_id"])


def register(url, name):
    """A new account with the password `password-of-NAME`."""
    body = {
        "username": name,
        "password": f"password-of-{name}",
        "auth": {"type": "m.login.dummy"},
    }
    answer = requests.post(url + "/_matrix/client/v3/register", json=body, timeout=PATIENCE_S)
    answer = well(answer)
    return Person(url, answer["access_token"], answer["user_id"])
