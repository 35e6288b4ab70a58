//! An authority behind the URL of its directory, through `instant-acme`.

use std::{path::Path, time::Duration};

use host::Host;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use serde::{Deserialize, Serialize};
use tls::Challenges;
use tokio::time::timeout;

use crate::{AcmeError, Kept, requests::Requests};

/// From the first request to the certificate. Authorities validate within seconds, and some make one wait for the rest.
const TIME: Duration = Duration::from_mins(5);

/// How long an authority may take to validate, and then to issue.
const STEP: Duration = Duration::from_mins(2);

/// The longest reason kept, in bytes: an authority can say anything.
const REASON_BYTES: usize = 1_000;

/// What is wanted of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The URL of the authority's directory.
    pub directory: String,
    /// Names for the certificate, at least one.
    pub domains: Vec<String>,
}

/// A new certificate, in PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// It, and those between it and the root.
    pub chain: String,
    /// Its key.
    pub key: String,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In words for those who look after the server.
    pub reason: String,
    /// How long the authority wants to be left alone, in milliseconds, if it said so.
    pub pause_ms: Option<u64>,
}

/// Issues certificates to those who prove that they have the names.
pub trait Authority: Send + 'static {
    /// Asks for a certificate. What the authority wants to see is shown in `challenges`.
    fn issue(
        &mut self,
        order: &Order,
        challenges: Challenges,
    ) -> impl Future<Output = Result<Issued, Refusal>> + Send;
}

/// The authority behind a URL.
pub struct Directory {
    kept: Kept,
    contact: Vec<String>,
    requests: Requests,
}

/// What is kept of an account.
#[derive(Serialize, Deserialize)]
struct Known {
    directory: String,
    contact: Vec<String>,
    credentials: AccountCredentials,
}

impl Directory {
    /// One who writes to `contact` and is believed by the certificates in the file `roots`, besides the system's.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn new(
        kept: Kept,
        contact: &[String],
        roots: Option<&Path>,
        host: Host,
    ) -> Result<Self, AcmeError> {
        Ok(Self {
            kept,
            contact: contact.iter().map(|it| format!("mailto:{it}")).collect(),
            requests: Requests::new(roots, host)?,
        })
    }

    /// The account there: the one we have, or a new one.
    async fn account(&self, directory: &str, is_forgotten: bool) -> Result<Account, Failure> {
        let builder = || Account::builder_with_http(Box::new(self.requests.clone()));
        let known = self.kept.account::<Known>();
        if let Some(known) = known.filter(|known| known.directory == directory && !is_forgotten) {
            let account = builder().from_credentials(known.credentials).await?;
            if known.contact != self.contact {
                let contact: Vec<&str> = self.contact.iter().map(String::as_str).collect();
                account.update_contacts(&contact).await?;
                if let Some(known) = self.kept.account::<Known>() {
                    self.keep(directory, known.credentials)?;
                }
            }
            return Ok(account);
        }
        let contact: Vec<&str> = self.contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            // `tls.acme_agree_to_terms`: without it nobody comes here.
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let created = builder().create(&new, directory.to_owned(), None).await?;
        self.keep(directory, created.1)?;
        tracing::info!(
            directory,
            "an account with a certificate authority was made"
        );
        Ok(created.0)
    }

    fn keep(&self, directory: &str, credentials: AccountCredentials) -> Result<(), AcmeError> {
        self.kept.keep_account(&Known {
            directory: directory.to_owned(),
            contact: self.contact.clone(),
            credentials,
        })
    }

    async fn order(&self, order: &Order, challenges: &Challenges) -> Result<Issued, Failure> {
        let names: Vec<Identifier> = order.domains.iter().cloned().map(Identifier::Dns).collect();
        let new = NewOrder::new(&names);
        let account = self.account(&order.directory, false).await?;
        let mut order = match account.new_order(&new).await {
            Err(error) if is(&error, "accountDoesNotExist") => {
                let account = self.account(&order.directory, true).await?;
                account.new_order(&new).await?
            }
            ordered => ordered?,
        };
        if order.state().status == OrderStatus::Pending {
            show(&mut order, challenges).await?;
            let policy = RetryPolicy::new().timeout(STEP);
            let ready = order.poll_ready(&policy).await;
            if !matches!(ready, Ok(OrderStatus::Ready)) {
                return Err(objections(&mut order).await.unwrap_or_else(|| match ready {
                    Err(error) => error.into(),
                    Ok(status) => Failure(format!("the order is {status:?}")),
                }));
            }
        }
        let key = order.finalize().await?;
        let policy = RetryPolicy::new().timeout(STEP);
        let chain = order.poll_certificate(&policy).await?;
        Ok(Issued { chain, key })
    }
}

impl Authority for Directory {
    async fn issue(&mut self, order: &Order, challenges: Challenges) -> Result<Issued, Refusal> {
        // What an earlier attempt was told is over.
        self.requests.pause();
        let asked = timeout(TIME, self.order(order, &challenges)).await;
        let late = || Failure(format!("no certificate within {} s", TIME.as_secs()));
        asked.unwrap_or_else(|_| Err(late())).map_err(|failure| {
            let mut reason = failure.0;
            reason.truncate(reason.floor_char_boundary(REASON_BYTES));
            Refusal {
                reason,
                pause_ms: self.requests.pause(),
            }
        })
    }
}

/// Shows an answer for each name that is not yet validated, and says that it can be looked at.
async fn show(order: &mut instant_acme::Order, challenges: &Challenges) -> Result<(), Failure> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let name = authorization.identifier().to_string();
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => return Err(Failure(format!("{name} is {status:?}"))),
        }
        let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
        let mut challenge = challenge
            .ok_or_else(|| Failure(format!("the authority does not validate {name} over TLS")))?;
        let digest = challenge.key_authorization().digest();
        let shown = answer(challenges, &name, digest.as_ref());
        shown.map_err(|error| Failure(format!("{name}: {error}")))?;
        challenge.set_ready().await?;
    }
    Ok(())
}

/// Shows the certificate that proves that we have the account:
/// [RFC 8737, 3](https://www.rfc-editor.org/rfc/rfc8737#section-3).
fn answer(
    challenges: &Challenges,
    name: &str,
    digest: &[u8],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    challenges.answer(name, certificate.der(), key.serialized_der())?;
    Ok(())
}

/// What the authority has against each name; none if it says nothing.
async fn objections(order: &mut instant_acme::Order) -> Option<Failure> {
    let mut told = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let name = authorization.identifier().to_string();
        let problems = authorization
            .challenges
            .iter()
            .filter_map(|it| it.error.as_ref());
        told.extend(problems.map(|problem| {
            let detail = problem.detail.as_deref().unwrap_or("no reason is given");
            format!("{name}: {detail}")
        }));
    }
    (!told.is_empty()).then(|| Failure(told.join("; ")))
}

/// Why there is no certificate, in words.
struct Failure(String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(in_words(&error))
    }
}

impl From<AcmeError> for Failure {
    fn from(error: AcmeError) -> Self {
        Self(in_words(&error))
    }
}

/// An error with its causes.
fn in_words(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// Whether it is a problem of this kind ([RFC 8555, 6.7](https://www.rfc-editor.org/rfc/rfc8555#section-6.7)).
fn is(error: &Error, kind: &str) -> bool {
    let Error::Api(problem) = error else {
        return false;
    };
    let told = problem.r#type.as_deref().unwrap_or_default();
    told.strip_prefix("urn:ietf:params:acme:error:") == Some(kind)
}
