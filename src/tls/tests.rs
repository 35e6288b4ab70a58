use std::{fs, sync::Arc, time::Duration};

use host::Shutdown;
use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{Acceptor, Certificate, Certificates, Facts, Files, TlsError, Watched};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A fresh certificate for `localhost` and its key, in PEM.
fn fresh() -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

struct OnDisk {
    directory: TempDir,
}

impl OnDisk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    fn files(&self) -> Files {
        Files {
            certificate: self.directory.path().join("fullchain.pem"),
            key: self.directory.path().join("privkey.pem"),
        }
    }

    fn write(&self, (chain, key): &(String, String)) {
        let files = self.files();
        fs::write(files.certificate, chain).unwrap();
        fs::write(files.key, key).unwrap();
    }
}

async fn watched(disk: &OnDisk) -> (Arc<Certificates>, Watched) {
    let (certificate, watched) = disk.files().open().await.unwrap();
    (Certificates::new(&certificate), watched)
}

/// Whether `certificates` show the first certificate of `chain`.
fn shows(certificates: &Certificates, (chain, _): &(String, String)) -> bool {
    let expected = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    certificates.shown().unwrap().cert[0] == expected
}

#[test]
fn a_certificate_says_for_whom_and_until_when_it_is() {
    let names = ["matrix.example.org", "*.example.com", "192.0.2.1"];
    let mut params = CertificateParams::new(names.map(str::to_owned)).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2026, 4, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let facts = Facts::of(certificate.der()).unwrap();
    assert_eq!(facts.names, names);
    assert_eq!(facts.not_before_ms, 1_767_225_600_000);
    assert_eq!(facts.not_after_ms, 1_775_001_600_000);
    assert!(facts.is_self_signed);
    for (host, expected) in [
        ("matrix.example.org", true),
        ("Matrix.Example.Org", true),
        ("192.0.2.1", true),
        ("example.org", false),
        ("a.example.com", true),
        ("a.b.example.com", false),
        ("example.com", false),
    ] {
        assert_eq!(facts.covers(host), expected, "{host}");
    }
}

#[test]
fn what_is_no_certificate_with_its_key_is_refused() {
    let (chain, key) = fresh();
    let (_, other_key) = fresh();
    let refused = |chain: &str, key: &str| {
        Certificate::from_pem(chain.as_bytes(), key.as_bytes())
            .unwrap_err()
            .to_string()
    };
    Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    assert!(refused(&chain, &other_key).contains("certificate and its key"));
    assert!(refused("", &key).contains("no certificate"));
    assert!(refused(&key, &key).contains("no certificate"));
    assert!(refused(&chain, "").contains("no private key"));
    assert!(refused(&chain, &chain).contains("no private key"));
    assert!(refused(&chain.replace("MII", "AAA"), &key).contains("cannot be read"));
    let half = &chain[..chain.len() / 2];
    assert!(!refused(half, &key).is_empty());
}

#[tokio::test]
async fn files_that_are_not_there_or_too_long_are_named() {
    let disk = OnDisk::new();
    let error = disk.files().open().await.err().unwrap();
    assert!(error.to_string().contains("fullchain.pem"), "{error}");
    disk.write(&fresh());
    fs::write(disk.files().key, vec![b'x'; 300 << 10]).unwrap();
    let error = disk.files().open().await.err().unwrap();
    assert!(matches!(error, TlsError::TooLong { .. }), "{error}");
    assert!(error.to_string().contains("privkey.pem"), "{error}");
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_a_broken_one_is_not() {
    let (disk, first, second) = (OnDisk::new(), fresh(), fresh());
    disk.write(&first);
    let (certificates, mut watched) = watched(&disk).await;
    watched.look(&certificates).await;
    assert!(shows(&certificates, &first));
    // The key is written before the certificate: for a moment they do not fit.
    fs::write(disk.files().key, &second.1).unwrap();
    watched.look(&certificates).await;
    assert!(shows(&certificates, &first));
    assert!(watched.refused.is_some());
    disk.write(&second);
    watched.look(&certificates).await;
    assert!(shows(&certificates, &second));
    assert!(watched.refused.is_none());
    for broken in ["", "rubbish", &second.1] {
        fs::write(disk.files().certificate, broken).unwrap();
        watched.look(&certificates).await;
        assert!(shows(&certificates, &second), "{broken}");
    }
    fs::remove_file(disk.files().certificate).unwrap();
    watched.look(&certificates).await;
    assert!(shows(&certificates, &second));
    disk.write(&first);
    watched.look(&certificates).await;
    assert!(shows(&certificates, &first));
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test waits for the watcher's end"
)]
async fn the_files_are_read_again_by_themselves_and_when_asked() {
    // By itself within a millisecond; or, in a year, when asked.
    for (period, asks) in [(1, false), (31_536_000_000, true)] {
        let (disk, first, second) = (OnDisk::new(), fresh(), fresh());
        disk.write(&first);
        let (certificates, watched) = watched(&disk).await;
        let (trigger, shutdown) = Shutdown::new();
        let asked = Arc::new(Notify::new());
        let watching = tokio::spawn(watched.watch(
            Arc::clone(&certificates),
            Duration::from_millis(period),
            Arc::clone(&asked),
            shutdown,
        ));
        disk.write(&second);
        if asks {
            asked.notify_one();
        }
        let shown = async {
            while !shows(&certificates, &second) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, shown).await.unwrap();
        trigger.start();
        timeout(PATIENCE, watching).await.unwrap().unwrap();
    }
}

/// The protocol that a client who offers `protocols` gets, and whether it believes the certificate.
async fn negotiated(protocols: &[&str]) -> Result<Option<Vec<u8>>, String> {
    let pair = fresh();
    let (chain, key) = &pair;
    let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    shaken(Certificates::new(&certificate), chain, protocols).await
}

/// A client who believes `chain` and offers `protocols`.
fn client(chain: &str, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(chain.as_bytes()).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// The same of a client who believes `chain`.
async fn shaken(
    certificates: Arc<Certificates>,
    chain: &str,
    protocols: &[&str],
) -> Result<Option<Vec<u8>>, String> {
    let acceptor = Acceptor::new(certificates, PATIENCE).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = TlsConnector::from(client(chain, protocols));
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| error.to_string())?;
        Ok(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    };
    let server = async { acceptor.accept(listener.accept().await.unwrap().0).await };
    // The server's end is kept until the client has seen it.
    let (seen, _kept) = tokio::join!(client, server);
    seen
}

#[tokio::test]
async fn http_2_is_preferred_and_others_are_refused() {
    let both = negotiated(&["http/1.1", "h2"]).await.unwrap();
    assert_eq!(both.as_deref(), Some(&b"h2"[..]));
    let old = negotiated(&["http/1.1"]).await.unwrap();
    assert_eq!(old.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(negotiated(&[]).await.unwrap(), None);
    assert!(negotiated(&["imap"]).await.is_err());
}

#[tokio::test]
async fn a_handshake_takes_its_time_and_no_longer() {
    let (chain, key) = fresh();
    let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    let limit = Duration::from_millis(20);
    let acceptor = Acceptor::new(Certificates::new(&certificate), limit).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let ended = timeout(PATIENCE, acceptor.accept(stream)).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn who_validates_a_name_is_shown_its_challenge_and_nothing_else() {
    let (ours, challenge) = (fresh(), fresh());
    let certificate = Certificate::from_pem(ours.0.as_bytes(), ours.1.as_bytes()).unwrap();
    let certificates = Certificates::new(&certificate);
    let shown = |believed: &(String, String), protocols: &'static [&str]| {
        let (certificates, chain) = (Arc::clone(&certificates), believed.0.clone());
        async move { shaken(certificates, &chain, protocols).await }
    };
    let alone: &[&str] = &["acme-tls/1"];
    // Nothing was asked for: nothing is shown.
    shown(&ours, alone).await.unwrap_err();
    let challenges = certificates.challenges();
    let der = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(challenge.1.as_bytes()).unwrap();
    let answer = der(&challenge.0);
    challenges
        .answer("LOCALHOST", &answer, key.secret_der())
        .unwrap();
    challenges.answer("other", &answer, b"no key").unwrap_err();
    let seen = shown(&challenge, alone).await.unwrap();
    assert_eq!(seen.as_deref(), Some(&b"acme-tls/1"[..]));
    // Clients see what they saw before, those that offer something strange beside it included.
    let usual = shown(&ours, &["h2", "acme-tls/1"]).await.unwrap();
    assert_eq!(usual.as_deref(), Some(&b"h2"[..]));
    drop(challenges);
    shown(&challenge, alone).await.unwrap_err();
}

#[tokio::test]
async fn over_a_connection_of_a_challenge_nothing_is_served() {
    let challenge = fresh();
    let certificates: Arc<Certificates> = Arc::default();
    let challenges = certificates.challenges();
    let certificate = CertificateDer::from_pem_slice(challenge.0.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(challenge.1.as_bytes()).unwrap();
    challenges
        .answer("localhost", &certificate, key.secret_der())
        .unwrap();
    let acceptor = Acceptor::new(Arc::clone(&certificates), PATIENCE).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let config = client(&challenge.0, &["acme-tls/1"]);
        let mut stream = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    };
    let server = async { acceptor.accept(listener.accept().await.unwrap().0).await };
    let (seen, served) = timeout(PATIENCE, async { tokio::join!(client, server) })
        .await
        .unwrap();
    assert!(seen.is_empty() && served.is_err());
    // And those who want to talk are turned away as long as there is no certificate.
    shaken(certificates, &challenge.0, &["h2"])
        .await
        .unwrap_err();
}
