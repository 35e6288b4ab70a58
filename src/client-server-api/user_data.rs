//! [User data](https://spec.matrix.org/v1.19/client-server-api/#user-data).

pub mod profiles;
pub mod user_directory;
