//! Installs what tests need where that is for us to do.

use std::process::Command;

use crate::cargo::{answer, must};

/// As root on Debian and its like, as in a container for tests; elsewhere the machine is its owner's.
///
/// # Errors
/// Why not, for a sentence that names the package before.
pub(crate) fn install(package: &str, purpose: &str) -> Result<(), String> {
    if answer("id", &["-u"]).as_deref() != Some("0") {
        return Err("this is not root, who could install it.".to_owned());
    }
    if answer("apt-get", &["--version"]).is_none() {
        return Err("there is no apt-get to install it with.".to_owned());
    }
    eprintln!("installing {package} with apt-get for {purpose} …");
    for arguments in [
        &["update", "-q"][..],
        &["install", "-q", "-y", "--no-install-recommends", package][..],
    ] {
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        must(&mut apt, "it cannot be installed.")?;
    }
    Ok(())
}
