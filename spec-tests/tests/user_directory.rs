//! [User directory](https://spec.matrix.org/v1.19/client-server-api/#user-directory).

use serde_json::json;
use spec_tests::user;

#[test]
fn users_in_public_rooms_are_found_by_name() {
    let (alice, bob) = (user("alice"), user("bobinthedirectory"));
    bob.public_room();
    let localpart = bob.id[1..].split(':').next().unwrap().to_owned();
    let body = json!({"search_term": localpart, "limit": 5});
    let answer = alice.post("/v3/user_directory/search", body).ok();
    assert_eq!(answer["results"][0]["user_id"], bob.id.as_str(), "{answer}");
    assert_eq!(answer["limited"], false);
}
