//! What push rules say of an event. Knows no store.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#push-rules)

use rooms::{ClientView, Event};
use ruma::{
    OwnedRoomId, OwnedUserId, UInt,
    push::{Action, FlattenedJson, PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset},
    serde::Raw as RawJson,
};
use serde_json::value::RawValue;
use store::CorruptRow;

/// An event flattened once, and what the rules of any user may ask of its room.
pub struct Evaluation {
    flattened: FlattenedJson,
    context: PushConditionRoomCtx,
}

impl Evaluation {
    /// Of an event in a room with so many members.
    ///
    /// # Errors
    /// If the event does not parse.
    pub fn new(
        event: &Event,
        room_id: OwnedRoomId,
        joined: u32,
        power_levels: Option<PushConditionPowerLevelsCtx>,
    ) -> Result<Self, CorruptRow> {
        let view = ClientView {
            room_id: Some(room_id.as_str()),
            ..ClientView::default()
        };
        let mut json = Vec::with_capacity(512);
        event.write_client(&mut json, &view);
        let json = serde_json::from_slice::<Box<RawValue>>(&json)
            .map_err(|_| CorruptRow("an event does not parse"))?;
        let flattened = FlattenedJson::from_raw(&RawJson::<serde_json::Value>::from_json(json));
        let nobody = event.sender.clone();
        let mut context =
            PushConditionRoomCtx::new(room_id, UInt::from(joined), nobody, String::new());
        context.power_levels = power_levels;
        Ok(Self { flattened, context })
    }

    /// What a user's rules do with the event; empty if they do not notify.
    pub async fn actions<'a>(
        &mut self,
        rules: &'a Ruleset,
        user_id: OwnedUserId,
        display_name: String,
    ) -> &'a [Action] {
        self.context.user_id = user_id;
        self.context.user_display_name = display_name;
        for rule in rules {
            if rule.applies(&self.flattened, &self.context).await {
                let actions = rule.actions();
                let notifies = actions.iter().any(Action::should_notify);
                return if notifies { actions } else { &[] };
            }
        }
        &[]
    }
}
