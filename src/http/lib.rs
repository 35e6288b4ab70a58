//! The frame around every API: requests and answers in ruma's types, standard errors, CORS, limits, the request log
//! and the server itself. Knows no domain.

mod client_address;
mod endpoint;
mod error;
mod exchange;
mod frame;
mod listener;
mod rate_limits;
mod request;
mod request_id;
mod response;
mod server;
mod spans;
mod standard_error;
mod tally;
mod traffic;

pub use client_address::{ClientAddress, Peer};
pub use endpoint::{Endpoints, paths};
pub use error::Error;
pub use frame::{Frame, frame, requester};
pub use listener::Listener;
pub use rate_limits::{Class, Override, RateLimits};
pub use request::{BodyLimits, JsonBody, MatrixRequest, read_body};
pub use response::{JsonBytes, MatrixResponse, WithoutNulls, json};
pub use server::Server;
pub use standard_error::{Errcode, StandardError};
pub use tally::{HttpFigures, RequestFigures};
