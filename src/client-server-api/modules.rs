//! [The modules of the client-server API](https://spec.matrix.org/v1.19/client-server-api/#modules).

pub mod account_data;
pub mod admin;
pub mod content_repo;
pub mod delayed_events;
pub mod device_management;
pub mod end_to_end_encryption;
pub mod event_context;
pub mod mutual_rooms;
pub mod openid;
pub mod presence;
pub mod push;
pub mod read_markers;
pub mod receipts;
pub mod report_content;
pub mod room_previews;
pub mod room_upgrades;
pub mod search;
pub mod send_to_device;
pub mod spaces;
pub mod tags;
pub mod third_party_invites;
pub mod third_party_networks;
pub mod threading;
pub mod typing_notifications;
pub mod voip_events;
