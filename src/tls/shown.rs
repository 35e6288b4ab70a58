//! Which certificate a client is shown, and what is known of it and of its renewal.

use std::{collections::HashMap, sync::Arc};

use figures::Counter;
use parking_lot::RwLock;
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{Certificate, Facts, TlsError};

/// The protocol of those who validate a name ([RFC 8737](https://www.rfc-editor.org/rfc/rfc8737#section-6.2)).
pub(crate) const CHALLENGE: &[u8] = b"acme-tls/1";

/// The certificate in force, if there is one yet. It changes under listeners that go on listening.
#[derive(Debug, Default)]
pub struct Certificates {
    certificate: RwLock<Option<Certificate>>,
    /// What a certificate authority wants to see, by name in lower case.
    challenges: RwLock<HashMap<String, Arc<CertifiedKey>>>,
    /// How its renewal goes, if the server does that itself.
    pub renewals: Renewals,
}

impl Certificates {
    /// Shows `certificate`.
    pub fn new(certificate: &Certificate) -> Arc<Self> {
        let certificates = Self::default();
        certificates.replace(certificate);
        Arc::new(certificates)
    }

    /// Shows `certificate` from now on; connections that stand are not touched.
    pub fn replace(&self, certificate: &Certificate) {
        *self.certificate.write() = Some(certificate.clone());
    }

    /// What the certificate in force says; none if there is none, and TLS clients are turned away.
    pub fn facts(&self) -> Option<Facts> {
        let certificate = self.certificate.read();
        certificate.as_ref().map(|it| it.facts.clone())
    }

    /// What is shown now.
    pub(crate) fn shown(&self) -> Option<Arc<CertifiedKey>> {
        let certificate = self.certificate.read();
        certificate.as_ref().map(|it| Arc::clone(&it.key))
    }

    /// Answers to challenges, which are shown as long as what this gives lives.
    pub fn challenges(self: &Arc<Self>) -> Challenges {
        Challenges(Arc::clone(self))
    }
}

impl ResolvesServerCert for Certificates {
    /// The same for every name: a server has one. Who validates names says so, and is shown nothing else.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut offered = hello.alpn().into_iter().flatten();
        if offered.next() == Some(CHALLENGE) && offered.next().is_none() {
            let name = hello.server_name()?.to_ascii_lowercase();
            return self.challenges.read().get(&name).cloned();
        }
        self.shown()
    }
}

/// Answers to challenges of a certificate authority (`tls-alpn-01`,
/// [RFC 8737](https://www.rfc-editor.org/rfc/rfc8737#section-3)).
#[derive(Debug)]
pub struct Challenges(Arc<Certificates>);

impl Challenges {
    /// Shows `certificate`, in DER, to those who validate `name`; `key` is its own, in PKCS#8.
    ///
    /// Nobody else would take it: it has an extension that only they know, and that is why nothing here looks into it.
    ///
    /// # Errors
    /// [`TlsError::Unusable`] for a key that is none.
    pub fn answer(&self, name: &str, certificate: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
        let key = ring::default_provider()
            .key_provider
            .load_private_key(key)?;
        let chain = vec![CertificateDer::from(certificate.to_vec())];
        let answer = Arc::new(CertifiedKey::new(chain, key));
        let mut challenges = self.0.challenges.write();
        challenges.insert(name.to_ascii_lowercase(), answer);
        Ok(())
    }
}

impl Drop for Challenges {
    fn drop(&mut self) {
        self.0.challenges.write().clear();
    }
}

/// How the renewal of the certificate goes: for those who look after the server.
#[derive(Debug, Default)]
pub struct Renewals {
    /// Certificates that an authority has issued.
    pub succeeded: Counter,
    /// Attempts that ended without one.
    pub failed: Counter,
    standing: RwLock<Option<Standing>>,
}

/// Where the renewal stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Why the last attempt failed, if it did.
    pub failure: Option<String>,
    /// When the authority is asked next, in milliseconds since the Unix epoch.
    pub next_ms: u64,
}

impl Renewals {
    /// Where it stands; none where certificates come from files.
    pub fn standing(&self) -> Option<Standing> {
        self.standing.read().clone()
    }

    /// Where it stands from now on.
    pub fn stands(&self, standing: Standing) {
        *self.standing.write() = Some(standing);
    }
}
