//! [End-to-end encryption](https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption): public keys, their
//! signatures, and backups of what the server cannot read.

pub mod cross_signing;
pub mod dehydrated_devices;
pub mod key_backup;
pub mod keys;
