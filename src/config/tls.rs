//! Options of TLS. A doc comment here is the text in `config/myelin.toml`.

use std::{net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::Listen;

/// `tls.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Where to listen for TLS, besides `listen`: "host:port" or "[ipv6]:port", such as "[::]:443".
    pub listen: Vec<Listen>,
    /// The certificate and those between it and the root, in PEM. It is read again when it changes, and at SIGHUP.
    pub certificate_file: Option<PathBuf>,
    /// The certificate's key, in PEM.
    pub key_file: Option<PathBuf>,
    /// Instead of files: the names to get a certificate for by ACME (RFC 8555), and to renew it in time. The authority
    /// looks at port 443 of each: `listen` above has to be there, or behind a router that leads there.
    pub acme_domains: Vec<String>,
    /// The authority's directory. Let's Encrypt's, unless you have another.
    pub acme_directory: String,
    /// Whether you agree to the authority's terms of service. Without, none is asked.
    pub acme_agree_to_terms: bool,
    /// Email addresses that the authority may write to. It needs none.
    pub acme_contact: Vec<String>,
    /// Certificate authorities, in PEM, to believe besides the system's when the directory is asked: for one of your own.
    pub acme_ca_file: Option<PathBuf>,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            certificate_file: None,
            key_file: None,
            acme_domains: Vec::new(),
            // https://letsencrypt.org/docs/acme-protocol-updates/
            acme_directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
            acme_agree_to_terms: false,
            acme_contact: Vec::new(),
            acme_ca_file: None,
        }
    }
}

/// The most names in one certificate: Let's Encrypt's number.
const DOMAINS: usize = 100;

impl Tls {
    /// Whether the server gets its certificate itself.
    pub fn has_acme(&self) -> bool {
        !self.acme_domains.is_empty()
    }

    /// What the types alone cannot say: the key that is wrong, and why.
    pub(crate) fn validate(&self) -> Result<(), (&'static str, String)> {
        let wrong = |key, message: &str| Err((key, message.to_owned()));
        if self.listen.iter().any(|it| matches!(it, Listen::Unix(_))) {
            return wrong("tls.listen", "TLS is for TCP: write host:port");
        }
        match (&self.certificate_file, &self.key_file) {
            (Some(_), None) => wrong("tls.key_file", "needed with tls.certificate_file"),
            (None, Some(_)) => wrong("tls.certificate_file", "needed with tls.key_file"),
            (Some(_), Some(_)) if self.has_acme() => wrong(
                "tls.acme_domains",
                "the certificate comes from files or from an authority, not from both: remove tls.certificate_file and \
                 tls.key_file, or this",
            ),
            (None, None) if self.has_acme() => self.validate_acme(),
            (None, None) if !self.listen.is_empty() => wrong(
                "tls.certificate_file",
                "needed with tls.listen (or tls.acme_domains)",
            ),
            _ => Ok(()),
        }
    }

    fn validate_acme(&self) -> Result<(), (&'static str, String)> {
        let wrong = |key, message: String| Err((key, message));
        if self.acme_domains.len() > DOMAINS {
            let message = format!("at most {DOMAINS} names are in a certificate");
            return wrong("tls.acme_domains", message);
        }
        for domain in &self.acme_domains {
            if let Err(reason) = check_domain(domain) {
                return wrong("tls.acme_domains", format!("`{domain}` {reason}"));
            }
        }
        if !self.acme_agree_to_terms {
            let message = "read the terms of service of the authority in tls.acme_directory, and set this to true";
            return wrong("tls.acme_agree_to_terms", message.to_owned());
        }
        if !self.acme_directory.starts_with("https://") {
            let message = "write a URL that begins with https://";
            return wrong("tls.acme_directory", message.to_owned());
        }
        match self.acme_contact.iter().find(|it| !is_address(it)) {
            Some(contact) => wrong(
                "tls.acme_contact",
                format!("`{contact}` is no email address, such as admin@example.org"),
            ),
            None => Ok(()),
        }
    }
}

/// Whether an authority can look at this name: [RFC 1123](https://www.rfc-editor.org/rfc/rfc1123#section-2.1).
fn check_domain(domain: &str) -> Result<(), &'static str> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if domain.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        Err("is an address: certificates by ACME are for names")
    } else if domain.starts_with("*.") {
        Err("stands for many names: the authority can look at single ones only")
    } else if domain.len() > 253 || !domain.split('.').all(is_label) {
        Err("is no domain name; write it as example.org, in its ASCII form")
    } else {
        Ok(())
    }
}

/// Whether it looks like an email address; the authority knows better.
fn is_address(text: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_graphic() && !matches!(char, '?' | ',' | ':');
    text.len() <= 254
        && text.chars().all(is_plain)
        && text
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && check_domain(host).is_ok())
}
