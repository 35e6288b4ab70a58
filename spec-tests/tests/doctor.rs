//! `myelin doctor`: each look at a set-up that is right, and at one that is wrong in one way.

use std::{collections::BTreeMap, net::SocketAddr, net::TcpListener, process::Command};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use spec_tests::{Fault, Server, proxy};
use tempfile::TempDir;

/// A certificate authority that only these tests believe, and a server that speaks TLS with a certificate of it.
struct Setting {
    files: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
    server: Server,
    tls: SocketAddr,
}

impl Setting {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        std::fs::write(files.path().join("ca.pem"), authority.pem()).unwrap();
        let (certificate, key) = leaf(&authority, |_| {});
        let write = |name: &str, text: String| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            format!("\"{}\"", path.display())
        };
        let certificate = write("cert.pem", certificate.pem());
        let key = write("key.pem", key.serialize_pem());
        let tls = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let server = Server::with(&[
            ("tls.listen", &format!("[\"{tls}\"]")),
            ("tls.certificate_file", &certificate),
            ("tls.key_file", &key),
            ("registration.mode", "\"token\""),
            ("rate_limits.enabled", "true"),
        ]);
        Self {
            files,
            authority,
            server,
            tls,
        }
    }

    /// A proxy with `fault` in front of the server, and its URL.
    fn behind(&self, fault: Fault) -> String {
        self.behind_certificate(fault, |_| {})
    }

    /// The same with a certificate that `change` has made worse.
    fn behind_certificate(
        &self,
        fault: Fault,
        change: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let (certificate, key) = leaf(&self.authority, change);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let address = proxy(
            self.server.address(),
            fault,
            Some((certificate.der().clone(), key)),
        );
        format!("https://localhost:{}", address.port())
    }

    /// What `myelin doctor` finds with these arguments.
    fn examined(&self, arguments: &[&str]) -> Report {
        let output = Command::new(Server::binary())
            .args(["doctor", "--json", "--config"])
            .arg(self.server.dir().join("myelin.toml"))
            .args(arguments)
            .env("SSL_CERT_FILE", self.files.path().join("ca.pem"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| {
            panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
        });
        let mut levels = BTreeMap::new();
        for finding in report["findings"].as_array().unwrap() {
            let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
            let is_well = text("level") == "ok";
            assert_eq!(is_well, finding["fix"].is_null(), "{finding}");
            let found: &mut Vec<(String, String)> = levels.entry(text("check")).or_default();
            found.push((text("level"), text("seen")));
        }
        Report {
            levels,
            code: output.status.code(),
        }
    }

    /// What it finds behind a proxy with `fault`, without the request that waits.
    fn with(&self, fault: Fault) -> Report {
        self.examined(&["--quick", "--url", &self.behind(fault)])
    }
}

fn leaf(
    authority: &CertifiedIssuer<'static, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

struct Report {
    /// Of each check the levels and what was seen.
    levels: BTreeMap<String, Vec<(String, String)>>,
    code: Option<i32>,
}

impl Report {
    /// Asserts the worst level of a check.
    #[track_caller]
    fn is(&self, check: &str, level: &str) {
        let found = self.levels.get(check);
        let found = found.unwrap_or_else(|| panic!("{check} is not in {:#?}", self.levels));
        let has = |level: &str| found.iter().any(|(it, _)| it == level);
        let worst = ["bad", "warn", "ok"].into_iter().find(|level| has(level));
        assert_eq!(worst, Some(level), "{check}: {found:?}");
    }

    /// Asserts that nothing about proxies is wrong but `check`.
    #[track_caller]
    fn only(&self, check: &str, level: &str) {
        for (name, found) in &self.levels {
            let concerns = name == "cors" || name.starts_with("proxy");
            if concerns && name != check {
                assert!(
                    found.iter().all(|(level, _)| level == "ok"),
                    "{name}: {found:?}"
                );
            }
        }
        self.is(check, level);
    }
}

#[test]
fn a_server_that_speaks_tls_itself_is_well() {
    let setting = Setting::new();
    // What people type is the server's name; here its usual port is another one.
    let well_known = format!("localhost:443={}", setting.tls);
    let report = setting.examined(&["--wait", "2", "--connect-to", &well_known]);
    for check in [
        "clock",
        "cors",
        "data_dir.mode",
        "dns",
        "memory",
        "options.durability",
        "options.registration",
        "proxy",
        "proxy.authorization",
        "proxy.body_size",
        "proxy.buffering",
        "proxy.long_poll",
        "proxy.path",
        "reach",
        "server",
        "server.open_files",
        "tls.certificate",
        "tls.days_left",
        "tls.http2",
        "tls.key_file",
        "versions",
        "well_known.client",
    ] {
        if check == "server.open_files" || check == "memory" || check == "tls.key_file" {
            // As the machine has it; the file's mode is the umask's.
            assert!(report.levels.contains_key(check), "{check}");
        } else {
            report.is(check, "ok");
        }
    }
    // `localhost` is no name for a server that others know.
    report.is("options.server_name", "warn");
}

#[test]
fn a_proxy_without_a_fault_is_well() {
    let setting = Setting::new();
    let report = setting.with(Fault::None);
    report.only("proxy.forwarded_for", "ok");
    report.is("proxy.forwarded_proto", "ok");
    report.is("tls.certificate", "ok");
    // This one speaks HTTP/1.1 only, and /.well-known names the server's own port.
    report.is("tls.http2", "warn");
}

#[test]
fn each_fault_of_a_proxy_is_found_and_no_other() {
    let setting = Setting::new();
    for (fault, check, level) in [
        (Fault::NormalisesPaths, "proxy.path", "bad"),
        (Fault::BelievesClients, "proxy.forwarded_for", "bad"),
        (Fault::SmallBodies, "proxy.body_size", "bad"),
        (Fault::Buffers, "proxy.buffering", "warn"),
        (Fault::DoublesCors, "cors", "bad"),
        (Fault::DropsCors, "cors", "bad"),
    ] {
        setting.with(fault).only(check, level);
    }
    let report = setting.with(Fault::DropsHeaders);
    report.is("proxy.authorization", "bad");
    report.is("proxy.forwarded_for", "bad");
    assert_eq!(report.code, Some(2));
}

#[test]
fn a_proxy_that_does_not_wait_is_found() {
    let setting = Setting::new();
    let url = setting.behind(Fault::Impatient);
    let report = setting.examined(&["--wait", "3", "--url", &url]);
    report.is("proxy.long_poll", "bad");
    report.is("proxy.authorization", "ok");
}

#[test]
fn an_address_that_leads_elsewhere_is_found() {
    let setting = Setting::new();
    setting.with(Fault::Elsewhere).is("versions", "bad");
    // Another homeserver: it answers as one, and does not know the key.
    let other = Server::start();
    let report = setting.examined(&["--quick", "--url", other.url()]);
    report.is("versions", "ok");
    report.is("proxy", "bad");
    let nowhere = setting.examined(&["--quick", "--url", "https://localhost:1"]);
    nowhere.is("reach", "bad");
    let nobody = setting.examined(&["--quick", "--url", "https://matrix.invalid"]);
    nobody.is("dns", "bad");
}

#[test]
fn certificates_that_nobody_believes_are_found() {
    let setting = Setting::new();
    let expired = setting.behind_certificate(Fault::None, |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 4, 1);
    });
    let report = setting.examined(&["--quick", "--url", &expired]);
    report.is("tls.certificate", "bad");
    report.is("tls.days_left", "bad");
    let other = setting.behind_certificate(Fault::None, |params| {
        *params = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
    });
    let report = setting.examined(&["--quick", "--url", &other]);
    report.is("tls.certificate", "bad");
    report.is("tls.days_left", "ok");
    let seen = &report.levels["tls.certificate"][0].1;
    assert!(seen.contains("other.example"), "{seen}");
}

#[test]
fn a_certificate_that_signs_itself_is_found() {
    let setting = Setting::new();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let certificate: CertificateDer<'static> = own.cert.der().clone();
    let address = setting.server.address();
    let address = proxy(address, Fault::None, Some((certificate, key)));
    let url = format!("https://localhost:{}", address.port());
    let report = setting.examined(&["--quick", "--url", &url]);
    report.is("tls.certificate", "bad");
    // Plain HTTP where TLS should be.
    let plain = proxy(setting.server.address(), Fault::None, None);
    let url = format!("https://localhost:{}", plain.port());
    setting
        .examined(&["--quick", "--url", &url])
        .is("tls", "bad");
}

#[test]
fn a_clock_that_is_wrong_is_found() {
    let setting = Setting::new();
    setting.with(Fault::WrongDate).is("clock", "bad");
    // With a clock of one's own choice, that of the server's front does not count.
    let url = setting.behind(Fault::WrongDate);
    let clock = setting.server.url();
    let report = setting.examined(&["--quick", "--url", &url, "--clock", clock]);
    report.is("clock", "ok");
}

#[test]
fn a_well_known_that_leads_elsewhere_is_found() {
    let setting = Setting::new();
    // The server tells its own address, and people are meant to come through the proxy.
    let well_known = format!("localhost:443={}", setting.tls);
    let url = setting.behind(Fault::None);
    let report = setting.examined(&["--quick", "--url", &url, "--connect-to", &well_known]);
    report.is("well_known.client", "bad");
    let nothing = setting.examined(&[
        "--quick",
        "--connect-to",
        "localhost:443=127.0.0.1:1",
        "-O",
        "well_known.server=localhost:443",
    ]);
    nothing.is("well_known.client", "warn");
    nothing.is("well_known.server", "bad");
}

#[test]
fn options_that_endanger_are_found() {
    let setting = Setting::new();
    let set = [
        "storage.durability=os",
        "registration.mode=open",
        "registration.shared_secret=changeme",
        "rate_limits.enabled=false",
        "trusted_proxies=0.0.0.0/0",
        "public_base_url=http://matrix.invalid",
        "listen=0.0.0.0:8008",
    ];
    let mut arguments = vec!["--quick"];
    arguments.extend(set.iter().flat_map(|option| ["-O", option]));
    let report = setting.examined(&arguments);
    for check in [
        "options.durability",
        "options.registration",
        "options.secrets",
        "options.rate_limits",
        "options.trusted_proxies",
        "options.public_base_url",
    ] {
        report.is(check, "bad");
    }
    report.is("options.listen", "warn");
    let careful = setting.examined(&[
        "--quick",
        "-O",
        "registration.shared_secret=Hs6tqpnR1xkPz0aVw93b",
        "-O",
        "storage.durability=interval",
    ]);
    careful.is("options.secrets", "ok");
    careful.is("options.durability", "warn");
    careful.is("options.registration", "ok");
    assert!(!careful.levels.contains_key("options.listen"));
}

#[test]
fn without_a_server_what_can_be_seen_is_seen() {
    let setting = Setting::new();
    let directory = tempfile::tempdir().unwrap();
    let option = format!("data_dir={}", directory.path().display());
    let url = setting.behind(Fault::DropsHeaders);
    let report = setting.examined(&["--quick", "--url", &url, "-O", &option]);
    report.is("server", "warn");
    report.is("versions", "ok");
    assert!(!report.levels.keys().any(|check| check.starts_with("proxy")));
    let gone = setting.examined(&["--quick", "--url", &url, "-O", "data_dir=/nowhere/data"]);
    gone.is("data_dir", "bad");
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let (success, _, error) = Server::command(&["doctor", "-O", "server_nmae=x"], &[]);
    assert!(!success && error.contains("server_nmae"), "{error}");
    let (success, out, error) = Server::command(&["doctor", "--connect-to", "x"], &[]);
    assert!(!success && error.contains("HOST:PORT"), "{out}{error}");
}
