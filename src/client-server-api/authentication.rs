//! [Client authentication](https://spec.matrix.org/v1.19/client-server-api/#client-authentication).

pub mod account_management;
pub mod contact_information;
pub mod current_account;
pub mod login;
pub mod registration;
pub mod shared_secret;
