//! Reading JSON that has to be [canonical](https://spec.matrix.org/v1.19/appendices/#canonical-json): integers within
//! ±(2⁵³-1), no floats, bounded nesting.

use ruma::{CanonicalJsonObject, CanonicalJsonValue};

/// How many objects and arrays may lie in one another in a content of ours, itself included. The spec has no figure;
/// `serde_json`, which many clients use, gives up at 128, and a sync response has another ten around the content.
pub(crate) const MAX_NESTING: usize = 100;

/// The object in `json`, or why it is not a canonical one.
pub(crate) fn object(json: &str) -> Result<CanonicalJsonObject, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// The same for the content of an event to be sent, whose nesting is bounded.
pub(crate) fn content(json: &str) -> Result<CanonicalJsonObject, String> {
    let content = object(json)?;
    // The recursion is bounded itself: reading gave up at serde_json's limit.
    if content.values().any(|value| nesting(value) >= MAX_NESTING) {
        return Err(format!("nested deeper than {MAX_NESTING} levels"));
    }
    Ok(content)
}

fn nesting(value: &CanonicalJsonValue) -> usize {
    match value {
        CanonicalJsonValue::Array(values) => 1 + values.iter().map(nesting).max().unwrap_or(0),
        CanonicalJsonValue::Object(members) => 1 + members.values().map(nesting).max().unwrap_or(0),
        _ => 0,
    }
}
