//! The older paths of the [content repository](https://spec.matrix.org/v1.19/client-server-api/#content-repository).

use spec_tests::{Client, Server};

const PNG: &[u8] = include_bytes!("content_repository/dot.png");

fn upload(client: &Client) -> String {
    let headers = [("content-type", "image/png")];
    let answer = client.send("POST", "/_matrix/media/v3/upload", &headers, Some(PNG));
    let uri = answer.ok()["content_uri"].as_str().unwrap().to_owned();
    uri.trim_start_matches("mxc://").to_owned()
}

#[test]
fn whoever_knows_the_name_downloads_where_that_is_allowed() {
    let server = Server::with(&[("media.unauthenticated_downloads", "true")]);
    let alice = server.client().register("alice");
    let media = upload(&alice);
    for what in [
        format!("download/{media}"),
        format!("download/{media}/a.png"),
        format!("thumbnail/{media}?width=1&height=1"),
    ] {
        let answer = server.client().get(&format!("/_matrix/media/v3/{what}"));
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "image/png");
    }
}

#[test]
fn a_preview_on_the_older_path_obeys_the_same_rules() {
    let server = Server::with(&[("previews.enabled", "true")]);
    let alice = server.client().register("alice");
    let path = "/_matrix/media/v3/preview_url?url=http%3A%2F%2F127.0.0.1";
    assert_eq!(alice.get(path).status, 502);
}
