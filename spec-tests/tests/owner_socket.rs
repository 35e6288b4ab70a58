//! The socket of `myelin admin`: another user of the machine gets nothing through it, and two locks see to that.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::{fs::PermissionsExt, process::CommandExt};
use std::process::Command;

use spec_tests::Server;

/// `nobody`, everywhere.
const NOBODY: u32 = 65_534;

/// Asks for the list of users, and says in a line what came of it.
const ASK: &str = r#"
import socket, sys
stream = socket.socket(socket.AF_UNIX)
try:
    stream.connect(sys.argv[1])
except PermissionError:
    sys.exit("no way in")
answer = b""
try:
    stream.sendall(b"GET /_synapse/admin/v2/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    while piece := stream.recv(4096):
        answer += piece
except ConnectionError:
    pass
sys.exit(answer.decode() or "turned away")
"#;

/// What somebody hears who asks through the socket; as this process' own user where there is no other.
fn ask(server: &Server, user: Option<u32>) -> String {
    let mut command = Command::new("python3");
    command
        .args(["-c", ASK])
        .arg(server.dir().join("data/admin.sock"))
        .current_dir("/");
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let output = command.output().expect("this test needs python3");
    String::from_utf8(output.stderr).unwrap().trim().to_owned()
}

fn set_mode(server: &Server, path: &str, mode: u32) {
    fs::set_permissions(server.dir().join(path), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn another_user_of_the_machine_gets_nothing_through_the_owners_socket() {
    let changes_user = Command::new("true").uid(NOBODY).current_dir("/").status();
    if !changes_user.is_ok_and(|status| status.success()) {
        // Past the capture of what passing tests print: `cargo xtask test` counts these lines.
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let line = format!("\nskipped: {name}: only root can ask as somebody else\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
        return;
    }
    let server = Server::start();
    assert!(ask(&server, None).starts_with("HTTP/1.1 200"));
    assert_eq!(ask(&server, Some(NOBODY)), "no way in");
    // The folders were open, and the socket's own mode is what is left.
    set_mode(&server, "", 0o755);
    set_mode(&server, "data", 0o755);
    assert_eq!(ask(&server, Some(NOBODY)), "no way in");
    // Somebody has opened that too: the kernel says who they are.
    set_mode(&server, "data/admin.sock", 0o777);
    assert_eq!(ask(&server, Some(NOBODY)), "turned away");
    assert!(ask(&server, None).starts_with("HTTP/1.1 200"));
    let log = server.log();
    assert!(log.contains("turned away from the owner's socket"), "{log}");
}
