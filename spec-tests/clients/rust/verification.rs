//! Two devices compare emoji (`m.sas.v1`).

use matrix_sdk::encryption::verification::{VerificationRequest, VerificationRequestState};

use crate::{
    Result, check,
    device::{Device, until, until_true},
};

/// Carries a request by `asking` through to its good end at both devices.
pub async fn compare_emoji(
    asking: &Device,
    request: &VerificationRequest,
    asked: &Device,
) -> Result {
    let asker = asking.own_user_id()?;
    let received = until("the request", async || {
        let encryption = asked.encryption();
        Ok(encryption
            .get_verification_request(asker, request.flow_id())
            .await)
    })
    .await?;
    received.accept().await?;
    until_true("the request's acceptance", async || Ok(request.is_ready())).await?;

    let here = request.start_sas().await?.ok_or("the start is too early")?;
    let there = until("the start", async || match received.state() {
        VerificationRequestState::Transitioned { verification } => Ok(verification.sas()),
        _ => Ok(None),
    })
    .await?;
    there.accept().await?;
    until_true("the emoji", async || {
        Ok(here.can_be_presented() && there.can_be_presented())
    })
    .await?;
    let symbols = |emoji: Option<[matrix_sdk::encryption::verification::Emoji; 7]>| {
        emoji.map(|emoji| emoji.map(|one| one.symbol))
    };
    check(here.emoji().is_some(), "no emoji")?;
    check(
        symbols(here.emoji()) == symbols(there.emoji()),
        "different emoji",
    )?;
    here.confirm().await?;
    there.confirm().await?;
    until_true("the end of the comparison", async || {
        let cancelled = here.cancel_info().or(there.cancel_info());
        if let Some(info) = cancelled {
            return Err(format!("the comparison was cancelled: {}", info.reason()).into());
        }
        Ok(here.is_done() && there.is_done())
    })
    .await
}
