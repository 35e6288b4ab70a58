"""synadm, a command line for Synapse's admin API, looks after a server: python by_synadm.py URL ADMIN PASSWORD

Runs its commands and looks at their effects from the users' side. Ends with a line and exit code 0, or with what went
wrong and another code.
"""

import json
import os
import sys
import tempfile
import time

# synadm keeps a log in the home directory, and makes it when it is loaded.
HOME = tempfile.TemporaryDirectory()
os.environ["HOME"] = HOME.name

import yaml  # noqa: E402
from click.testing import CliRunner  # noqa: E402
from synadm.cli import root  # noqa: E402

from people import log_in, register  # noqa: E402

PATIENCE_S = 60


class Synadm:
    """Runs commands and keeps count of them."""

    def __init__(self, url, admin):
        self.config = os.path.join(HOME.name, "synadm.yaml")
        self.commands = set()
        with open(self.config, "w", encoding="utf-8") as file:
            yaml.dump(
                {
                    "user": "root",
                    "token": admin.token,
                    "protocol": "http",
                    "base_url": url,
                    "admin_path": "/_synapse/admin",
                    "matrix_path": "/_matrix",
                    "timeout": PATIENCE_S,
                    "homeserver": "localhost",
                    "ssl_verify": True,
                    "server_discovery": "well-known",
                    "format": "minified",
                },
                file,
            )

    def run(self, *arguments):
        """What the command writes."""
        arguments = [str(argument) for argument in arguments]
        self.commands.add(" ".join(arguments[:2]))
        every = ["--batch", "--config-file", self.config, *arguments]
        ran = CliRunner().invoke(root, every, catch_exceptions=False)
        if ran.exit_code != 0:
            raise RuntimeError(f"synadm {' '.join(arguments)}: {ran.exit_code}: {ran.output}")
        return ran.output

    def json(self, *arguments):
        """What the command writes, read as JSON: its last line."""
        output = self.run(*arguments)
        lines = [line for line in output.splitlines() if line[:1] in ("{", "[")]
        if not lines:
            raise RuntimeError(f"synadm {arguments} says no JSON: {output}")
        return json.loads(lines[-1])


def check(holds, *what):
    """Ends the run where something is not as it should be."""
    if not holds:
        raise AssertionError(" ".join(str(part) for part in what))


def users(synadm, url):
    """Accounts: made, found, changed, closed."""
    made = synadm.json("user", "modify", "@paul:localhost", "-P", "password-of-paul", "-n", "Paul")
    check(made["name"] == "@paul:localhost" and made["displayname"] == "Paul", made)
    paul = log_in(url, "paul", "password-of-paul")
    found = synadm.json("user", "search", "paul")
    check([user["name"] for user in found["users"]] == ["@paul:localhost"], found)
    listed = synadm.json("user", "list", "--limit", 1, "--sort-by", "creation_ts", "--reverse")
    check(listed["users"][0]["name"] == "@paul:localhost" and listed["next_token"] == "1", listed)
    admins = synadm.json("user", "list", "--admins")
    check([user["name"] for user in admins["users"]] == ["@root:localhost"], admins)
    details = synadm.json("user", "details", "@paul:localhost")
    check(details["admin"] is False and details["threepids"] == [], details)
    synadm.run("user", "modify", "@paul:localhost", "--admin", "--user-type", "bot")
    details = synadm.json("user", "details", "@paul:localhost")
    check(details["admin"] is True and details["user_type"] == "bot", details)
    synadm.run("user", "modify", "@paul:localhost", "--no-admin", "--user-type", "regular")
    synadm.run("user", "modify", "@paul:localhost", "--lock")
    check(not paul.is_logged_in(), "a locked account is used")
    synadm.run("user", "modify", "@paul:localhost", "--unlock")
    check(paul.is_logged_in(), "an unlocked account is not used")
    synadm.run("user", "suspend", "@paul:localhost")
    refused = paul.ask("POST", "/_matrix/client/v3/createRoom", {})
    check(refused.json()["errcode"] == "M_USER_SUSPENDED", refused.text)
    synadm.run("user", "suspend", "--unsuspend", "@paul:localhost")
    room = paul.room()
    member = synadm.json("user", "membership", "--ids", "@paul:localhost")
    check(member["joined_rooms"] == [room] and member["total"] == 1, member)
    whois = synadm.json("user", "whois", "@paul:localhost")
    check(len(whois["devices"]) == 1, whois)
    token = synadm.json("user", "login", "@paul:localhost", "--expire-days", 1)["access_token"]
    check(token, "no token")
    # The device that the token is in was never seen; the other one is used today.
    synadm.run("user", "prune-devices", "@paul:localhost", "--min-days", 1, "--min-surviving", 1)
    whois = synadm.json("user", "whois", "@paul:localhost")
    check(len(whois["devices"]) == 1, whois)
    synadm.run("user", "password", "@paul:localhost", "-p", "another-of-paul")
    check(not paul.is_logged_in(), "a device stays logged in")
    paul = log_in(url, "paul", "another-of-paul")
    for lookup in (["3pid", "a@example.org"], ["auth-provider", "--provider", "oidc", "a"]):
        nobody = synadm.run("user", *lookup)
        check("could not be" in nobody or "M_NOT_FOUND" in nobody, nobody)
    synadm.run("user", "deactivate", "--gdpr-erase", "@paul:localhost")
    check(not paul.is_logged_in(), "a closed account is used")
    details = synadm.json("user", "details", "@paul:localhost")
    check(details["deactivated"] and details["erased"], details)
    synadm.run("user", "modify", "@paul:localhost", "--activate", "-P", "third-of-paul")
    log_in(url, "paul", "third-of-paul")


def rooms(synadm, url):
    """Rooms: found and looked at."""
    mary = register(url, "mary")
    room = mary.room(name="Harbour", room_alias_name="harbour", preset="public_chat")
    listed = synadm.json("room", "search", "harb")
    check([found["room_id"] for found in listed["rooms"]] == [room], listed)
    listed = synadm.json("room", "list", "--sort", "joined_members", "--limit", 1)
    check(listed["total_rooms"] >= 1 and len(listed["rooms"]) == 1, listed)
    details = synadm.json("room", "details", room)
    check(details["name"] == "Harbour" and details["joined_members"] == 1, details)
    members = synadm.json("room", "members", room)
    check(members["members"] == [mary.user_id], members)
    state = synadm.json("room", "state", room)
    check("m.room.create" in [event["type"] for event in state["state"]], state)
    powers = synadm.run("room", "power-levels", "--room-id", room)
    check("harbour" in powers.lower() or room in powers, powers)
    resolved = synadm.run("room", "resolve", "#harbour:localhost")
    check(room in resolved, resolved)


def deletions(synadm, url):
    """Rooms: blocked, relieved of their past, deleted."""
    lucy = register(url, "lucy")
    room = lucy.room(name="Market")
    first = lucy.send(room, body="first")
    lucy.send(room, body="second")
    synadm.run("room", "block", "--block", room)
    status = synadm.json("room", "block-status", room)
    check(status["block"] is True and status["user_id"] == "@root:localhost", status)
    synadm.run("room", "block", "--unblock", room)
    check(synadm.json("room", "block-status", room)["block"] is False, "still blocked")
    soon = int(time.time() * 1000) + 1_000
    purge = synadm.json("history", "purge", "--delete-local", "--before-ts", soon, room)
    until(lambda: synadm.json("history", "purge-status", purge["purge_id"])["status"], "complete")
    gone = lucy.ask("GET", f"/_matrix/client/v3/rooms/{room}/event/{first}")
    check(gone.status_code == 404, gone.text)
    deletion = synadm.json("room", "delete", "--message", "It is closed.", room)
    status = ["room", "delete-status", "--delete-id", deletion["delete_id"]]
    until(lambda: synadm.json(*status)["status"], "complete")
    listed = synadm.json("room", "search", "Market")
    check(listed["total_rooms"] == 0, listed)
    sent = lucy.ask("GET", f"/_matrix/client/v3/rooms/{room}/state")
    check(sent.status_code in (403, 404), sent.text)


def until(ask, wanted):
    """Asks until it is as wanted; what takes a minute is wrong."""
    deadline = time.monotonic() + PATIENCE_S
    while (said := ask()) != wanted:
        check(time.monotonic() < deadline, said)
        time.sleep(0.05)


def files(synadm, url):
    """Files: listed, put into quarantine, protected, deleted."""
    john = register(url, "john")
    bad, good, old = (john.upload(f"{word} file of john") for word in ("bad", "good", "old"))
    room = john.room()
    john.send(room, body="look", msgtype="m.file", url=f"mxc://localhost/{bad}")
    listed = synadm.json("media", "list", "--room-id", room)
    check(listed["local"] == [f"mxc://localhost/{bad}"], listed)
    listed = synadm.json("user", "media", "--ts", john.user_id)
    check(listed["total"] == 3, listed)
    listed = synadm.json("media", "list", "--ts", "--user-id", john.user_id, "--sort", "media_length")
    lengths = [file["media_length"] for file in listed["media"]]
    check(lengths == sorted(lengths), listed)
    synadm.run("media", "quarantine", "--media-id", bad)
    check(john.downloads(bad) == 404, "a file in quarantine is found")
    again = john.upload("bad file of john")
    check(john.downloads(again) == 404, "a file in quarantine is found under another name")
    synadm.run("media", "unquarantine", "--media-id", bad)
    check(john.downloads(bad) == 200 and john.downloads(again) == 200, "a file is not found")
    counted = synadm.json("media", "quarantine", "--room-id", room)
    check(counted["num_quarantined"] == 1, counted)
    synadm.run("media", "protect", good)
    counted = synadm.json("media", "quarantine", "--user-id", john.user_id)
    check(counted["num_quarantined"] == 1, counted)
    check(john.downloads(good) == 200 and john.downloads(old) == 404, "a protected file is not")
    gone = synadm.json("media", "delete", "--media-id", old)
    check(gone["deleted_media"] == [old], gone)
    time.sleep(0.01)
    gone = synadm.json("media", "delete", "--before-ts", int(time.time() * 1000), "--delete-profiles")
    check({bad, again} <= set(gone["deleted_media"]), gone)
    check(john.downloads(good) == 200, "a protected file is deleted")
    purged = synadm.json("media", "purge", "--before-days", 1)
    check(purged["deleted"] == 0, purged)


def tokens(synadm):
    """Registration tokens: made, changed, revoked."""
    made = synadm.json("regtok", "new", "--token", "welcome", "--uses-allowed", 2)
    check(made["token"] == "welcome" and made["uses_allowed"] == 2, made)
    synadm.run("regtok", "update", "welcome", "--uses-allowed", 5)
    details = synadm.run("regtok", "details", "welcome")
    check("5" in details, details)
    listed = synadm.run("regtok", "list", "--valid")
    check("welcome" in listed, listed)
    synadm.run("regtok", "delete", "welcome")
    check("welcome" not in synadm.run("regtok", "list"), "a token that was deleted is listed")


def main():
    """All of it."""
    url, name, password = sys.argv[1:]
    synadm = Synadm(url, log_in(url, name, password))
    version = synadm.json("version")
    check(version["server_version"].startswith("Myelin "), version)
    users(synadm, url)
    rooms(synadm, url)
    deletions(synadm, url)
    files(synadm, url)
    tokens(synadm)
    raw = synadm.run("raw", "v1/statistics/users/media?order_by=media_length")
    check("@john:localhost" in raw, raw)
    print(f"synadm, {len(synadm.commands)} commands: all well")


main()
