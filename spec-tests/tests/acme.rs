//! Certificates by ACME, of `pebble`: Let's Encrypt's small authority for tests, a real one on this machine alone.
//!
//! `SPEC_TESTS_PEBBLE` names it where it is not on the path; `cargo xtask test` finds or installs it.

use std::{
    env,
    fs::{self, metadata},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use spec_tests::{PATIENCE_SECONDS, Server, Shown, free_address, get_over_tls, skip};
use tempfile::TempDir;

/// A lifetime in which nothing is renewed, in seconds: ninety days.
const LONG: u64 = 90 * 86_400;

/// The port of the discard protocol, at which nothing listens.
const NOBODY: u16 = 9;

/// An authority's place: its program, its addresses, and the certificate that its own API shows.
struct Authority {
    program: PathBuf,
    files: TempDir,
    api: SocketAddr,
    management: SocketAddr,
    certificate: CertificateDer<'static>,
    /// Where our server's TLS is, at which it looks.
    tls: SocketAddr,
    running: Option<Child>,
}

impl Authority {
    /// One that is not started; none, and a word about it, if there is no program.
    fn find() -> Option<Self> {
        let Some(program) = program() else {
            skip(
                "no pebble (the ACME server) on the path, and SPEC_TESTS_PEBBLE does not name one",
            );
            return None;
        };
        let CertifiedKey { cert, signing_key } = own_certificate();
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("cert.pem"), cert.pem()).unwrap();
        fs::write(files.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
        Some(Self {
            program,
            files,
            api: free_address(),
            management: free_address(),
            certificate: cert.der().clone(),
            tls: free_address(),
            running: None,
        })
    }

    /// Starts it, with certificates that live for so many seconds. One that is `blind` looks where nobody is, as if a
    /// firewall were in between. It forgets everything between two starts, its root included.
    fn start(&mut self, lifetime: u64, blind: bool) {
        self.stop();
        let file = |name: &str| self.files.path().join(name);
        let config = json!({ "pebble": {
            "listenAddress": self.api.to_string(),
            "managementListenAddress": self.management.to_string(),
            "certificate": file("cert.pem"),
            "privateKey": file("key.pem"),
            // Nobody is there: this server answers no challenge over HTTP.
            "httpPort": NOBODY,
            "tlsPort": if blind { NOBODY } else { self.tls.port() },
            "certificateValidityPeriod": lifetime,
        }});
        fs::write(file("config.json"), config.to_string()).unwrap();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(file("log.txt"));
        let log = log.unwrap();
        let running = Command::new(&self.program)
            .arg("-config")
            .arg(file("config.json"))
            // It waits up to 15 s before it looks at anything, otherwise.
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.running = Some(running.unwrap());
        until(
            || format!("pebble listens: {}", self.log()),
            || TcpStream::connect(self.api).is_ok() && TcpStream::connect(self.management).is_ok(),
        );
    }

    fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().unwrap();
            running.wait().unwrap();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.files.path().join("log.txt")).unwrap_or_default()
    }

    /// The root of what it issues, since its last start.
    fn root(&self) -> CertificateDer<'static> {
        let roots = vec![self.certificate.clone()];
        let answer = get_over_tls(self.management, &roots, "/roots/0")
            .unwrap()
            .answer;
        let pem = answer.find("-----BEGIN").map(|start| &answer[start..]);
        CertificateDer::from_pem_slice(pem.unwrap_or(&answer).as_bytes()).unwrap()
    }

    /// A server that gets its certificate here, for these names.
    fn server(&self, names: &[&str]) -> Server {
        let quoted = |text: String| format!("\"{text}\"");
        let ca_file = self.files.path().join("cert.pem").display().to_string();
        Server::with(&[
            ("tls.listen", &format!("[\"{}\"]", self.tls)),
            ("tls.acme_domains", &json!(names).to_string()),
            (
                "tls.acme_directory",
                &quoted(format!("https://{}/dir", self.api)),
            ),
            ("tls.acme_contact", "[\"admin@example.org\"]"),
            ("tls.acme_agree_to_terms", "true"),
            ("tls.acme_ca_file", &quoted(ca_file)),
            ("metrics.listen", &format!("[\"{}\"]", free_address())),
        ])
    }

    /// What our server shows a client who believes `root`.
    fn seen(&self, root: &CertificateDer<'static>) -> Result<Shown, std::io::Error> {
        get_over_tls(
            self.tls,
            std::slice::from_ref(root),
            "/_matrix/client/versions",
        )
    }

    /// Waits until our server shows a certificate that a client who believes `root` believes, and not one of `before`.
    fn new_certificate(
        &self,
        server: &Server,
        root: &CertificateDer<'static>,
        before: &[CertificateDer<'static>],
    ) -> CertificateDer<'static> {
        let mut found = None;
        until(
            || format!("a certificate is shown: {}\n{}", server.log(), self.log()),
            || {
                let seen = self.seen(root).ok();
                found = seen.filter(|it| !before.contains(&it.certificate));
                found.is_some()
            },
        );
        // It is shown first; then the attempt is said and written to be over.
        until(
            || server.log(),
            || {
                server
                    .log()
                    .matches("a new certificate is in force")
                    .count()
                    > before.len()
            },
        );
        until(
            || "the attempt is over".to_owned(),
            || {
                let state = fs::read(server.dir().join("data/acme/state.json")).unwrap();
                serde_json::from_slice::<Value>(&state).unwrap()["attempt"].is_null()
            },
        );
        let found = found.unwrap();
        assert!(found.answer.starts_with("HTTP/1.1 200"), "{}", found.answer);
        found.certificate
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.stop();
    }
}

fn own_certificate() -> CertifiedKey<KeyPair> {
    let names = ["127.0.0.1", "localhost"].map(str::to_owned);
    generate_simple_self_signed(names).unwrap()
}

/// The authority's program. There is another one of this name, which manages services and is of no use here.
fn program() -> Option<PathBuf> {
    let named = env::var_os("SPEC_TESTS_PEBBLE").filter(|named| !named.is_empty());
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join("pebble"));
    let mut candidates = named.map(PathBuf::from).into_iter().chain(found);
    candidates.find(|program| {
        let help = Command::new(program).arg("-h").output();
        help.is_ok_and(|help| {
            let text = [help.stdout, help.stderr].concat();
            String::from_utf8_lossy(&text).contains("-dnsserver")
        })
    })
}

/// Asks until it is so.
#[track_caller]
fn until(what: impl Fn() -> String, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(2 * PATIENCE_SECONDS);
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", what());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// What `/health` for those who look after the server says of the certificate.
fn health(server: &Server) -> Value {
    let config = config_of(server);
    let line = config
        .lines()
        .find_map(|line| line.strip_prefix("metrics.listen = "));
    let addresses: Vec<String> = serde_json::from_str(line.unwrap()).unwrap();
    let client = spec_tests::Client::new(&format!("http://{}", addresses[0]));
    client.get("/health").ok()["certificate"].clone()
}

fn config_of(server: &Server) -> String {
    fs::read_to_string(server.dir().join("myelin.toml")).unwrap()
}

/// What `myelin doctor` finds of the certificate: level and words.
fn doctor(server: &Server) -> (String, String) {
    let config = server.dir().join("myelin.toml");
    let arguments = [
        "doctor",
        "--quick",
        "--json",
        "--config",
        config.to_str().unwrap(),
    ];
    let (_, out, error) = Server::command(&arguments, &[]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
    let findings = report["findings"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|it| it["check"] == "tls.acme")
        .unwrap();
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("level"), text("seen"))
}

#[test]
fn a_certificate_is_had_and_kept_and_a_refusal_leaves_it() {
    let Some(mut authority) = Authority::find() else {
        return;
    };
    authority.start(LONG, false);
    let root = authority.root();
    let mut server = authority.server(&["localhost"]);
    let first = authority.new_certificate(&server, &root, &[]);
    let folder = server.dir().join("data/acme");
    for name in ["account.json", "certificate.pem", "state.json"] {
        let mode = metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let health_now = health(&server);
    assert_eq!(health_now["in_force"]["names"], json!(["localhost"]));
    assert_eq!(health_now["renewal"]["failure"], Value::Null);
    let (level, seen) = doctor(&server);
    assert!(level == "ok" && seen.contains("localhost"), "{seen}");

    // A restart needs no authority.
    authority.stop();
    server.terminate();
    server.start_again();
    assert_eq!(authority.seen(&root).unwrap().certificate, first);
    let asked = |server: &Server| server.log().matches("a certificate is asked for").count();
    assert_eq!(asked(&server), 1, "{}", server.log());

    // Another name needs another certificate, and this authority does not see us; it has forgotten our account, too.
    authority.start(LONG, true);
    server.terminate();
    let names = |names: &str| format!("tls.acme_domains = {names}\n");
    let config = config_of(&server).replace(
        &names("[\"localhost\"]"),
        &names("[\"localhost\", \"two.localhost\"]"),
    );
    fs::write(server.dir().join("myelin.toml"), config).unwrap();
    server.start_again();
    until(
        || server.log(),
        || server.log().contains("the one before stays in force"),
    );
    assert_eq!(asked(&server), 2, "{}", server.log());
    assert_eq!(authority.seen(&root).unwrap().certificate, first);
    let failure = health(&server)["renewal"]["failure"].clone();
    assert!(
        failure.as_str().unwrap().contains("localhost: "),
        "{failure}"
    );
    let (level, seen) = doctor(&server);
    assert!(level == "warn" && seen.contains("localhost: "), "{seen}");

    // Nor is it asked again by one that is killed and starts again.
    server.kill();
    server.start_again();
    assert_eq!(authority.seen(&root).unwrap().certificate, first);
    assert_eq!(asked(&server), 2, "{}", server.log());
}

#[test]
fn a_certificate_is_renewed_without_a_restart() {
    let Some(mut authority) = Authority::find() else {
        return;
    };
    // Renewed after 10 s.
    authority.start(15, false);
    let root = authority.root();
    let server = authority.server(&["localhost"]);
    let first = authority.new_certificate(&server, &root, &[]);
    let second = authority.new_certificate(&server, &root, std::slice::from_ref(&first));
    assert_ne!(first, second);
    let log = server.log();
    assert!(
        log.matches("a new certificate is in force").count() >= 2,
        "{log}"
    );
    assert!(!log.contains("TLS clients are turned away;"), "{log}");
}

#[test]
fn a_server_whose_authority_is_not_there_serves_without_tls_and_says_why() {
    let Some(authority) = Authority::find() else {
        return;
    };
    let server = authority.server(&["localhost"]);
    assert_eq!(server.client().get("/_matrix/client/versions").status, 200);
    until(
        || server.log(),
        || server.log().contains("there is no certificate yet; TLS"),
    );
    let error = authority
        .seen(&authority.certificate)
        .err()
        .unwrap()
        .to_string();
    // It listens, and has nothing to show.
    assert!(error.contains("alert"), "{error}");
    let told = health(&server);
    assert_eq!(told["in_force"], Value::Null);
    assert!(told["renewal"]["failure"].is_string(), "{told}");
    let (level, seen) = doctor(&server);
    assert!(
        level == "bad" && seen.contains("no certificate yet"),
        "{seen}"
    );
}
