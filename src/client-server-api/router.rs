//! Which function serves which endpoint: one line each. Paths and methods are in ruma's request types.

pub(crate) mod accounts;
pub(crate) mod discovery;
pub(crate) mod encryption;
pub(crate) mod events;
pub(crate) mod media;
pub(crate) mod people;
pub(crate) mod previews;
pub(crate) mod rooms;
pub(crate) mod sync;
