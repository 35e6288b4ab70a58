mod account_management;
mod contact_information;
mod current_account;
mod login;
mod registration;
mod shared_secret;
