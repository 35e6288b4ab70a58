//! The administrator's endpoints, against a whole server in memory.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where it fails, in its helpers too"
)]

mod account;
mod deletion;
mod doctor;
mod media;
mod moderation;
mod outsiders;
mod rate_limits;
mod registration_tokens;
mod reports;
mod room_history;
mod rooms;
mod server;
mod statistics;
mod tasks;
mod users;

use test_support::{Client, TestServer};

/// An administrator, logged in.
async fn administrator(server: &TestServer) -> Client {
    let admin = server.register("admin").await;
    let user_id = ruma::UserId::parse(&admin.user_id).unwrap();
    let users = &server.services.users;
    let (user, _) = users.account(&user_id).await.unwrap().unwrap();
    assert!(users.set_admin(user, true).await.unwrap());
    admin
}
