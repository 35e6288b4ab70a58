//! A certificate with its chain and key, and what it says.

use std::{net::IpAddr, sync::Arc};

use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_cert::{
    Certificate as X509,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use crate::TlsError;

/// A certificate that can be shown: the chain, and the key that is its own.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    /// What it says.
    pub facts: Facts,
}

impl Certificate {
    /// From the chain and the key in PEM, as certbot and others write them. The first certificate is the server's own.
    ///
    /// # Errors
    /// [`TlsError`] for what is none, and for a key that is another certificate's.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|error| TlsError::Malformed(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let facts = Facts::of(chain.first().ok_or(TlsError::NoCertificate)?)?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
        Ok(Self {
            key: Arc::new(key),
            facts,
        })
    }
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The DNS names and addresses that it is for. `*.` stands for one label.
    pub names: Vec<String>,
    /// Who issued it, as `CN=…,O=…`.
    pub issuer: String,
    /// Whether it says that it issued itself.
    pub is_self_signed: bool,
    /// From when it is valid, in milliseconds since the Unix epoch.
    pub not_before_ms: u64,
    /// Until when it is valid, in milliseconds since the Unix epoch.
    pub not_after_ms: u64,
}

impl Facts {
    /// Of a certificate in DER.
    ///
    /// # Errors
    /// [`TlsError::Malformed`].
    pub fn of(der: &[u8]) -> Result<Self, TlsError> {
        let malformed = |error: x509_cert::der::Error| TlsError::Malformed(error.to_string());
        let certificate = X509::from_der(der).map_err(malformed)?;
        let body = certificate.tbs_certificate();
        let names = body.get_extension::<SubjectAltName>().map_err(malformed)?;
        let names = names.map(|(_, names)| names.0).unwrap_or_default();
        let ms = |time: x509_cert::time::Time| {
            u64::try_from(time.to_unix_duration().as_millis()).unwrap_or(u64::MAX)
        };
        Ok(Self {
            names: names.iter().filter_map(name).collect(),
            issuer: body.issuer().to_string(),
            is_self_signed: body.issuer() == body.subject(),
            not_before_ms: ms(body.validity().not_before),
            not_after_ms: ms(body.validity().not_after),
        })
    }

    /// Whether it is for `host`, a DNS name or an address, by the rules of
    /// [RFC 6125](https://www.rfc-editor.org/rfc/rfc6125#section-6.4).
    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| {
            name.eq_ignore_ascii_case(host)
                || name.strip_prefix("*.").is_some_and(|parent| {
                    host.split_once('.')
                        .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
                })
        })
    }
}

/// A name as it stands in URLs; none of other kinds, such as email addresses.
fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            Some(address.ok()?.to_string())
        }
        _ => None,
    }
}
