use ruma::push::{
    Action, NewConditionalPushRule, NewPatternedPushRule, NewPushRule, NewSimplePushRule, RuleKind,
    Ruleset,
};
use store::UserNid;

use crate::{
    PushRuleError, RulePlace, UserNews,
    tests::{Fixture, config},
};

/// The predefined rules of [v1.19](https://spec.matrix.org/v1.19/client-server-api/#predefined-rules), in order.
const OVERRIDES: [&str; 10] = [
    ".m.rule.master",
    ".m.rule.suppress_notices",
    ".m.rule.invite_for_me",
    ".m.rule.member_event",
    ".m.rule.is_user_mention",
    ".m.rule.is_room_mention",
    ".m.rule.tombstone",
    ".m.rule.reaction",
    ".m.rule.room.server_acl",
    ".m.rule.suppress_edits",
];
const UNDERRIDES: [&str; 5] = [
    ".m.rule.call",
    ".m.rule.encrypted_room_one_to_one",
    ".m.rule.room_one_to_one",
    ".m.rule.message",
    ".m.rule.encrypted",
];

fn content(rule_id: &str) -> NewPushRule {
    NewPushRule::Content(NewPatternedPushRule::new(
        rule_id.to_owned(),
        "cake".to_owned(),
        vec![Action::Notify],
    ))
}

fn over(rule_id: &str) -> NewPushRule {
    NewPushRule::Override(NewConditionalPushRule::new(
        rule_id.to_owned(),
        vec![],
        vec![],
    ))
}

fn ids(rules: &Ruleset, kind: &RuleKind) -> Vec<String> {
    match kind {
        RuleKind::Override => rules
            .override_
            .iter()
            .map(|rule| rule.rule_id.clone())
            .collect(),
        RuleKind::Underride => rules
            .underride
            .iter()
            .map(|rule| rule.rule_id.clone())
            .collect(),
        RuleKind::Content => rules
            .content
            .iter()
            .map(|rule| rule.rule_id.clone())
            .collect(),
        _ => Vec::new(),
    }
}

async fn set(
    fixture: &Fixture,
    user: UserNid,
    rule: NewPushRule,
    place: [Option<&str>; 2],
) -> Result<(), PushRuleError> {
    let [before, after] = place.map(|id| id.map(str::to_owned));
    fixture
        .users
        .set_push_rule(user, rule, &RulePlace { before, after })
        .await
}

#[tokio::test]
async fn the_predefined_rules_are_those_of_the_spec() {
    let fixture = Fixture::new();
    let user = fixture.session("alice").await.user;
    let rules = fixture.users.push_rules(user).await.unwrap();
    assert_eq!(ids(&rules, &RuleKind::Override), OVERRIDES);
    assert_eq!(ids(&rules, &RuleKind::Underride), UNDERRIDES);
    assert_eq!(rules.iter().count(), OVERRIDES.len() + UNDERRIDES.len());
    let off: Vec<_> = rules
        .iter()
        .filter(|rule| !rule.enabled())
        .map(|rule| rule.rule_id().to_owned())
        .collect();
    assert_eq!(off, [".m.rule.master"]);
}

#[tokio::test]
async fn own_rules_stand_above_the_servers_and_below_the_master() {
    let fixture = Fixture::new();
    let user = fixture.session("alice").await.user;
    set(&fixture, user, over("one"), [None, None])
        .await
        .unwrap();
    set(&fixture, user, over("two"), [None, None])
        .await
        .unwrap();
    for users in [fixture.users.clone(), fixture.restarted(&config())] {
        let rules = users.push_rules(user).await.unwrap();
        assert_eq!(
            ids(&rules, &RuleKind::Override)[..3],
            [".m.rule.master", "two", "one"]
        );
        assert_eq!(ids(&rules, &RuleKind::Override)[3..], OVERRIDES[1..]);
        assert_eq!(ids(&rules, &RuleKind::Underride), UNDERRIDES);
    }
    let both = [UserNews::AccountData { room: None }, UserNews::PushRules];
    assert_eq!(fixture.news.take(), [both.clone(), both].concat());
}

#[tokio::test]
async fn rules_are_placed_before_and_after_others() {
    // Rules there are, the rule set, before, after, what there is then.
    for (there, rule, before, after, expected) in [
        (&["a"][..], "b", None, None, Some(&["b", "a"][..])),
        (&["a", "b"], "c", Some("b"), None, Some(&["a", "c", "b"])),
        (&["a", "b"], "c", None, Some("a"), Some(&["a", "c", "b"])),
        (&["a", "b"], "c", None, Some("b"), Some(&["a", "b", "c"])),
        (&["a", "b"], "a", None, Some("b"), Some(&["b", "a"])),
        (&["a", "b"], "b", Some("a"), None, Some(&["b", "a"])),
        (
            &["a", "b", "c"],
            "b",
            Some("c"),
            Some("a"),
            Some(&["a", "b", "c"]),
        ),
        (
            &["a", "b", "c"],
            "a",
            Some("c"),
            Some("b"),
            Some(&["b", "a", "c"]),
        ),
        (&["a", "b"], "a", None, None, Some(&["a", "b"])),
        (&["a", "b"], "c", Some("a"), Some("b"), None),
        (&["a", "b"], "a", Some("a"), None, None),
        (&["a", "b"], "a", None, Some("a"), None),
        (&["a"], "b", Some("x"), None, None),
        (&["a"], "b", None, Some("x"), None),
        (&["a"], "b", None, Some(".m.rule.master"), None),
        (&[], ".a", None, None, None),
        (&[], "a/b", None, None, None),
        (&[], "a\\b", None, None, None),
    ] {
        let fixture = Fixture::new();
        let user = fixture.session("alice").await.user;
        for id in there.iter().rev() {
            set(&fixture, user, content(id), [None, None])
                .await
                .unwrap();
        }
        let result = set(&fixture, user, content(rule), [before, after]).await;
        assert_eq!(
            result.is_ok(),
            expected.is_some(),
            "{there:?} {rule} {before:?} {after:?}: {result:?}"
        );
        let rules = fixture.users.push_rules(user).await.unwrap();
        assert_eq!(
            ids(&rules, &RuleKind::Content),
            expected.unwrap_or(there),
            "{there:?} {rule} {before:?} {after:?}"
        );
    }
}

#[tokio::test]
async fn a_rule_set_anew_stays_off() {
    let fixture = Fixture::new();
    let user = fixture.session("alice").await.user;
    for place in [None, Some("b")] {
        set(&fixture, user, content("b"), [None, None])
            .await
            .unwrap();
        set(&fixture, user, content("a"), [None, None])
            .await
            .unwrap();
        fixture
            .users
            .set_push_rule_enabled(user, RuleKind::Content, "a", false)
            .await
            .unwrap();
        set(&fixture, user, content("a"), [place, None])
            .await
            .unwrap();
        let rules = fixture.users.push_rules(user).await.unwrap();
        assert!(!rules.get(RuleKind::Content, "a").unwrap().enabled());
    }
}

#[tokio::test]
async fn the_servers_rules_can_be_changed_but_not_removed() {
    let fixture = Fixture::new();
    let (user, users) = (fixture.session("alice").await.user, &fixture.users);
    users
        .set_push_rule_enabled(user, RuleKind::Override, ".m.rule.master", true)
        .await
        .unwrap();
    users
        .set_push_rule_actions(user, RuleKind::Underride, ".m.rule.message", vec![])
        .await
        .unwrap();
    let rules = fixture.restarted(&config()).push_rules(user).await.unwrap();
    assert!(
        rules
            .get(RuleKind::Override, ".m.rule.master")
            .unwrap()
            .enabled()
    );
    assert!(
        rules
            .get(RuleKind::Underride, ".m.rule.message")
            .unwrap()
            .actions()
            .is_empty()
    );
    let refused = users
        .delete_push_rule(user, RuleKind::Override, ".m.rule.master")
        .await;
    assert!(matches!(refused, Err(PushRuleError::ServerDefault)));
}

#[tokio::test]
async fn unknown_rules_are_not_found() {
    let fixture = Fixture::new();
    let (user, users) = (fixture.session("alice").await.user, &fixture.users);
    for kind in [RuleKind::Content, RuleKind::Room, RuleKind::from("x")] {
        let results = [
            users.delete_push_rule(user, kind.clone(), "nope").await,
            users
                .set_push_rule_enabled(user, kind.clone(), "nope", true)
                .await,
            users
                .set_push_rule_actions(user, kind.clone(), ".m.rule.message", vec![])
                .await,
        ];
        for result in results {
            assert!(matches!(result, Err(PushRuleError::NotFound)), "{kind}");
        }
    }
}

#[tokio::test]
async fn historical_actions_are_stripped() {
    let fixture = Fixture::new();
    let user = fixture.session("alice").await.user;
    let actions: Vec<Action> =
        serde_json::from_str(r#"["dont_notify", "notify", "coalesce"]"#).unwrap();
    let room = ruma::room_id!("!a:localhost").to_owned();
    let rule = NewPushRule::Room(NewSimplePushRule::new(room.clone(), actions.clone()));
    set(&fixture, user, rule, [None, None]).await.unwrap();
    fixture
        .users
        .set_push_rule_actions(user, RuleKind::Underride, ".m.rule.call", actions)
        .await
        .unwrap();
    let rules = fixture.users.push_rules(user).await.unwrap();
    for rule in [
        rules.get(RuleKind::Room, &room),
        rules.get(RuleKind::Underride, ".m.rule.call"),
    ] {
        assert_eq!(
            serde_json::to_string(rule.unwrap().actions()).unwrap(),
            r#"["notify"]"#
        );
    }
}

#[tokio::test]
async fn size_and_number_are_bounded() {
    let fixture = Fixture::new();
    let user = fixture.session("alice").await.user;
    let long = "x".repeat(512 * 1024);
    let rule = NewPushRule::Content(NewPatternedPushRule::new("long".to_owned(), long, vec![]));
    let refused = set(&fixture, user, rule, [None, None]).await;
    assert!(matches!(refused, Err(PushRuleError::TooMany)));
    assert!(
        fixture
            .users
            .push_rules(user)
            .await
            .unwrap()
            .content
            .is_empty()
    );
}

#[tokio::test]
async fn the_account_data_holds_the_rules_in_force() {
    let fixture = Fixture::new();
    let (user, users) = (fixture.session("alice").await.user, &fixture.users);
    let read = async || {
        let content = users
            .account_data(user, None, "m.push_rules")
            .await
            .unwrap()
            .unwrap();
        serde_json::from_slice::<serde_json::Value>(&content).unwrap()
    };
    let before = fixture.store.visible();
    assert_eq!(read().await["global"]["content"], serde_json::json!([]));
    set(&fixture, user, content("a"), [None, None])
        .await
        .unwrap();
    assert_eq!(read().await["global"]["content"][0]["pattern"], "cake");
    let told = users
        .account_data_since(user, before, fixture.store.visible())
        .await
        .unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&told[0].content).unwrap(),
        read().await
    );
}
