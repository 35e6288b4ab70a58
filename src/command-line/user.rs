//! `myelin admin user`

use std::io::{self, IsTerminal, Read};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    AskError, Client, Output,
    ask::encoded,
    media::list_files,
    output::{cell, list, time_ms},
    task,
    token::duration_ms,
};

mod rate_limit;

/// Characters of a generated password: 119 bits.
const GENERATED_CHARACTERS: usize = 20;
/// Users asked for at once.
const PAGE: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Lists accounts.
    #[command(
        after_help = "Examples:\n  myelin admin user list\n  myelin admin user list --name ali\n  myelin admin user list --admins\n  myelin admin --json user list --deactivated"
    )]
    List {
        /// Those alone whose name or display name contains this.
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// Administrators alone.
        #[arg(long)]
        admins: bool,
        /// Closed accounts too.
        #[arg(long)]
        deactivated: bool,
    },
    /// Shows an account.
    Show(Who),
    /// Makes an account.
    #[command(
        after_help = "Examples:\n  myelin admin user create alice\n  myelin admin user create alice --admin --display-name Alice\n  echo 'correct horse' | myelin admin user create bot --password-stdin\n  myelin admin user create bot --generate"
    )]
    Create {
        /// The name before the colon, or the whole user id.
        name: String,
        #[command(flatten)]
        password: Password,
        /// An administrator of the server.
        #[arg(long)]
        admin: bool,
        /// What others see.
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
    },
    /// Gives an account another password and logs its devices out.
    ResetPassword {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        password: Password,
        /// Its devices stay logged in.
        #[arg(long)]
        keep_devices: bool,
    },
    /// Closes an account for good: no password, no devices, no rooms. Its messages stay.
    Deactivate(Who),
    /// Closes an account and hides its messages from whoever joins later.
    Erase(Who),
    /// Opens a closed account again, with a new password.
    Reactivate {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        password: Password,
    },
    /// Redacts what somebody has said, in some rooms or in all that they are in.
    #[command(
        after_help = "Examples:\n  myelin admin user redact mallory --reason spam\n  myelin admin user redact mallory --room '!abc:example.org' --limit 20"
    )]
    Redact {
        #[command(flatten)]
        who: Who,
        /// In this room alone; can be given several times.
        #[arg(long, value_name = "ROOM")]
        room: Vec<String>,
        /// Why, for everybody to read.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// At most so many in each room, the latest.
        #[arg(long, value_name = "COUNT")]
        limit: Option<u64>,
        /// Do not wait for it: `myelin admin task` tells how it goes on.
        #[arg(long)]
        background: bool,
    },
    /// Lets an account only read and leave.
    Suspend {
        #[command(flatten)]
        who: Who,
        /// Takes it back.
        #[arg(long)]
        undo: bool,
    },
    /// Keeps an account out until it is unlocked.
    Lock {
        #[command(flatten)]
        who: Who,
        /// Takes it back.
        #[arg(long)]
        undo: bool,
    },
    /// Makes somebody an administrator of the server.
    Promote(Who),
    /// Makes an administrator an ordinary user.
    Demote(Who),
    /// Lists an account's devices.
    Devices(Who),
    /// Logs out one device, or all.
    Logout {
        #[command(flatten)]
        who: Who,
        /// This device alone.
        #[arg(long, value_name = "ID")]
        device: Option<String>,
    },
    /// Makes a device that nobody is logged in with yet.
    AddDevice {
        #[command(flatten)]
        who: Who,
        /// Its id.
        #[arg(value_name = "ID")]
        device: String,
        /// What others see.
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
    },
    /// Lists the rooms somebody is in.
    Rooms {
        #[command(flatten)]
        who: Who,
        /// Those too that they were invited to, have left or are banned from.
        #[arg(long)]
        all: bool,
    },
    /// Lists what somebody has uploaded, the latest first.
    Media(Who),
    /// Shows how often somebody may send, or lets them send more or less often than others.
    #[command(
        after_help = "Examples:\n  myelin admin user rate-limit bot\n  myelin admin user rate-limit bot --per-second 5 --burst 50\n  myelin admin user rate-limit bot --unlimited\n  myelin admin user rate-limit bot --reset"
    )]
    RateLimit(rate_limit::RateLimit),
    /// Prints an access token of somebody else's account. The user sees the device; the audit log keeps who asked.
    LoginAs {
        #[command(flatten)]
        who: Who,
        /// How long it holds: 90m, 12h, 7d.
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration_ms)]
        expires: u64,
    },
}

/// Somebody with an account here.
#[derive(Args, Debug)]
pub(crate) struct Who {
    /// The name before the colon, or the whole user id.
    #[arg(value_name = "USER")]
    name: String,
}

/// Where a password comes from: typed in twice, unless said otherwise.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct Password {
    /// The password is the first line of the standard input.
    #[arg(long)]
    password_stdin: bool,
    /// One is made up, and printed.
    #[arg(long)]
    generate: bool,
}

impl Password {
    /// The password, and whether it is to be shown.
    fn read(&self, client: &Client<'_>) -> Result<(String, bool), AskError> {
        let local =
            |error: io::Error| AskError::Local(format!("The password cannot be read: {error}"));
        if self.generate {
            return Ok((client.host().random_string(GENERATED_CHARACTERS), true));
        }
        if self.password_stdin || !io::stdin().is_terminal() {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(local)?;
            let line = text.lines().next().unwrap_or_default().to_owned();
            if line.is_empty() {
                let message = "No password: give it on the standard input, or use --generate.";
                return Err(AskError::Local(message.to_owned()));
            }
            return Ok((line, false));
        }
        let password = rpassword::prompt_password("Password: ").map_err(local)?;
        if rpassword::prompt_password("Again: ").map_err(local)? != password {
            return Err(AskError::Local("The two are not the same.".to_owned()));
        }
        Ok((password, false))
    }
}

impl User {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        match self {
            Self::List {
                name,
                admins,
                deactivated,
            } => list_users(client, name.as_deref(), admins, deactivated).await,
            Self::Show(who) => {
                let answer = client.get(&v2(&who)).await?;
                Ok(Output::record(&described(&answer), answer.clone()))
            }
            Self::Create {
                name,
                password,
                admin,
                display_name,
            } => create(client, Who { name }, &password, admin, display_name).await,
            Self::ResetPassword {
                who,
                password,
                keep_devices,
            } => {
                let (password, shown) = password.read(client)?;
                let body = json!({ "new_password": password, "logout_devices": !keep_devices });
                let path = format!("/_synapse/admin/v1/reset_password/{}", encoded(&who.name));
                let mut answer = client.post(&path, &body).await?;
                let mut text = format!("{} has a new password.", who.name);
                show(&mut text, &mut answer, &password, shown);
                Ok(Output::done(text, answer))
            }
            Self::Deactivate(who) => deactivate(client, who, false).await,
            Self::Erase(who) => deactivate(client, who, true).await,
            Self::Reactivate { who, password } => {
                let (password, shown) = password.read(client)?;
                let body = json!({ "deactivated": false, "password": password });
                let mut answer = client.put(&v2(&who), &body).await?;
                let mut text = format!("{} is open again.", who.name);
                show(&mut text, &mut answer, &password, shown);
                Ok(Output::done(text, answer))
            }
            Self::Redact {
                who,
                room,
                reason,
                limit,
                background,
            } => {
                let path = format!("/_synapse/admin/v1/user/{}/redact", encoded(&who.name));
                let body = json!({ "rooms": room, "reason": reason, "limit": limit });
                let started = client.post(&path, &body).await?;
                let id = cell(&started["redact_id"]);
                if background {
                    return Ok(task::begun(&id));
                }
                let task = task::wait(client, &id).await?;
                let result = &task["result"];
                let failed = result["failed_redactions"].as_object();
                let failed = failed.map_or(0, serde_json::Map::len);
                let text = format!("{} redacted, {failed} not.", result["redacted"]);
                Ok(Output::done(text, task.clone()))
            }
            Self::Suspend { who, undo } => {
                let path = format!("/_synapse/admin/v1/suspend/{}", encoded(&who.name));
                let answer = client.put(&path, &json!({ "suspend": !undo })).await?;
                Ok(Output::done(now(&who, "suspended", !undo), answer))
            }
            Self::Lock { who, undo } => {
                let path = format!("/_myelin/admin/v1/lock/{}", encoded(&who.name));
                let answer = client.put(&path, &json!({ "locked": !undo })).await?;
                Ok(Output::done(now(&who, "locked", !undo), answer))
            }
            Self::Promote(who) => set_admin(client, who, true).await,
            Self::Demote(who) => set_admin(client, who, false).await,
            Self::Devices(who) => devices(client, who).await,
            Self::Logout { who, device } => log_out(client, who, device).await,
            Self::AddDevice {
                who,
                device,
                display_name,
            } => {
                let body = json!({ "device_id": device, "display_name": display_name });
                let path = format!("{}/devices", v2(&who));
                let answer = client.post(&path, &body).await?;
                let text = format!("{} has the device {device}.", who.name);
                Ok(Output::done(text, answer))
            }
            Self::Rooms { who, all } => rooms(client, who, all).await,
            Self::Media(who) => list_files(client, &who.name).await,
            Self::RateLimit(command) => command.run(client).await,
            Self::LoginAs { who, expires } => {
                let until_ms = client.host().now_ms().saturating_add(expires);
                let body = json!({ "valid_until_ms": until_ms });
                let answer = client.post(&format!("{}/login", v1(&who)), &body).await?;
                Ok(Output::done(cell(&answer["access_token"]), answer))
            }
        }
    }
}

/// `alice is locked.`, or `alice is no longer locked.`
fn now(who: &Who, what: &str, holds: bool) -> String {
    let no_longer = if holds { "" } else { "no longer " };
    format!("{} is {no_longer}{what}.", who.name)
}

async fn log_out(
    client: &Client<'_>,
    who: Who,
    device: Option<String>,
) -> Result<Output, AskError> {
    let (answer, what) = if let Some(device) = device {
        let path = format!("{}/devices/{}", v2(&who), encoded(&device));
        (
            client.delete(&path, &json!({})).await?,
            format!("device {device}"),
        )
    } else {
        let path = format!("/_myelin/admin/v1/users/{}/logout", encoded(&who.name));
        (
            client.post(&path, &json!({})).await?,
            "every device".to_owned(),
        )
    };
    Ok(Output::done(
        format!("{}: {what} is logged out.", who.name),
        answer,
    ))
}

fn v1(who: &Who) -> String {
    format!("/_synapse/admin/v1/users/{}", encoded(&who.name))
}

fn v2(who: &Who) -> String {
    format!("/_synapse/admin/v2/users/{}", encoded(&who.name))
}

async fn list_users(
    client: &Client<'_>,
    name: Option<&str>,
    admins: bool,
    deactivated: bool,
) -> Result<Output, AskError> {
    let mut users = Vec::new();
    let mut from = Some("0".to_owned());
    while let Some(start) = from {
        let mut path =
            format!("/_synapse/admin/v2/users?limit={PAGE}&from={start}&deactivated={deactivated}");
        if let Some(name) = name {
            path.push_str("&name=");
            path.push_str(&encoded(name));
        }
        if admins {
            path.push_str("&admins=true");
        }
        let page = client.get(&path).await?;
        users.extend_from_slice(list(&page, "users"));
        from = page["next_token"].as_str().map(str::to_owned);
    }
    let rows = users
        .iter()
        .map(|user| {
            vec![
                cell(&user["name"]),
                cell(&user["displayname"]),
                kind(user),
                time_ms(&user["creation_ts"]),
                time_ms(&user["last_seen_ts"]),
            ]
        })
        .collect();
    Ok(Output::table(
        &[
            "user",
            "display name",
            "kind",
            "made (UTC)",
            "last seen (UTC)",
        ],
        rows,
        "Nobody.",
        json!({ "total": users.len(), "users": users }),
    ))
}

/// What is out of the ordinary about an account.
fn kind(user: &Value) -> String {
    let facts = [
        "admin",
        "is_guest",
        "deactivated",
        "erased",
        "locked",
        "suspended",
    ];
    let held: Vec<&str> = facts
        .into_iter()
        .filter(|fact| user[fact] == true)
        .map(|fact| fact.trim_start_matches("is_"))
        .chain(user["user_type"].as_str())
        .collect();
    held.join(", ")
}

fn described(user: &Value) -> Vec<(&'static str, String)> {
    let made_ms = user["creation_ts"].as_u64().map(|seconds| seconds * 1_000);
    vec![
        ("user", cell(&user["name"])),
        ("display name", cell(&user["displayname"])),
        ("picture", cell(&user["avatar_url"])),
        ("kind", kind(user)),
        ("has a password", cell(&user["has_password"])),
        ("made (UTC)", time_ms(&json!(made_ms))),
        ("last seen (UTC)", time_ms(&user["last_seen_ts"])),
    ]
}

async fn create(
    client: &Client<'_>,
    who: Who,
    password: &Password,
    admin: bool,
    display_name: Option<String>,
) -> Result<Output, AskError> {
    // The endpoint also changes accounts that exist: whoever says `create` does not mean that.
    match client.get(&v2(&who)).await {
        Ok(_) => return Err(AskError::Local(format!("{} exists already.", who.name))),
        Err(AskError::Refused { errcode, .. }) if errcode == "M_NOT_FOUND" => {}
        Err(error) => return Err(error),
    }
    let (password, shown) = password.read(client)?;
    let mut body = json!({ "password": password, "admin": admin });
    if let Some(name) = display_name {
        body["displayname"] = json!(name);
    }
    let mut answer = client.put(&v2(&who), &body).await?;
    let role = if admin { ", an administrator" } else { "" };
    let mut text = format!("{} is there{role}.", cell(&answer["name"]));
    show(&mut text, &mut answer, &password, shown);
    Ok(Output::done(text, answer))
}

/// A password that was made up is shown once, here.
fn show(text: &mut String, answer: &mut Value, password: &str, shown: bool) {
    if shown {
        text.push_str("\nPassword: ");
        text.push_str(password);
        answer["password"] = json!(password);
    }
}

async fn deactivate(client: &Client<'_>, who: Who, erase: bool) -> Result<Output, AskError> {
    let path = format!("/_synapse/admin/v1/deactivate/{}", encoded(&who.name));
    let answer = client.post(&path, &json!({ "erase": erase })).await?;
    Ok(Output::done(format!("{} is closed.", who.name), answer))
}

async fn set_admin(client: &Client<'_>, who: Who, admin: bool) -> Result<Output, AskError> {
    let answer = client
        .put(&format!("{}/admin", v1(&who)), &json!({ "admin": admin }))
        .await?;
    let state = if admin {
        "an administrator"
    } else {
        "an ordinary user"
    };
    Ok(Output::done(
        format!("{} is {state} now.", who.name),
        answer,
    ))
}

async fn rooms(client: &Client<'_>, who: Who, all: bool) -> Result<Output, AskError> {
    if all {
        let answer = client.get(&format!("{}/memberships", v1(&who))).await?;
        let memberships = answer["memberships"].as_object();
        let rows = memberships
            .into_iter()
            .flatten()
            .map(|(room, membership)| vec![room.clone(), cell(membership)])
            .collect();
        let headers = &["room", "membership"];
        return Ok(Output::table(headers, rows, "In no room, ever.", answer));
    }
    let answer = client.get(&format!("{}/joined_rooms", v1(&who))).await?;
    let rows = list(&answer, "joined_rooms")
        .iter()
        .map(|room| vec![cell(room)])
        .collect();
    Ok(Output::table(&["room"], rows, "In no room.", answer))
}

async fn devices(client: &Client<'_>, who: Who) -> Result<Output, AskError> {
    let answer = client.get(&format!("{}/devices", v2(&who))).await?;
    let rows = list(&answer, "devices")
        .iter()
        .map(|device| {
            vec![
                cell(&device["device_id"]),
                cell(&device["display_name"]),
                cell(&device["last_seen_ip"]),
                time_ms(&device["last_seen_ts"]),
            ]
        })
        .collect();
    Ok(Output::table(
        &["device", "name", "address", "last seen (UTC)"],
        rows,
        "No devices.",
        answer.clone(),
    ))
}
