//! Taking an event's content away: the [redaction algorithm](https://spec.matrix.org/v1.19/client-server-api/#redactions),
//! and whether a redaction takes effect.

use ruma::{
    EventId, UserId, canonical_json::redact_in_place, events::room::power_levels::RoomPowerLevels,
};

use crate::{ParseError, Parts, Rules, canonical, pdu_json};

impl Rules {
    /// The redacted form of a stored event. Its id and its signatures stay valid.
    ///
    /// # Errors
    /// If the parts are not what [`Rules::compose`] writes.
    pub fn redact(
        &self,
        event_id: &EventId,
        client: &[u8],
        federation: &[u8],
    ) -> Result<Parts, ParseError> {
        let redacted = || -> Result<Parts, String> {
            let json = pdu_json(client, federation);
            let mut pdu =
                canonical::object(str::from_utf8(&json).map_err(|error| error.to_string())?)?;
            redact_in_place(&mut pdu, &self.ruma.redaction, None)
                .map_err(|error| error.to_string())?;
            Parts::of(&pdu, self).map_err(|error| error.to_string())
        };
        redacted().map_err(|reason| ParseError::new(event_id, reason))
    }

    /// Whether a redaction that was allowed as an event also takes effect on its target.
    ///
    /// [spec](https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions)
    pub fn redaction_applies(
        &self,
        power_levels: &RoomPowerLevels,
        redactor: &UserId,
        target_sender: &UserId,
    ) -> bool {
        // In versions 1 and 2 the authorisation rules have decided already.
        self.ruma.authorization.special_case_room_redaction
            || power_levels.for_user(redactor) >= power_levels.redact
            || redactor.server_name() == target_sender.server_name()
    }
}

#[cfg(test)]
mod tests;
