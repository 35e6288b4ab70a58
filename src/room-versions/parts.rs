//! The stored form of an event: its JSON in two runs of members without braces, so that each reader splices what it needs.

use ruma::CanonicalJsonObject;

use crate::Rules;

/// An event's JSON in two runs of members; `{client,federation}` is the whole PDU.
///
/// Within a run the members are sorted and every value is canonical JSON, so `type` always ends the client run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// What clients see: `"content":…,"origin_server_ts":…,"redacts":…,"sender":…,"state_key":…,"type":…`.
    pub client: Vec<u8>,
    /// The other members: `"auth_events":…,"depth":…,"hashes":…,"prev_events":…,"room_id":…,"signatures":…`.
    pub federation: Vec<u8>,
}

impl Parts {
    /// Sorts the members of a PDU into the two runs. `unsigned` is nobody's: it is not part of the event.
    pub(crate) fn of(pdu: &CanonicalJsonObject, rules: &Rules) -> Result<Self, serde_json::Error> {
        let mut parts = Self {
            client: Vec::with_capacity(512),
            federation: Vec::with_capacity(512),
        };
        for (name, value) in pdu {
            let run = match name.as_str() {
                "content" | "origin_server_ts" | "sender" | "state_key" | "type" => {
                    &mut parts.client
                }
                // From version 11 on the target is in the content; a member of this name means nothing to clients.
                "redacts" if !rules.redacts_in_content() => &mut parts.client,
                "unsigned" => continue,
                _ => &mut parts.federation,
            };
            if !run.is_empty() {
                run.push(b',');
            }
            serde_json::to_writer(&mut *run, name)?;
            run.push(b':');
            serde_json::to_writer(&mut *run, value)?;
        }
        Ok(parts)
    }

    /// The whole PDU as other servers get it.
    pub fn pdu_json(&self) -> Vec<u8> {
        pdu_json(&self.client, &self.federation)
    }
}

/// The whole PDU from its two runs.
pub fn pdu_json(client: &[u8], federation: &[u8]) -> Vec<u8> {
    let mut json = Vec::with_capacity(client.len() + federation.len() + 3);
    json.push(b'{');
    json.extend_from_slice(client);
    if !client.is_empty() && !federation.is_empty() {
        json.push(b',');
    }
    json.extend_from_slice(federation);
    json.push(b'}');
    json
}
