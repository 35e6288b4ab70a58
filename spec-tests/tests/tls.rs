//! TLS of the server's own, its certificate, and sockets that a service manager has opened.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;
use spec_tests::{PATIENCE_SECONDS, Server, free_address, get_over_tls};
use tempfile::TempDir;

/// Files that a server shows its certificate from.
pub(crate) struct Certificate {
    directory: TempDir,
    /// What the files held last.
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let der = write_fresh(directory.path());
        Self { directory, der }
    }

    fn renew(&mut self) {
        self.der = write_fresh(self.directory.path());
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// A server that speaks TLS with it, and the address where.
    fn server(&self) -> (Server, SocketAddr) {
        let address = free_address();
        let quoted = |text: String| format!("\"{text}\"");
        let server = Server::with(&[
            ("tls.listen", &format!("[\"{address}\"]")),
            ("tls.certificate_file", &quoted(self.path("cert.pem"))),
            ("tls.key_file", &quoted(self.path("key.pem"))),
        ]);
        (server, address)
    }

    /// What the server answers to `GET path`, if it shows this certificate.
    fn get(&self, address: SocketAddr, path: &str) -> Result<String, std::io::Error> {
        let shown = get_over_tls(address, std::slice::from_ref(&self.der), path)?;
        Ok(shown.answer)
    }
}

fn write_fresh(directory: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(directory.join("cert.pem"), cert.pem()).unwrap();
    fs::write(directory.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

fn hang_up(server: &Server) {
    let pid = server.pid().unwrap().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(sent.unwrap().success());
}

/// Asks until it is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn clients_are_served_with_tls_and_without() {
    let certificate = Certificate::new();
    let (server, address) = certificate.server();
    let answer = certificate
        .get(address, "/_matrix/client/versions")
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: *"));
    assert_eq!(server.client().get("/_matrix/client/versions").status, 200);
    let log = server.log();
    assert!(log.contains(&format!("https://{address}")), "{log}");
    // What clients are told is where TLS is.
    let told = server.client().get("/.well-known/matrix/client").ok();
    let expected = format!("https://localhost:{}", address.port());
    assert_eq!(told["m.homeserver"]["base_url"], expected.as_str());
}

#[test]
fn a_new_certificate_needs_no_restart_and_a_broken_one_changes_nothing() {
    let mut certificate = Certificate::new();
    let (server, address) = certificate.server();
    let path = "/_matrix/client/versions";
    certificate.get(address, path).unwrap();
    certificate.renew();
    hang_up(&server);
    until("the new certificate is shown", || {
        certificate.get(address, path).is_ok()
    });
    fs::write(certificate.path("cert.pem"), "rubbish").unwrap();
    hang_up(&server);
    until("the log says so", || {
        server.log().contains("cannot be used")
    });
    certificate.get(address, path).unwrap();
}

#[test]
fn a_server_without_a_usable_certificate_does_not_start() {
    let certificate = Certificate::new();
    let other = Certificate::new();
    let serve = |cert: &str, key: &str| {
        let cert = format!("tls.certificate_file={cert}");
        let key = format!("tls.key_file={key}");
        let arguments = [
            "serve",
            "-O",
            "listen=127.0.0.1:0",
            "-O",
            "tls.listen=127.0.0.1:0",
            "-O",
            &cert,
            "-O",
            &key,
        ];
        let (success, _, error) = Server::command(&arguments, &[]);
        assert!(!success, "{error}");
        error
    };
    let error = serve(&certificate.path("cert.pem"), &other.path("key.pem"));
    assert!(error.contains("`tls.key_file`"), "{error}");
    let error = serve("/nowhere/cert.pem", &other.path("key.pem"));
    assert!(error.contains("/nowhere/cert.pem"), "{error}");
}

/// Opens two sockets, and becomes the server that inherits them as numbers 3 and 4: systemd's part.
const SOCKET_UNITS: &str = r"
import os, socket, sys
names = sys.argv[1]
for number, port in enumerate(sys.argv[2:4]):
    listening = socket.create_server(('127.0.0.1', int(port)))
    os.dup2(listening.fileno(), 10 + number)
for number in range(2):
    os.dup2(10 + number, 3 + number)
    os.close(10 + number)
os.environ.update(LISTEN_FDS='2', LISTEN_FDNAMES=names, LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[4], sys.argv[4:])
";

#[test]
fn sockets_of_the_service_manager_take_the_place_of_others() {
    let certificate = Certificate::new();
    let (plain, tls, unused) = (free_address(), free_address(), free_address());
    let data = tempfile::tempdir().unwrap();
    let start = |names: &str| {
        let set = |key: &str, value: &str| ["-O".to_owned(), format!("{key}={value}")];
        let mut command = Command::new("python3");
        command
            .args(["-c", SOCKET_UNITS, names])
            .args([plain.port().to_string(), tls.port().to_string()])
            .arg(Server::binary())
            .arg("serve")
            .args(set("listen", &unused.to_string()))
            .args(set("data_dir", &data.path().join("data").to_string_lossy()))
            .args(set("tls.certificate_file", &certificate.path("cert.pem")))
            .args(set("tls.key_file", &certificate.path("key.pem")))
            .current_dir(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut server = start("http:https");
    let path = "/_matrix/client/versions";
    // The sockets are open before the server is: clients wait, and none is turned away.
    until("the server answers", || {
        certificate
            .get(tls, path)
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    let answer = spec_tests::Client::new(&format!("http://{plain}")).get(path);
    assert_eq!(answer.status, 200);
    assert!(TcpStream::connect(unused).is_err(), "`listen` is not used");
    server.kill().unwrap();
    server.wait().unwrap();
    let output = start("http:htpps").wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && error.contains("htpps"),
        "{error}"
    );
}
