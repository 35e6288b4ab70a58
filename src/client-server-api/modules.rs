//! [The modules of the client-server API](https://spec.matrix.org/v1.19/client-server-api/#modules).

pub mod account_data;
pub mod content_repo;
pub mod device_management;
pub mod end_to_end_encryption;
pub mod event_context;
pub mod presence;
pub mod push;
pub mod read_markers;
pub mod receipts;
pub mod room_upgrades;
pub mod send_to_device;
pub mod tags;
pub mod third_party_invites;
pub mod threading;
pub mod typing_notifications;
