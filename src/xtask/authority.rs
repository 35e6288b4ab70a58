//! Finds `pebble`, an authority for tests of certificates by ACME, and installs it where that is for us to do.

use std::process::Command;

use crate::apt;

/// Names it where it is not on the path.
pub(crate) const VARIABLE: &str = "SPEC_TESTS_PEBBLE";

/// Makes sure that it is there, or says on standard error what is skipped for want of it: not every release of every
/// distribution has the package.
pub(crate) fn prepare() {
    let is_named = std::env::var_os(VARIABLE).is_some_and(|named| !named.is_empty());
    if is_named || is_there() {
        return;
    }
    let installed = apt::install("pebble", "the tests of certificates by ACME");
    let reason = match installed {
        Ok(()) if is_there() => return,
        Ok(()) => "the package of that name is another program.".to_owned(),
        Err(reason) => reason,
    };
    eprintln!(
        "No pebble (the ACME server for tests) is there, and {reason}\n\
         The tests of certificates by ACME will be skipped: install `pebble`, or name it with {VARIABLE}."
    );
}

/// Another program has this name, too: one that manages services.
fn is_there() -> bool {
    let help = Command::new("pebble").arg("-h").output();
    help.is_ok_and(|help| {
        let text = [help.stdout, help.stderr].concat();
        String::from_utf8_lossy(&text).contains("-dnsserver")
    })
}
