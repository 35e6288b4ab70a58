//! `org.matrix.login.jwt`: JSON web tokens of an identity provider that the administrator trusts. Not in the
//! spec; as in Synapse's documentation.

use std::collections::HashSet;

use config::{Jwt as JwtOptions, JwtAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::OptionsError;

/// Clocks differ: a token counts a minute beyond its times, in milliseconds.
const LEEWAY_MS: f64 = 60_000.0;

pub(crate) struct Jwt {
    key: DecodingKey,
    validation: Validation,
    subject_claim: String,
    pub(crate) create_users: bool,
}

#[derive(Deserialize)]
struct Claims {
    /// Seconds since the Unix epoch, perhaps with a fraction.
    exp: Option<f64>,
    nbf: Option<f64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Jwt {
    pub(crate) fn new(options: &JwtOptions) -> Result<Self, OptionsError> {
        let unusable = |error: jsonwebtoken::errors::Error| OptionsError::Jwt(error.to_string());
        let key = options
            .key
            .as_ref()
            .map(|key| key.expose().as_bytes())
            .unwrap_or_default();
        if key.is_empty() {
            return Err(OptionsError::Jwt("jwt.key is not set".to_owned()));
        }
        let (algorithm, key) = match options.algorithm {
            JwtAlgorithm::HS256 => (Algorithm::HS256, DecodingKey::from_secret(key)),
            JwtAlgorithm::RS256 => (
                Algorithm::RS256,
                DecodingKey::from_rsa_pem(key).map_err(unusable)?,
            ),
            JwtAlgorithm::ES256 => (
                Algorithm::ES256,
                DecodingKey::from_ec_pem(key).map_err(unusable)?,
            ),
        };
        let mut validation = Validation::new(algorithm);
        // The times are checked here, against the host's clock.
        validation.validate_exp = false;
        validation.required_spec_claims = HashSet::new();
        if let Some(issuer) = &options.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        if options.audiences.is_empty() {
            validation.validate_aud = false;
        } else {
            validation.set_audience(&options.audiences);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        Ok(Self {
            key,
            validation,
            subject_claim: options.subject_claim.clone(),
            create_users: options.create_users,
        })
    }

    /// The localpart that a token names, if the token holds at `now_ms`; else what is wrong with it.
    pub(crate) fn subject(&self, token: &str, now_ms: u64) -> Result<String, String> {
        let claims = decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| error.to_string())?
            .claims;
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact for the next 280,000 years"
        )]
        let now_ms = now_ms as f64;
        if claims
            .exp
            .is_some_and(|exp| exp * 1000.0 + LEEWAY_MS < now_ms)
        {
            return Err("the token has expired".to_owned());
        }
        if claims
            .nbf
            .is_some_and(|nbf| nbf * 1000.0 - LEEWAY_MS > now_ms)
        {
            return Err("the token is not valid yet".to_owned());
        }
        match claims.others.get(&self.subject_claim) {
            Some(Value::String(subject)) if !subject.is_empty() => Ok(subject.clone()),
            _ => Err(format!("the token has no claim `{}`", self.subject_claim)),
        }
    }
}
