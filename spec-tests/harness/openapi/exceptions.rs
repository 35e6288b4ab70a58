//! Where an answer may differ from the definitions, and why.

use std::fmt;

/// What is wrong with an answer.
pub enum Violation {
    /// The operation has no such status; the answer's `errcode`, if it is an error.
    Status(String),
    /// Not the type promised.
    ContentType(String),
    /// What is wrong with the body, and where.
    Body { place: String, said: String },
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(errcode) => {
                write!(formatter, "it has no such status (errcode {errcode:?})")
            }
            Self::ContentType(given) => write!(formatter, "unexpected content-type {given:?}"),
            Self::Body { place, said } => write!(formatter, "in the body at {place:?}: {said}"),
        }
    }
}

/// "These error codes can be returned by any API endpoint", each with the status that it has everywhere.
pub const COMMON_ERRORS: &[(u16, &str)] = &[
    (400, "M_BAD_JSON"),
    (400, "M_NOT_JSON"),
    (401, "M_MISSING_TOKEN"),
    (401, "M_UNKNOWN_TOKEN"),
    (401, "M_USER_LOCKED"),
    (403, "M_FORBIDDEN"),
    (403, "M_USER_SUSPENDED"),
    (404, "M_NOT_FOUND"),
    (429, "M_LIMIT_EXCEEDED"),
];

/// An answer that the definition does not have, and may be given all the same.
struct Exception {
    /// The `operationId`s; none for any operation.
    operations: &'static [&'static str],
    /// What the request must contain, as it is sent.
    request: &'static str,
    status: u16,
    /// The `errcode` where the status is not in the definition, or else how the objection to the body ends.
    what: &'static str,
}

impl Exception {
    const fn new(operations: &'static [&'static str], status: u16, what: &'static str) -> Self {
        Self {
            operations,
            request: "",
            status,
            what,
        }
    }

    const fn asked_with(mut self, request: &'static str) -> Self {
        self.request = request;
        self
    }
}

const DOWNLOADS: &[&str] = &[
    "getContent",
    "getContentAuthed",
    "getContentOverrideName",
    "getContentOverrideNameAuthed",
];

const EXCEPTIONS: &[Exception] = &[
    // "A parameter that was specified has the wrong value", "a required parameter was missing from the request", "the
    // request or entity was too large", says the list of other error codes: whatever has parameters or a body can give
    // them, but few definitions name them.
    Exception::new(&[], 400, "M_INVALID_PARAM"),
    Exception::new(&[], 400, "M_MISSING_PARAM"),
    Exception::new(&[], 413, "M_TOO_LARGE"),
    // "The room or resource does not permit guests to access it", likewise.
    Exception::new(&[], 403, "M_GUEST_ACCESS_FORBIDDEN"),
    // What keeps the files does not answer: a test takes it away.
    Exception::new(&["uploadContent"], 500, "M_UNKNOWN"),
    // A delayed event (MSC4140) has a `delay_id` and no event yet.
    Exception::new(
        &["sendMessage", "setRoomStateWithKey"],
        200,
        "\"event_id\" is a required property",
    )
    .asked_with("org.matrix.msc4140.delay="),
    // `event_fields` leaves only what it names.
    Exception::new(&["sync"], 200, "is a required property").asked_with("event%5Ffields"),
    // The definition has either content or an event, but an event is also an object like any content.
    Exception::new(
        &["getRoomStateWithKey"],
        200,
        "is valid under more than one of the schemas listed in the 'oneOf' keyword",
    )
    .asked_with("format=event"),
    // Without a relay the answer is empty, as Synapse's; matrix-js-sdk looks for `uris`.
    Exception::new(&["getTurnServer"], 200, "is a required property"),
    // A range (RFC 9110, 14): players of sound and video ask for one. And one beyond the end of the file.
    Exception::new(DOWNLOADS, 206, ""),
    Exception::new(DOWNLOADS, 416, "M_INVALID_PARAM"),
    // The page cannot be fetched. The definition has no word for it; Synapse answers the same.
    Exception::new(&["getUrlPreview", "getUrlPreviewAuthed"], 502, "M_UNKNOWN"),
    // `/join/` names no room, and is no endpoint.
    Exception::new(&["joinRoom"], 404, "M_UNRECOGNIZED"),
];

/// Whether the answer to a request, its query included, may differ in this way.
pub fn excused(operation: &str, request: &str, status: u16, violation: &Violation) -> bool {
    EXCEPTIONS.iter().any(|exception| {
        (exception.operations.is_empty() || exception.operations.contains(&operation))
            && request.contains(exception.request)
            && exception.status == status
            && match violation {
                Violation::Status(errcode) => errcode == exception.what,
                Violation::Body { said, .. } => {
                    !exception.what.is_empty() && said.ends_with(exception.what)
                }
                Violation::ContentType(_) => false,
            }
    })
}

/// Paths that the definitions of the client-server API do not describe.
pub fn is_beside_the_specification(path: &str) -> bool {
    // Of experiments; of the server itself and of Synapse's administration; of the server-server API.
    path.contains("/unstable/")
        || !path.starts_with("/_matrix/") && !path.starts_with("/.well-known/matrix/")
        || path == "/.well-known/matrix/server"
}
