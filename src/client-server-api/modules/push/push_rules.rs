//! [Push rules](https://spec.matrix.org/v1.19/client-server-api/#push-rules).

use axum::{extract::State, response::Response};
use http::StatusCode;
use http_layer::{MatrixRequest, MatrixResponse, json};
use ruma::{
    api::client::push::{
        PushRule, delete_pushrule, get_pushrule, get_pushrule_actions, get_pushrule_enabled,
        get_pushrules_all, get_pushrules_global_scope, set_pushrule, set_pushrule_actions,
        set_pushrule_enabled,
    },
    push::{AnyPushRuleRef, RuleKind, Ruleset},
};
use serde_json::json;
use users::{PushRuleError, RulePlace, Users, rules_json};

use crate::{Error, Session};

/// `GET /_matrix/client/v3/pushrules/`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrules)
pub async fn get_push_rules(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<get_pushrules_all::v3::Request>,
) -> Result<Response, Error> {
    let rules = users.push_rules(session.user).await?;
    Ok(json(
        StatusCode::OK,
        &json!({ "global": rules_json(&rules) }),
    ))
}

/// `GET /_matrix/client/v3/pushrules/global/`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobal)
pub async fn get_push_rules_global(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<get_pushrules_global_scope::v3::Request>,
) -> Result<Response, Error> {
    let rules = users.push_rules(session.user).await?;
    Ok(json(StatusCode::OK, &rules_json(&rules)))
}

/// `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleid)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get_push_rule(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_pushrule::v3::Request>,
) -> Result<MatrixResponse<get_pushrule::v3::Response>, Error> {
    let rules = users.push_rules(session.user).await?;
    let rule: PushRule = match find(&rules, request.kind, &request.rule_id)? {
        AnyPushRuleRef::Override(rule) | AnyPushRuleRef::Underride(rule) => rule.clone().into(),
        AnyPushRuleRef::Content(rule) => rule.clone().into(),
        AnyPushRuleRef::Room(rule) => rule.clone().into(),
        AnyPushRuleRef::Sender(rule) => rule.clone().into(),
        _ => return Err(PushRuleError::NotFound.into()),
    };
    Ok(MatrixResponse(get_pushrule::v3::Response::new(rule)))
}

/// `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid)
///
/// # Errors
/// `M_INVALID_PARAM` for an unknown kind and for an id that is reserved or not allowed, `M_BAD_JSON` for a rule without
/// what its kind needs, `M_UNKNOWN` (400) for an unknown `before` or `after`, `M_TOO_LARGE`.
pub async fn set_push_rule(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<set_pushrule::v3::Request>,
) -> Result<MatrixResponse<set_pushrule::v3::Response>, Error> {
    let place = RulePlace {
        before: request.before,
        after: request.after,
    };
    users
        .set_push_rule(session.user, request.rule, &place)
        .await?;
    Ok(MatrixResponse(set_pushrule::v3::Response::new()))
}

/// `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3pushrulesglobalkindruleid)
///
/// # Errors
/// `M_NOT_FOUND`; `M_INVALID_PARAM` for a rule of the server's.
pub async fn delete_push_rule(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<delete_pushrule::v3::Request>,
) -> Result<MatrixResponse<delete_pushrule::v3::Response>, Error> {
    users
        .delete_push_rule(session.user, request.kind, &request.rule_id)
        .await?;
    Ok(MatrixResponse(delete_pushrule::v3::Response::new()))
}

/// `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidenabled)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn is_push_rule_enabled(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_pushrule_enabled::v3::Request>,
) -> Result<MatrixResponse<get_pushrule_enabled::v3::Response>, Error> {
    let rules = users.push_rules(session.user).await?;
    let enabled = find(&rules, request.kind, &request.rule_id)?.enabled();
    Ok(MatrixResponse(get_pushrule_enabled::v3::Response::new(
        enabled,
    )))
}

/// `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidenabled)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn set_push_rule_enabled(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<set_pushrule_enabled::v3::Request>,
) -> Result<MatrixResponse<set_pushrule_enabled::v3::Response>, Error> {
    users
        .set_push_rule_enabled(
            session.user,
            request.kind,
            &request.rule_id,
            request.enabled,
        )
        .await?;
    Ok(MatrixResponse(set_pushrule_enabled::v3::Response::new()))
}

/// `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidactions)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get_push_rule_actions(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_pushrule_actions::v3::Request>,
) -> Result<MatrixResponse<get_pushrule_actions::v3::Response>, Error> {
    let rules = users.push_rules(session.user).await?;
    let actions = find(&rules, request.kind, &request.rule_id)?
        .actions()
        .to_vec();
    Ok(MatrixResponse(get_pushrule_actions::v3::Response::new(
        actions,
    )))
}

/// `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidactions)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn set_push_rule_actions(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<set_pushrule_actions::v3::Request>,
) -> Result<MatrixResponse<set_pushrule_actions::v3::Response>, Error> {
    users
        .set_push_rule_actions(
            session.user,
            request.kind,
            &request.rule_id,
            request.actions,
        )
        .await?;
    Ok(MatrixResponse(set_pushrule_actions::v3::Response::new()))
}

fn find<'a>(
    rules: &'a Ruleset,
    kind: RuleKind,
    rule_id: &str,
) -> Result<AnyPushRuleRef<'a>, PushRuleError> {
    rules.get(kind, rule_id).ok_or(PushRuleError::NotFound)
}
