"""The calls that Ketesa, a web interface for Synapse's admin API, makes: python by_ketesa.py URL ADMIN PASSWORD TABLE

Each call is made as Ketesa makes it, and what comes of it is held against the table in docs/administration.md: a call that
works has to answer what Ketesa reads, one that is not there has to say so. Ends with a line and exit code 0, or with what
went wrong and another code.
"""

import sys
import time
from urllib.parse import quote

from people import RUN, log_in, register, well

WORKS = "works"
ABSENT = "not there"
NOBODY = "nothing found"


def read_table(path):
    """Method and path of each row → what the table says of it."""
    rows = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
            if len(cells) == 4 and cells[0] in ("GET", "POST", "PUT", "DELETE"):
                rows[cells[0], cells[1]] = cells[2]
    return rows


class Ketesa:
    """Makes calls, and remembers what came of them."""

    def __init__(self, admin, names):
        self.admin, self.names = admin, names
        self.results = {}

    def call(self, method, template, body=None, query="", has=()):
        """Makes a call; `has` are the keys of its answer that Ketesa reads. Gives the answer."""
        path = template
        for name, value in self.names.items():
            path = path.replace("{" + name + "}", quote(value, safe=""))
        answer = self.admin.ask(method, path + query, body)
        said = answer.json()
        what = f"{method} {path}{query}: {answer.status_code} {answer.text}"
        if answer.ok:
            result = WORKS
            missing = [key for key in has if key not in said]
            if missing:
                raise AssertionError(f"{missing} missing: {what}")
        elif answer.status_code in (404, 405) and said["errcode"] == "M_UNRECOGNIZED":
            result = ABSENT
        elif answer.status_code == 404 and said["errcode"] == "M_NOT_FOUND":
            result = NOBODY
        else:
            raise AssertionError(what)
        known = self.results.setdefault((method, template), result)
        if known != result:
            raise AssertionError(f"{known} before, now {what}")
        return said


def about_the_server(ketesa):
    """The first page, and the ones without a place of their own."""
    version = ketesa.call("GET", "/_synapse/admin/v1/server_version", has=["server_version"])
    if not version["server_version"]:
        raise AssertionError(version)
    page = "?from=0&limit=10&order_by=destination&dir=f"
    destinations = "/_synapse/admin/v1/federation/destinations"
    ketesa.call("GET", destinations, query=page, has=["destinations", "total"])
    ketesa.call("GET", destinations + "/{server}")
    ketesa.call("GET", destinations + "/{server}/rooms", query="?from=0&limit=10&dir=f")
    ketesa.call("POST", destinations + "/{server}/reset_connection", {})
    page = "?from=0&limit=10&order_by=media_length&dir=b"
    ketesa.call(
        "GET", "/_synapse/admin/v1/statistics/users/media", query=page, has=["users", "total"]
    )
    ketesa.call("GET", "/_synapse/admin/v1/statistics/database/rooms", has=["rooms"])
    ketesa.call("GET", "/_synapse/admin/v1/background_updates/status", has=["current_updates"])
    ketesa.call("GET", "/_synapse/admin/v1/background_updates/enabled", has=["enabled"])
    ketesa.call("POST", "/_synapse/admin/v1/background_updates/enabled", {"enabled": True})
    ketesa.call("GET", "/_synapse/admin/v1/scheduled_tasks", has=["scheduled_tasks"])
    body = {"user_id": ketesa.names["user_id"]}
    ketesa.call("POST", "/_synapse/admin/v1/account_validity/validity", body)


def users(ketesa):
    """The list of users and one user's tabs."""
    page = "?from=0&limit=50&order_by=name&dir=f&deactivated=false&locked=false&guests=true"
    listed = ketesa.call("GET", "/_synapse/admin/v3/users", query=page, has=["users", "total"])
    one = listed["users"][0]
    for key in ("name", "is_guest", "admin", "deactivated", "shadow_banned", "creation_ts"):
        if key not in one:
            raise AssertionError(f"{key}: {one}")
    ketesa.call("GET", "/_synapse/admin/v2/users", query="?from=0&limit=10", has=["users"])
    user = "/_synapse/admin/v2/users/{user_id}"
    has = ["name", "threepids", "external_ids", "admin", "creation_ts"]
    record = ketesa.call("GET", user, has=has)
    # The form sends the whole record back, with what was changed.
    changed = {key: value for key, value in record.items() if value is not None}
    changed = ketesa.call("PUT", user, {**changed, "displayname": "Changed"}, has=has)
    if changed["displayname"] != "Changed":
        raise AssertionError(changed)
    name = f"?username=nobody-{RUN}"
    ketesa.call("GET", "/_synapse/admin/v1/username_available", query=name, has=["available"])
    ketesa.call("GET", "/_synapse/admin/v1/whois/{user_id}", has=["devices", "user_id"])
    user = "/_synapse/admin/v1/users/{user_id}"
    ketesa.call("PUT", "/_synapse/admin/v1/suspend/{user_id}", {"suspend": True})
    ketesa.call("PUT", "/_synapse/admin/v1/suspend/{user_id}", {"suspend": False})
    ketesa.call("GET", user + "/admin", has=["admin"])
    ketesa.call("PUT", user + "/admin", {"admin": False})
    ketesa.call("GET", user + "/joined_rooms", has=["joined_rooms", "total"])
    ketesa.call("GET", user + "/memberships", has=["memberships"])
    ketesa.call("GET", user + "/accountdata", has=["account_data"])
    ketesa.call("GET", user + "/pushers", has=["pushers", "total"])
    limit = {"messages_per_second": 5, "burst_count": 20}
    if ketesa.call("POST", user + "/override_ratelimit", limit) != limit:
        raise AssertionError("the rate limit is another")
    if ketesa.call("GET", user + "/override_ratelimit") != limit:
        raise AssertionError("the rate limit is not kept")
    ketesa.call("DELETE", user + "/override_ratelimit")
    ketesa.call("POST", user + "/login", {}, has=["access_token"])
    ketesa.call("POST", user + "/shadow_ban", {})
    ketesa.call("DELETE", user + "/shadow_ban")
    ketesa.call("POST", user + "/_allow_cross_signing_replacement_without_uia", {})
    ketesa.call("GET", user + "/sent_invite_count", query="?from_ts=0")
    counted = "cumulative_joined_room_count"
    ketesa.call("GET", f"{user}/{counted}", query="?from_ts=0", has=[counted])
    features = "/_synapse/admin/v1/experimental_features/{user_id}"
    ketesa.call("GET", features)
    ketesa.call("PUT", features, {"features": {"msc3881": True}})
    ketesa.call("GET", "/_synapse/admin/v1/auth_providers/{provider}/users/{external_id}")
    ketesa.call("GET", "/_synapse/admin/v1/threepid/{medium}/users/{address}")
    body = {"new_password": "another password", "logout_devices": False}
    ketesa.call("POST", "/_synapse/admin/v1/reset_password/{user_id}", body)


def devices(ketesa):
    """A user's devices."""
    devices = "/_synapse/admin/v2/users/{user_id}/devices"
    ketesa.call("POST", devices, {"device_id": ketesa.names["device_id"]})
    ketesa.call("GET", devices, has=["devices", "total"])
    has = ["device_id", "user_id", "last_seen_ts"]
    ketesa.call("GET", devices + "/{device_id}", has=has)
    ketesa.call("PUT", devices + "/{device_id}", {"display_name": "Telephone"})
    ketesa.call("DELETE", devices + "/{device_id}")
    body = {"devices": [ketesa.names["device_id"]]}
    ketesa.call("POST", "/_synapse/admin/v2/users/{user_id}/delete_devices", body)


def files(ketesa):
    """Files, of users and rooms."""
    page = "?from=0&limit=50&order_by=created_ts&dir=b"
    of_user = "/_synapse/admin/v1/users/{user_id}/media"
    listed = ketesa.call("GET", of_user, query=page, has=["media", "total"])
    if listed["total"] != 3 or listed["media"][0]["quarantined_by"] is not None:
        raise AssertionError(listed)
    ketesa.call("GET", "/_synapse/admin/v1/room/{room_id}/media", has=["local"])
    one = "/{server}/{media_id}"
    media = "/_synapse/admin/v1/media"
    ketesa.call("GET", media + one, has=["media_info"])
    ketesa.call("POST", media + "/quarantine" + one, {})
    if ketesa.admin.downloads(ketesa.names["media_id"]) != 404:
        raise AssertionError("a file in quarantine is found")
    ketesa.call("POST", media + "/unquarantine" + one, {})
    ketesa.call("POST", media + "/protect/{media_id}", {})
    ketesa.call("POST", media + "/unprotect/{media_id}", {})
    counted = ["num_quarantined"]
    ketesa.call("POST", "/_synapse/admin/v1/room/{room_id}/media/quarantine", {}, has=counted)
    ketesa.call("POST", "/_synapse/admin/v1/quarantine_media/{room_id}", {}, has=counted)
    ketesa.call("POST", "/_synapse/admin/v1/user/{user_id}/media/quarantine", {}, has=counted)
    ketesa.call("DELETE", media + one, has=["deleted_media", "total"])
    long_ago = "?before_ts=1000&size_gt=1024&keep_profiles=true"
    ketesa.call("POST", media + "/delete", {}, query=long_ago, has=["deleted_media", "total"])
    ketesa.call("POST", media + "/{server}/delete", {}, query=long_ago)
    purge = "/_synapse/admin/v1/purge_media_cache"
    ketesa.call("POST", purge, {}, query="?before_ts=1000", has=["deleted"])
    gone = ketesa.call("DELETE", of_user, has=["deleted_media", "total"])
    if gone["total"] != 2:
        raise AssertionError(gone)


def rooms(ketesa):
    """The list of rooms and one room's tabs."""
    page = "?from=0&limit=50&order_by=name&dir=f&search_term=harbour"
    has = ["rooms", "total_rooms"]
    listed = ketesa.call("GET", "/_synapse/admin/v1/rooms", query=page, has=has)
    if [room["room_id"] for room in listed["rooms"]] != [ketesa.names["room_id"]]:
        raise AssertionError(listed)
    room = "/_synapse/admin/v1/rooms/{room_id}"
    has = ["name", "joined_members", "version", "state_events", "federatable", "public"]
    ketesa.call("GET", room, has=has)
    ketesa.call("GET", room + "/members", has=["members", "total"])
    ketesa.call("GET", room + "/state", has=["state"])
    ketesa.call("GET", room + "/messages", query="?limit=10&dir=b", has=["chunk"])
    now = int(time.time() * 1000)
    ketesa.call("GET", room + "/timestamp_to_event", query=f"?ts={now}&dir=b", has=["event_id"])
    ketesa.call("GET", room + "/context/{event_id}", has=["event", "state"])
    ketesa.call("GET", room + "/hierarchy", has=["rooms"])
    ketesa.call("GET", room + "/forward_extremities", has=["count", "results"])
    ketesa.call("DELETE", room + "/forward_extremities")
    ketesa.call("GET", "/_synapse/admin/v1/fetch_event/{event_id}")
    reports = "/_synapse/admin/v1/event_reports"
    page = "?from=0&limit=10&order_by=received_ts&dir=b"
    listed = ketesa.call("GET", reports, query=page, has=["event_reports", "total"])
    ketesa.names["report_id"] = str(listed["event_reports"][0]["id"])
    ketesa.call("GET", reports + "/{report_id}", has=["event_json", "reason", "sender"])
    ketesa.call("DELETE", reports + "/{report_id}")


def tokens(ketesa):
    """Registration tokens."""
    path = "/_synapse/admin/v1/registration_tokens"
    body = {"token": ketesa.names["token"], "uses_allowed": 3}
    ketesa.call("POST", path + "/new", body, has=["token", "uses_allowed", "expiry_time"])
    ketesa.call("GET", path, query="?valid=true", has=["registration_tokens"])
    ketesa.call("GET", path + "/{token}", has=["token", "pending", "completed"])
    ketesa.call("PUT", path + "/{token}", {"uses_allowed": 4})
    ketesa.call("DELETE", path + "/{token}")


def until_done(ketesa, template, is_done):
    """Asks again until a long job has ended; a test that hangs is stopped from outside."""
    while True:
        said = ketesa.call("GET", template)
        if is_done(said):
            return said
        time.sleep(0.05)


def moderation(ketesa):
    """A notice to a user, a way into a room and power in it, and a user's words taken back."""
    notice = "/_synapse/admin/v1/send_server_notice"
    content = {"msgtype": "m.text", "body": "The server sleeps tonight."}
    body = {"user_id": ketesa.names["user_id"], "content": content}
    ketesa.call("POST", notice, body, has=["event_id"])
    once = ketesa.call("PUT", notice + "/{txn_id}", body, has=["event_id"])
    if ketesa.call("PUT", notice + "/{txn_id}", body) != once:
        raise AssertionError("the notice was sent twice")
    me = {"user_id": ketesa.admin.user_id}
    ketesa.call("POST", "/_synapse/admin/v1/join/{room_id}", me, has=["room_id"])
    ketesa.call("POST", "/_synapse/admin/v1/rooms/{room_id}/make_room_admin", me)
    redact = "/_synapse/admin/v1/user/{user_id}/redact"
    started = ketesa.call("POST", redact, {"rooms": [], "reason": "spam"}, has=["redact_id"])
    ketesa.names["redact_id"] = started["redact_id"]
    status = "/_synapse/admin/v1/user/redact_status/{redact_id}"
    said = until_done(ketesa, status, lambda said: said["status"] in ("complete", "failed"))
    if said["status"] != "complete" or said["failed_redactions"]:
        raise AssertionError(said)


def the_end(ketesa):
    """What is done last: the room's history, the room, the account."""
    block = "/_synapse/admin/v1/rooms/{room_id}/block"
    ketesa.call("PUT", block, {"block": True}, has=["block"])
    if ketesa.call("GET", block, has=["block"])["block"] is not True:
        raise AssertionError("the room is not blocked")
    ketesa.call("PUT", block, {"block": False})
    purge = "/_synapse/admin/v1/purge_history/{room_id}"
    status = "/_synapse/admin/v1/purge_history_status/{purge_id}"
    now = int(time.time() * 1000)
    for template, body in (
        (purge + "/{event_id}", {"delete_local_events": True}),
        (purge, {"purge_up_to_ts": now, "delete_local_events": True}),
    ):
        started = ketesa.call("POST", template, body, has=["purge_id"])
        ketesa.names["purge_id"] = started["purge_id"]
        said = until_done(ketesa, status, lambda said: said["status"] != "active")
        if said["status"] != "complete":
            raise AssertionError(said)
    deletion = "/_synapse/admin/v2/rooms/{room_id}"
    started = ketesa.call("DELETE", deletion, {"block": False}, has=["delete_id"])
    ketesa.names["delete_id"] = started["delete_id"]
    status = "/_synapse/admin/v2/rooms/delete_status/{delete_id}"
    said = until_done(
        ketesa, status, lambda said: said["status"] in ("complete", "failed")
    )
    if said["status"] != "complete":
        raise AssertionError(said)
    ketesa.call("GET", deletion + "/delete_status", has=["results"])
    ketesa.names["room_id"] = ketesa.names["other_room_id"]
    has = ["kicked_users", "failed_to_kick_users", "local_aliases", "new_room_id"]
    ketesa.call("DELETE", "/_synapse/admin/v1/rooms/{room_id}", {}, has=has)
    ketesa.call("POST", "/_synapse/admin/v1/deactivate/{user_id}", {"erase": True})


def compare(table, results):
    """Ends the run where the table says something else than what came of the calls."""
    wrong = []
    for call in sorted(table.keys() | results.keys()):
        said, found = table.get(call, "no row"), results.get(call, "no call")
        if said != found:
            wrong.append(f"{' '.join(call)}: the table says {said}, found {found}")
    if wrong:
        raise AssertionError("\n".join(wrong))


def main():
    """All of it."""
    url, name, password, table = sys.argv[1:]
    admin = log_in(url, name, password)
    anna = register(url, "anna")
    files_of_anna = [anna.upload(f"file {number}") for number in range(3)]
    room = anna.room(name="Old Harbour", preset="public_chat")
    event = anna.send(room, body="b", msgtype="m.file", url=f"mxc://localhost/{files_of_anna[0]}")
    report = f"/_matrix/client/v3/rooms/{room}/report/{event}"
    well(anna.ask("POST", report, {"reason": "rude"}))
    ketesa = Ketesa(
        admin,
        {
            "user_id": anna.user_id,
            "device_id": "TELEPHONE",
            "room_id": room,
            "event_id": event,
            "other_room_id": anna.room(),
            "server": "localhost",
            "media_id": files_of_anna[0],
            "token": "from-ketesa",
            "txn_id": "from-ketesa",
            "provider": "oidc",
            "external_id": "a/b",
            "medium": "email",
            "address": "anna@example.org",
        },
    )
    for part in (about_the_server, users, devices, rooms, files, tokens, moderation, the_end):
        part(ketesa)
    compare(read_table(table), ketesa.results)
    print(f"Ketesa, {len(ketesa.results)} calls: all well")


main()
