//! The rules of the [room versions](https://spec.matrix.org/v1.19/rooms/), and nothing else: event format, hashes,
//! signatures, authorisation, redaction. Pure functions: no store, no clock, no randomness, no I/O.
//!
//! * [`Rules`] is what a room version prescribes; everything below takes it from there.
//! * [`Draft`] → [`Rules::compose`] → [`Composed`]: an event hashed, signed and named, as the [`Pdu`] that the rules read
//!   and as the [`Parts`] that the store keeps.
//! * [`Rules::auth_types`] and [`Rules::authorise`] decide whether the event may be; [`Rules::redact`] takes its content.
//! * [`client_event`] writes a stored event as clients see it, by splicing bytes.
//! * [`Rules::resolve`] says which state a room has where branches of its history meet. Nobody asks before there is
//!   federation: a server alone with its rooms has one writer per room, so that two states never meet.

mod audit;
mod auth;
mod canonical;
pub mod client_event;
mod compose;
mod content;
#[cfg(test)]
mod fixture;
mod parts;
mod pdu;
mod powers;
mod redact;
mod resolve;
mod rules;

pub use audit::{Audit, Claim, PublicKey, SignatureState};
pub use auth::AuthError;
pub use compose::{
    BuildError, Composed, Draft, MAX_AUTH_EVENTS, MAX_ID_BYTES, MAX_PDU_BYTES, MAX_PREV_EVENTS,
    Reference, Signer,
};
pub use content::{ContentError, Create, Member, history_visibility, join_rule};
pub use parts::{Parts, pdu_json};
pub use pdu::{ParseError, Pdu};
pub use resolve::{Known, ResolveError, StateMap};
pub use rules::Rules;
