//! Conformance tests: HTTP only, one module per section of the spec, one binary so that it links once.
//!
//! `MYELIN_BIN` names the binary to test, `SPEC_TESTS_URL` another server, `KILL_ROUNDS=20` the long kill test,
//! `BACKUP_TRIES=20` the long test of backups.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where it fails, in its helpers too"
)]

mod account_data;
mod account_management;
mod acme;
mod admin_command_line;
mod admin_rooms;
mod administration;
mod backup;
mod capabilities;
mod command_line;
mod content_repository;
mod definitions;
mod delayed_events;
mod device_management;
mod directory;
mod doctor;
mod durability;
mod end_to_end_encryption;
mod event_context;
mod filtering;
mod first_hour;
mod getting_events;
mod guest_access;
mod history_visibility;
mod hostile_input;
mod invite_permission;
mod key_backup;
mod legacy_media;
mod login;
mod membership;
mod metrics;
mod owner_socket;
mod presence;
mod profiles;
mod push_notifications;
mod push_rules;
mod rate_limits;
mod read_markers;
mod real_clients;
mod receipts;
mod redactions;
mod refresh;
mod registration;
mod relationships;
mod request_log;
mod room_creation;
mod room_previews;
mod room_upgrades;
mod room_versions;
mod search;
mod send_to_device;
mod sending_events;
mod server_discovery;
mod small_modules;
mod spaces;
mod standard_errors;
mod syncing;
mod syncing_filters;
mod syncing_rooms;
mod syncing_unread;
mod tags;
mod tls;
mod traces;
mod typing_notifications;
mod user_directory;
