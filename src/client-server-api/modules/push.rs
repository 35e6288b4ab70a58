//! [Push notifications](https://spec.matrix.org/v1.19/client-server-api/#push-notifications).

pub mod notifications;
pub mod push_rules;
pub mod pushers;
