//! Who is in a room: join, invite, knock, leave, kick, ban, unban, forget.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#room-membership)

use std::sync::Arc;

use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId,
    room::{AllowRule, JoinRule},
};
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};
use store::{
    UserNid,
    rows::{MemberRow, Membership, UserRoomRow},
    tables::UserRooms,
};

use crate::{
    Room, RoomError, RoomNews, Rooms, What,
    append::{Append, NewEvent},
    send::same_json,
};

/// How many members are asked, at most, whether they can vouch for somebody who joins by `restricted` rules.
const MAX_VOUCHERS: usize = 1000;

impl Rooms {
    /// Joins a room: by its join rules, by invitation, or by `restricted` rules. Joining twice is no change.
    ///
    /// `extra` is what the client wants in the content besides (`reason`).
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`]; [`RoomError::Forbidden`] by the authorisation rules; [`RoomError::GuestAccess`] for
    /// a guest; [`RoomError::Blocked`].
    pub async fn join(
        &self,
        room_id: &RoomId,
        user: &UserId,
        extra: Map<String, Value>,
    ) -> Result<(), RoomError> {
        self.check_not_blocked(room_id).await?;
        let room = self.room_by_id(room_id).await?;
        let profile = self.profiles().profile(user).await;
        self.change(&room, async |append| {
            let before = append.membership(user).await?;
            if before == Some(Membership::Join) {
                return Ok(());
            }
            self.check_guest_joins(append, user).await?;
            let mut content = extra;
            content.remove("join_authorised_via_users_server");
            profile.write(&mut content);
            if before != Some(Membership::Invite)
                && let Some(voucher) = self.voucher(append, user).await?
            {
                content.insert(
                    "join_authorised_via_users_server".to_owned(),
                    Value::String(voucher.into()),
                );
            }
            append.member(user, user, "join", content).await
        })
        .await
    }

    /// Invites a user.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`], [`RoomError::Forbidden`]: also for somebody who is in the room already, or banned;
    /// [`RoomError::InviteBlocked`]
    pub async fn invite(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        target: &UserId,
        mut content: Map<String, Value>,
    ) -> Result<(), RoomError> {
        let room = self.room_to_send(room_id).await?;
        if !self.is_local(target) {
            return Err(RoomError::Forbidden(
                "this server does not federate yet".to_owned(),
            ));
        }
        self.profiles().profile(target).await.write(&mut content);
        let wanted = self.check_invite(sender, target).await;
        let enters = self.check_not_blocked(room_id).await;
        self.change(&room, async |append| {
            require_joined(append, sender).await?;
            enters?;
            append.member(sender, target, "invite", content).await?;
            // Last: what the user has chosen is told to those alone who may invite.
            wanted
        })
        .await
    }

    /// Whether a user wants to be invited by `sender`.
    ///
    /// # Errors
    /// [`RoomError::InviteBlocked`]
    pub(crate) async fn check_invite(
        &self,
        sender: &UserId,
        target: &UserId,
    ) -> Result<(), RoomError> {
        if self.profiles().refuses_invite(target, sender).await {
            return Err(RoomError::InviteBlocked(target.to_owned()));
        }
        Ok(())
    }

    /// Asks to be let in.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`]; [`RoomError::Forbidden`] where the join rules do not let users knock.
    pub async fn knock(
        &self,
        room_id: &RoomId,
        user: &UserId,
        mut content: Map<String, Value>,
    ) -> Result<(), RoomError> {
        self.check_not_blocked(room_id).await?;
        let room = self.room_by_id(room_id).await?;
        self.profiles().profile(user).await.write(&mut content);
        self.change(&room, async |append| {
            if append.membership(user).await? == Some(Membership::Knock) {
                return Ok(());
            }
            append.member(user, user, "knock", content).await
        })
        .await
    }

    /// Leaves a room, rejects an invitation or takes back a knock. Leaving twice is no change.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`] if the user never was in the room or is banned; [`RoomError::NoticeRoom`]
    pub async fn leave(
        &self,
        room_id: &RoomId,
        user: &UserId,
        reason: Option<&str>,
    ) -> Result<(), RoomError> {
        let room = self.room_to_send(room_id).await?;
        let may_reject = !self.is_for_notices(&room, user);
        self.go(&room, user, (may_reject, reason)).await
    }

    /// As [`Rooms::leave`], for somebody whose account or room is no more.
    pub async fn leave_for_good(&self, room_id: &RoomId, user: &UserId) -> Result<(), RoomError> {
        let room = self.room_to_send(room_id).await?;
        self.go(&room, user, (true, None)).await
    }

    async fn go(
        &self,
        room: &Arc<Room>,
        user: &UserId,
        (may_reject, reason): (bool, Option<&str>),
    ) -> Result<(), RoomError> {
        self.change(room, async |append| match append.membership(user).await? {
            Some(Membership::Leave) => Ok(()),
            None | Some(Membership::Ban) => Err(RoomError::NotJoined),
            Some(Membership::Invite) if !may_reject => Err(RoomError::NoticeRoom),
            Some(_) => {
                append
                    .member(user, user, "leave", with_reason(reason))
                    .await
            }
        })
        .await
    }

    /// Whether a room is one in which the server tells a user something.
    fn is_for_notices(&self, room: &Room, user: &UserId) -> bool {
        let sender = self.options().notices_user.as_deref();
        sender.is_some_and(|sender| room.create.sender == sender && user != sender)
    }

    /// Removes somebody who is in the room, is invited or knocks.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`]; [`RoomError::Forbidden`], also if the target is not there.
    pub async fn kick(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Result<(), RoomError> {
        let there = |target: Option<Membership>| match target {
            Some(Membership::Join | Membership::Invite | Membership::Knock) => Ok(()),
            _ => Err("the user is not in the room"),
        };
        self.remove(room_id, (sender, target), ("leave", reason), there)
            .await
    }

    /// Bans somebody, whether they are in the room or not. Banning twice is no change.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`], [`RoomError::Forbidden`]
    pub async fn ban(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Result<(), RoomError> {
        self.remove(room_id, (sender, target), ("ban", reason), |_| Ok(()))
            .await
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`]; [`RoomError::Forbidden`], also if the target is not banned.
    pub async fn unban(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Result<(), RoomError> {
        let banned = |target: Option<Membership>| match target {
            Some(Membership::Ban) => Ok(()),
            _ => Err("the user is not banned"),
        };
        self.remove(room_id, (sender, target), ("leave", reason), banned)
            .await
    }

    /// Sets the membership of somebody else, if what it is `allows` that; it says why not.
    async fn remove(
        &self,
        room_id: &RoomId,
        (sender, target): (&UserId, &UserId),
        (membership, reason): (&str, Option<&str>),
        allows: impl Fn(Option<Membership>) -> Result<(), &'static str>,
    ) -> Result<(), RoomError> {
        let room = self.room_to_send(room_id).await?;
        self.change(&room, async |append| {
            require_joined(append, sender).await?;
            allows(append.membership(target).await?)
                .map_err(|reason| RoomError::Forbidden(reason.to_owned()))?;
            append
                .member(sender, target, membership, with_reason(reason))
                .await
        })
        .await
    }

    /// Sets an `m.room.member` event as the client wrote it, except for what only a server may vouch for.
    pub(crate) async fn set_member(
        &self,
        room: &Arc<Room>,
        sender: &UserId,
        target: &str,
        content: &RawValue,
    ) -> Result<OwnedEventId, RoomError> {
        let mut content: Map<String, Value> = serde_json::from_str(content.get())
            .map_err(|error| RoomError::BadJson(error.to_string()))?;
        let target = UserId::parse(target)
            .map_err(|_| RoomError::InvalidParam("the state key is not a user id".to_owned()))?;
        let membership = content.get("membership").and_then(Value::as_str);
        let joins = membership == Some("join") && target == sender;
        let mut wanted = Ok(());
        if membership == Some("invite") {
            if !self.is_local(&target) {
                return Err(RoomError::Forbidden(
                    "this server does not federate yet".to_owned(),
                ));
            }
            wanted = self.check_invite(sender, &target).await;
        }
        let rejects =
            membership == Some("leave") && target == sender && self.is_for_notices(room, sender);
        let enters = match membership {
            Some("join" | "invite" | "knock") => self.check_not_blocked(&room.id).await,
            _ => Ok(()),
        };
        content.remove("join_authorised_via_users_server");
        self.write(room, None, async |append| {
            let before = append.membership(&target).await?;
            if before != Some(Membership::Join) {
                enters?;
            }
            if rejects && before == Some(Membership::Invite) {
                return Err(RoomError::NoticeRoom);
            }
            if joins && before != Some(Membership::Join) {
                self.check_guest_joins(append, sender).await?;
            }
            if joins
                && !matches!(before, Some(Membership::Join | Membership::Invite))
                && let Some(voucher) = self.voucher(append, sender).await?
            {
                let voucher = Value::String(voucher.into());
                content.insert("join_authorised_via_users_server".to_owned(), voucher);
            }
            let content =
                to_raw_value(&content).map_err(|error| RoomError::BadJson(error.to_string()))?;
            if let Some(current) = append.current("m.room.member", target.as_str()).await?
                && current.pdu.sender == sender
                && same_json(&content, &current.pdu.content)
                && append.membership(sender).await? == Some(Membership::Join)
            {
                return Ok(current.pdu.event_id.clone());
            }
            let event = NewEvent::state("m.room.member", target.as_str(), sender, &content);
            let event_id = append.append(event).await?;
            wanted.map(|()| event_id)
        })
        .await
    }

    /// Takes a room that the user has left out of their sight. Forgetting twice is no change.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`]; [`RoomError::InvalidParam`] while the user is still in the room.
    pub async fn forget(&self, room_id: &RoomId, user_id: &UserId) -> Result<(), RoomError> {
        let room = self.room_by_id(room_id).await?;
        let user: UserNid = self
            .store()
            .interner()
            .find(user_id.as_str())
            .await?
            .ok_or(RoomError::UnknownRoom)?;
        let (publisher, nid) = (self.clone(), room.nid);
        self.change(&room, async |append| {
            let Some(current) = append.current("m.room.member", user_id.as_str()).await? else {
                return Err(RoomError::UnknownRoom);
            };
            let membership = crate::append::membership_of(&current.pdu);
            let Some(membership @ (Membership::Leave | Membership::Ban)) = membership else {
                return Err(RoomError::InvalidParam(
                    "leave the room before you forget it".to_owned(),
                ));
            };
            let member = MemberRow {
                membership,
                rsn: current.rsn,
                pos: current.pos,
            };
            let batch = append.batch();
            batch.put::<UserRooms>(
                &(user, nid),
                &UserRoomRow {
                    member,
                    forgotten: true,
                },
            );
            batch.after(move |pos| {
                publisher.tell(&RoomNews {
                    room: nid,
                    pos,
                    what: What::Forgotten(user),
                });
            });
            Ok(())
        })
        .await
    }

    /// A local member who vouches for a user that joins by `restricted` rules; `None` if the rules do not ask for one.
    ///
    /// [spec](https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms)
    async fn voucher(
        &self,
        append: &mut Append<'_>,
        user: &UserId,
    ) -> Result<Option<OwnedUserId>, RoomError> {
        let event = append.current("m.room.join_rules", "").await?;
        let (JoinRule::Restricted(rule) | JoinRule::KnockRestricted(rule)) =
            room_versions::join_rule(event.as_ref().map(|current| &*current.pdu))
        else {
            return Ok(None);
        };
        let mut allowed = false;
        for rule in &rule.allow {
            if let AllowRule::RoomMembership(membership) = rule {
                allowed |= self.is_joined(&membership.room_id, user).await?;
            }
        }
        if !allowed {
            // Without anybody to vouch the authorisation rules refuse, except where the user may join anyway.
            return Ok(None);
        }
        let power_levels = append.power_levels().await?;
        // Members with power are few and named; anybody will do where inviting takes none.
        let named = append
            .room()
            .creation
            .creators
            .iter()
            .chain(power_levels.users.keys());
        let named: Vec<_> = named.filter(|user| self.is_local(user)).cloned().collect();
        for candidate in named {
            if power_levels.user_can_invite(&candidate)
                && append.membership(&candidate).await? == Some(Membership::Join)
            {
                return Ok(Some(candidate));
            }
        }
        for (member, row) in self
            .members(append.room().nid)
            .await?
            .into_iter()
            .take(MAX_VOUCHERS)
        {
            if row.membership != Membership::Join {
                continue;
            }
            let name = self.store().interner().name(member).await?;
            let Ok(candidate) = OwnedUserId::try_from(&*name) else {
                continue;
            };
            if self.is_local(&candidate)
                && power_levels.user_can_invite(&candidate)
                && append.membership(&candidate).await? == Some(Membership::Join)
            {
                return Ok(Some(candidate));
            }
        }
        Err(RoomError::Forbidden(
            "nobody here can vouch for you in this room".to_owned(),
        ))
    }

    /// The rooms that a local user is joined to.
    pub async fn joined_rooms(&self, user: &UserId) -> Result<Vec<OwnedRoomId>, RoomError> {
        let mut joined = Vec::new();
        for (room, row) in self.rooms_of(user).await? {
            if row.member.membership == Membership::Join {
                let room_id = self.store().interner().name(room).await?;
                let room_id = RoomId::parse(&*room_id);
                joined.push(room_id.map_err(|_| store::CorruptRow("not a room id"))?);
            }
        }
        Ok(joined)
    }

    /// Whether a user is joined to a room, as far as this server knows.
    pub async fn is_joined(&self, room_id: &RoomId, user: &UserId) -> Result<bool, RoomError> {
        let interner = self.store().interner();
        let (Some(room), Some(user)) = (
            interner.find(room_id.as_str()).await?,
            interner.find(user.as_str()).await?,
        ) else {
            return Ok(false);
        };
        Ok(self
            .member(room, user)
            .await?
            .is_some_and(|row| row.membership == Membership::Join))
    }
}

impl Append<'_> {
    /// Appends an `m.room.member` event with the given content and membership.
    pub(crate) async fn member(
        &mut self,
        sender: &UserId,
        target: &UserId,
        membership: &str,
        mut content: Map<String, Value>,
    ) -> Result<(), RoomError> {
        content.insert(
            "membership".to_owned(),
            Value::String(membership.to_owned()),
        );
        let content =
            to_raw_value(&content).map_err(|error| RoomError::BadJson(error.to_string()))?;
        let _: OwnedEventId = self
            .append(NewEvent::state(
                "m.room.member",
                target.as_str(),
                sender,
                &content,
            ))
            .await?;
        Ok(())
    }
}

async fn require_joined(append: &mut Append<'_>, sender: &UserId) -> Result<(), RoomError> {
    if append.membership(sender).await? == Some(Membership::Join) {
        Ok(())
    } else {
        Err(RoomError::NotJoined)
    }
}

fn with_reason(reason: Option<&str>) -> Map<String, Value> {
    reason
        .map(|reason| Map::from_iter([("reason".to_owned(), json!(reason))]))
        .unwrap_or_default()
}
