//! [Modules](https://spec.matrix.org/v1.19/client-server-api/#modules).

mod account_data;
mod device_management;
mod event_context;
mod push;
mod room_upgrades;
mod tags;
mod third_party_invites;
