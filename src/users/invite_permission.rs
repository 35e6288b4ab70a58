//! Who may invite a user ([spec](https://spec.matrix.org/v1.19/client-server-api/#invite-permission)).
//!
//! Besides the spec's switch for everybody, the lists of
//! [MSC4155](https://github.com/matrix-org/matrix-spec-proposals/pull/4155) are honoured, in which Element kept the same
//! switch before there was one.

use ruma::UserId;
use serde::{Deserialize, de::DeserializeOwned};
use store::{StoreError, UserNid};
use wildmatch::WildMatch;

use crate::Users;

/// What becomes of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitePermission {
    /// The user is invited.
    Allow,
    /// The user is invited, but not told.
    Ignore,
    /// The invitation is refused.
    Block,
}

/// The spec's name, and the one of [MSC4380](https://github.com/matrix-org/matrix-spec-proposals/pull/4380) that clients used
/// before. The first that is set decides.
const SWITCHES: [&str; 2] = [
    "m.invite_permission_config",
    "org.matrix.msc4380.invite_permission_config",
];
const LISTS: &str = "org.matrix.msc4155.invite_permission_config";

#[derive(Default, Deserialize)]
struct Switch {
    default_action: Option<serde_json::Value>,
}

/// Globs over user ids and server names.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Lists {
    enabled: Option<bool>,
    allowed_users: Vec<String>,
    ignored_users: Vec<String>,
    blocked_users: Vec<String>,
    allowed_servers: Vec<String>,
    ignored_servers: Vec<String>,
    blocked_servers: Vec<String>,
}

impl Lists {
    /// The first list that names the inviter decides.
    fn permission(&self, inviter: &UserId) -> InvitePermission {
        if self.enabled == Some(false) {
            return InvitePermission::Allow;
        }
        let (user, server) = (inviter.as_str(), inviter.server_name().host());
        let lists = [
            (&self.allowed_users, user, InvitePermission::Allow),
            (&self.ignored_users, user, InvitePermission::Ignore),
            (&self.blocked_users, user, InvitePermission::Block),
            (&self.allowed_servers, server, InvitePermission::Allow),
            (&self.ignored_servers, server, InvitePermission::Ignore),
            (&self.blocked_servers, server, InvitePermission::Block),
        ];
        let named = lists.into_iter().find(|(globs, name, _)| {
            let mut globs = globs.iter();
            globs.any(|glob| WildMatch::new(glob).matches(name))
        });
        named.map_or(InvitePermission::Allow, |(_, _, permission)| permission)
    }
}

impl Users {
    /// What `invitee` wants to become of an invitation by `inviter`.
    ///
    /// "A missing, invalid or unsupported value means that the user wants to receive invites as normal."
    pub async fn invite_permission(
        &self,
        invitee: UserNid,
        inviter: &UserId,
    ) -> Result<InvitePermission, StoreError> {
        for name in SWITCHES {
            let Some(switch) = self.lenient::<Switch>(invitee, name).await? else {
                continue;
            };
            if switch.default_action.as_ref().and_then(|it| it.as_str()) == Some("block") {
                return Ok(InvitePermission::Block);
            }
            break;
        }
        let lists = self.lenient::<Lists>(invitee, LISTS).await?;
        Ok(lists.map_or(InvitePermission::Allow, |lists| lists.permission(inviter)))
    }

    /// Global account data as far as it makes sense; `None` if it was never set.
    async fn lenient<T: DeserializeOwned + Default>(
        &self,
        user: UserNid,
        event_type: &str,
    ) -> Result<Option<T>, StoreError> {
        let content = self.account_data(user, None, event_type).await?;
        Ok(content.map(|content| serde_json::from_slice(&content).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::{Value, json};

    use super::{InvitePermission, Lists};

    #[test]
    fn the_first_list_that_names_the_inviter_decides() {
        let check = |lists: Value, expected: InvitePermission| {
            let parsed: Lists = serde_json::from_value(lists.clone()).unwrap();
            let inviter = user_id!("@eve:evil.example:8448");
            assert_eq!(parsed.permission(inviter), expected, "{lists}");
        };
        check(json!({}), InvitePermission::Allow);
        check(json!({ "blocked_users": ["*"] }), InvitePermission::Block);
        check(
            json!({ "blocked_users": ["*"], "enabled": false }),
            InvitePermission::Allow,
        );
        check(
            json!({ "blocked_users": ["*"], "ignored_users": ["@e?e:*"] }),
            InvitePermission::Ignore,
        );
        check(
            json!({ "blocked_servers": ["evil.example"], "allowed_users": ["@bob:*"] }),
            InvitePermission::Block,
        );
        check(
            json!({ "blocked_servers": ["*"], "allowed_servers": ["*.example"] }),
            InvitePermission::Allow,
        );
        check(
            json!({ "ignored_servers": ["*"], "blocked_users": ["@bob:*"] }),
            InvitePermission::Ignore,
        );
    }
}
