//! [Modules](https://spec.matrix.org/v1.19/client-server-api/#modules).

mod account_data;
mod content_repo;
mod device_management;
mod end_to_end_encryption;
mod event_context;
mod presence;
mod push;
mod read_markers;
mod receipts;
mod room_upgrades;
mod search;
mod send_to_device;
mod tags;
mod third_party_invites;
mod threading;
mod typing_notifications;
