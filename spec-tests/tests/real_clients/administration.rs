//! What was made to look after Synapse looks after this server: `synadm`, and the calls of the web interface Ketesa.

use spec_tests::Server;

use super::{python, run};
use crate::admin_command_line::admin;

#[test]
fn real_clients_synadm_looks_after_the_server() {
    let output = administer("by_synadm.py", &[]);
    assert!(output.ends_with("commands: all well\n"), "{output}");
}

#[test]
fn real_clients_ketesas_calls_do_what_the_table_says() {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/administration.md");
    let output = administer("by_ketesa.py", &[table]);
    assert!(output.ends_with("calls: all well\n"), "{output}");
}

/// Runs a script of `clients/admin` against a server of its own, with an administrator's name and password.
fn administer(script: &str, more: &[&str]) -> String {
    let server = Server::start();
    let create = ["user", "create", "root", "--admin", "--password-stdin"];
    admin(&server, &create, "correct horse\n").ok();
    let mut command = python("admin", script);
    command.args([server.url(), "root", "correct horse"]);
    run(command.args(more), "python3")
}
