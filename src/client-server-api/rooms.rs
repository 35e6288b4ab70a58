//! [Rooms](https://spec.matrix.org/v1.19/client-server-api/#rooms).

pub mod aliases;
pub mod creation;
pub mod membership;
pub mod published_directory;
pub mod summaries;
