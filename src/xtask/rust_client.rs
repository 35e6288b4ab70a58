//! The client in Rust, `spec-tests/clients/rust`: a workspace of its own, compiled where every checkout finds it.

use std::process::ExitCode;

use crate::{
    cargo::{self, Settings},
    setup,
};

/// Builds the program that a test starts; the test asks cargo for it too, and then there is nothing left to do.
pub(crate) fn build() -> Result<ExitCode, String> {
    let folder = setup::cache()?.join("clients/rust");
    cargo::wait(
        cargo::command(&Settings::new())
            .args(["build", "--locked", "--manifest-path"])
            .arg("spec-tests/clients/rust/Cargo.toml")
            .env("CARGO_TARGET_DIR", folder),
    )
}
