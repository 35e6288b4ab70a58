//! Two users talk encrypted, at three devices at a time.
//!
//! Cross-signing, secret storage and key backups are set up, and the users compare emoji. A second device is let in by comparing
//! emoji, reads everything and is deleted. A third is let in by the recovery key.

use matrix_sdk::{
    SessionChange,
    encryption::{EncryptionSettings, backups::BackupState, recovery::RecoveryState},
    ruma::{OwnedRoomId, RoomId},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    sync::broadcast::error::RecvError,
    time::timeout,
};

use crate::{
    Result,
    account::Account,
    check,
    device::{Device, PATIENCE, until_true},
    verification::compare_emoji,
};

const BEFORE: [&str; 2] = ["Nobody else reads this.", "Nor this."];

pub async fn talk(url: &str, pausing: bool) -> Result {
    let alices = Account::register(url, "alice").await?;
    let bobs = Account::register(url, "bob").await?;
    let alice = alices.log_in().await?;
    let bob = bobs.log_in_with(EncryptionSettings::default()).await?;
    let recovery_key = set_up(&alice).await?;
    set_up_by_hand(&bob).await?;

    let room_id = direct_room(&alice, &bob).await?;
    alice.send(&room_id, BEFORE[0]).await?;
    bob.decrypt(&room_id, BEFORE[0]).await?;
    bob.send(&room_id, BEFORE[1]).await?;
    alice.decrypt(&room_id, BEFORE[1]).await?;
    verify_each_other(&alice, &bob).await?;
    alice.encryption().backups().wait_for_steady_state().await?;

    if pausing {
        println!("pause");
        BufReader::new(stdin())
            .read_line(&mut String::new())
            .await?;
    }

    for client in [&alice, &bob] {
        for body in BEFORE {
            client.decrypt(&room_id, body).await?;
        }
    }
    bob.send(&room_id, "Still here.").await?;
    alice.decrypt(&room_id, "Still here.").await?;

    let second = alices.log_in().await?;
    let_in_by_emoji(&alice, &second).await?;
    trusts(&second, &bob).await?;
    read_all(&second, &room_id).await?;
    knows(&bob, &second, true).await?;
    bob.send(&room_id, "Now three read this.").await?;
    for client in [&alice, &second] {
        client.decrypt(&room_id, "Now three read this.").await?;
    }
    delete(&alices, &alice, &second).await?;
    knows(&bob, &second, false).await?;

    let third = alices.log_in().await?;
    third.encryption().recovery().recover(&recovery_key).await?;
    is_complete(&third).await?;
    trusts(&third, &bob).await?;
    read_all(&third, &room_id).await?;
    knows(&bob, &third, true).await?;
    bob.send(&room_id, "Three again.").await?;
    for client in [&alice, &third] {
        client.decrypt(&room_id, "Three again.").await?;
    }
    for client in [&alice, &third, &bob] {
        client.logout().await?;
    }
    Ok(())
}

/// The library has set up cross-signing and the backup after the login; gives the recovery key, what the user writes down.
async fn set_up(client: &Device) -> Result<String> {
    let recovery = client.encryption().recovery();
    let key = recovery.enable().wait_for_backups_to_upload().await?;
    is_complete(client).await?;
    check(
        recovery.is_last_device().await?,
        "there are more devices than one",
    )?;
    Ok(key)
}

/// The same, one by one.
async fn set_up_by_hand(client: &Device) -> Result {
    let encryption = client.encryption();
    // The first keys of a user need no password.
    encryption.bootstrap_cross_signing_if_needed(None).await?;
    encryption.backups().create().await?;
    encryption.recovery().enable().await?;
    is_complete(client).await
}

/// Waits until a device has all of its user's secrets, is signed and backs its keys up.
async fn is_complete(client: &Device) -> Result {
    let encryption = client.encryption();
    until_true("all private keys", async || {
        let status = encryption.cross_signing_status().await;
        Ok(status.is_some_and(|status| status.is_complete()))
    })
    .await?;
    until_true("the device's signature", async || {
        let device = encryption.get_own_device().await?;
        Ok(device.is_some_and(|device| device.is_verified_with_cross_signing()))
    })
    .await?;
    until_true("the backup", async || {
        Ok(encryption.backups().state() == BackupState::Enabled)
    })
    .await?;
    until_true("the recovery", async || {
        Ok(encryption.recovery().state() == RecoveryState::Enabled)
    })
    .await?;
    check(
        encryption.backups().fetch_exists_on_server().await?,
        "there is no key backup",
    )
}

async fn direct_room(alice: &Device, bob: &Device) -> Result<OwnedRoomId> {
    let bobs_id = bob.own_user_id()?;
    let room = alice.create_dm(bobs_id).await?;
    check(
        room.latest_encryption_state().await?.is_encrypted(),
        "a direct room is in the clear",
    )?;
    bob.room(room.room_id()).await?.join().await?;
    until_true("bob's join", async || Ok(room.joined_members_count() == 2)).await?;
    Ok(room.room_id().to_owned())
}

/// Two users compare emoji, in their room.
async fn verify_each_other(alice: &Device, bob: &Device) -> Result {
    let bobs_id = bob.own_user_id()?;
    let identity = alice.encryption().request_user_identity(bobs_id).await?;
    let identity = identity.ok_or("bob has no identity")?;
    check(!identity.is_verified(), "bob is trusted from the start")?;
    let request = identity.request_verification().await?;
    compare_emoji(alice, &request, bob).await?;
    trusts(alice, bob).await?;
    trusts(bob, alice).await
}

/// Two devices of one user compare emoji; the old one hands its secrets over.
async fn let_in_by_emoji(old: &Device, fresh: &Device) -> Result {
    let user_id = fresh.own_user_id()?;
    knows(old, fresh, true).await?;
    let identity = fresh.encryption().get_user_identity(user_id).await?;
    let identity = identity.ok_or("the user has no identity")?;
    let request = identity.request_verification().await?;
    compare_emoji(fresh, &request, old).await?;
    is_complete(fresh).await
}

/// Waits until a device finds another's user verified.
async fn trusts(client: &Device, other: &Device) -> Result {
    let user_id = other.own_user_id()?;
    until_true("the trust", async || {
        let identity = client.encryption().get_user_identity(user_id).await?;
        Ok(identity.is_some_and(|identity| identity.is_verified()))
    })
    .await
}

/// Waits until a client has heard of another device, or of its end.
async fn knows(client: &Device, other: &Device, there: bool) -> Result {
    let user_id = other.own_user_id()?;
    let device_id = other.own_device_id()?;
    until_true("the list of devices", async || {
        let device = client.encryption().get_device(user_id, device_id).await?;
        Ok(device.is_some() == there)
    })
    .await
}

/// What was said before a device was there, with keys from the backup.
async fn read_all(client: &Device, room_id: &RoomId) -> Result {
    let timeline = client.timeline(room_id).await?;
    until_true("the room's beginning", async || {
        let page = timeline.pagination().run_backwards_once(10).await?;
        Ok(page.reached_start)
    })
    .await?;
    for body in BEFORE.into_iter().chain(["Still here."]) {
        client.decrypt(room_id, body).await?;
    }
    Ok(())
}

async fn delete(account: &Account, client: &Device, device: &Device) -> Result {
    let mut changes = device.subscribe_to_session_changes();
    let device_id = [device.own_device_id()?.to_owned()];
    let Err(error) = client.delete_devices(&device_id, None).await else {
        return Err("a device was deleted without the password".into());
    };
    let Some(asked) = error.as_uiaa_response() else {
        return Err(error.into());
    };
    let auth = account.password_again(asked);
    client.delete_devices(&device_id, Some(auth)).await?;
    match timeout(PATIENCE, changes.recv()).await? {
        // The channel keeps one: each request in vain is another.
        Ok(SessionChange::UnknownToken(_)) | Err(RecvError::Lagged(_)) => Ok(()),
        other => Err(format!("a deleted device's session goes on: {other:?}").into()),
    }
}
