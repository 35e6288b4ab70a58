//! Every answer is held against the OpenAPI definitions of the specification, which stand in `definitions/`.
//!
//! An answer passes if its status is one the definition knows, its body is valid against the schema of that status and
//! its `content-type` is the one promised there; and if the events in it which the server itself writes have the content
//! that `definitions/event-schemas` gives them. What differs for a reason stands in `exceptions.rs`, with the reason.

mod definitions;
mod exceptions;

use std::sync::OnceLock;

use serde_json::Value;

use crate::Response;
use definitions::{Definitions, Found, Operation};
use exceptions::{COMMON_ERRORS, Violation};

/// How much of a path, an objection and a body is told, in characters.
const TOLD: usize = 2_000;

/// What the definitions say against this answer to `method path`, if anything.
pub fn objection(method: &str, request: &str, response: &Response) -> Option<String> {
    static DEFINITIONS: OnceLock<Definitions> = OnceLock::new();
    let definitions = DEFINITIONS.get_or_init(Definitions::load);
    let path = request.split('?').next().unwrap_or_default();
    let checked = match definitions.find(method, path) {
        Found::Operation(operation) => check(definitions, operation, request, response),
        // Cross-origin requests ask first, of every path; a HEAD has no body.
        _ if matches!(method, "OPTIONS" | "HEAD") => None,
        Found::OtherMethod => unrecognised(response, 405),
        Found::Nothing if exceptions::is_beside_the_specification(path) => None,
        Found::Nothing => unrecognised(response, 404),
    };
    let said = checked?;
    let short = |text: &str| text.chars().take(TOLD).collect::<String>();
    Some(format!(
        "{method} {}: {}: {}\n{}",
        short(path),
        response.status,
        short(&said),
        short(&response.text())
    ))
}

/// "This is expected to be returned with a 404 HTTP status code if the endpoint is not implemented or a 405 HTTP status
/// code if the endpoint is implemented, but the incorrect HTTP method is used."
fn unrecognised(response: &Response, status: u16) -> Option<String> {
    let errcode = match standard_error(response) {
        Ok(errcode) => errcode,
        Err(said) => return Some(said),
    };
    (response.status != status || errcode != "M_UNRECOGNIZED").then(|| {
        format!("the definitions know no such endpoint, and it is no {status} M_UNRECOGNIZED")
    })
}

fn check(
    definitions: &Definitions,
    operation: &Operation,
    request: &str,
    response: &Response,
) -> Option<String> {
    let violation = violation(definitions, operation, response)?;
    let excused = exceptions::excused(&operation.id, request, response.status, &violation);
    (!excused).then(|| format!("{}: {violation}", operation.id))
}

fn violation(
    definitions: &Definitions,
    operation: &Operation,
    response: &Response,
) -> Option<Violation> {
    let errcode = if response.status < 400 {
        String::new()
    } else {
        match standard_error(response) {
            Ok(errcode) => errcode,
            Err(said) => return Some(in_the_body("", said)),
        }
    };
    let Some(answer) = operation.answer(response.status) else {
        let is_common = COMMON_ERRORS.contains(&(response.status, &errcode));
        return (!is_common).then_some(Violation::Status(errcode));
    };
    if response.status == 401 && errcode.ends_with("_TOKEN") {
        // Where the definition has the stages of user-interactive authentication, a login comes first.
        return None;
    }
    let given = response.header("content-type");
    let given = given.split(';').next().unwrap_or_default();
    match answer.content_types.as_slice() {
        [] => None,
        [promised] if promised == "application/json" => {
            if given != promised {
                return Some(Violation::ContentType(given.to_owned()));
            }
            invalid_body(definitions, operation, response)
        }
        // A file has the type that it was uploaded with.
        _ => given
            .is_empty()
            .then_some(Violation::ContentType(String::new())),
    }
}

fn invalid_body(
    definitions: &Definitions,
    operation: &Operation,
    response: &Response,
) -> Option<Violation> {
    let Ok(body) = serde_json::from_slice::<Value>(&response.body) else {
        return Some(in_the_body("", "not JSON".to_owned()));
    };
    let schema = definitions.schema(operation, response.status)?;
    let error = schema.iter_errors(&body).next();
    let error = error.map(|error| in_the_body(error.instance_path().as_str(), error.to_string()));
    error.or_else(|| invalid_event(definitions, &body))
}

/// The content of an event that the server writes itself, wherever it stands in an answer.
fn invalid_event(definitions: &Definitions, value: &Value) -> Option<Violation> {
    if let Value::Array(members) = value {
        return members
            .iter()
            .find_map(|member| invalid_event(definitions, member));
    }
    let members = value.as_object()?;
    let content = members.get("content").filter(|content| content.is_object());
    let event_type = members.get("type").and_then(Value::as_str);
    if let (Some(content), Some(event_type)) = (content, event_type)
        && let Some(schema) = definitions.event_content(event_type)
        && let Some(error) = schema.iter_errors(content).next()
    {
        let place = format!("the content of {event_type}, {}", error.instance_path());
        return Some(in_the_body(&place, error.to_string()));
    }
    members
        .values()
        .find_map(|member| invalid_event(definitions, member))
}

fn in_the_body(place: &str, said: String) -> Violation {
    Violation::Body {
        place: place.to_owned(),
        said,
    }
}

/// The `errcode` of a standard error response: "the keys `error` and `errcode` MUST always be present".
fn standard_error(response: &Response) -> Result<String, String> {
    if response.header("content-type") != "application/json" {
        return Err("an error that is not application/json".to_owned());
    }
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    // User-interactive authentication answers 401 with what is to be done, and an error only if a stage failed.
    if response.status == 401 && body["flows"].is_array() {
        return Ok(String::new());
    }
    match (&body["errcode"], &body["error"]) {
        (Value::String(errcode), Value::String(_)) => Ok(errcode.clone()),
        _ => Err("an error without errcode and error".to_owned()),
    }
}
