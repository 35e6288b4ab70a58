//! Users: they register, log in and give their password again where it is asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use matrix_sdk::{
    Client,
    config::RequestConfig,
    encryption::{BackupDownloadStrategy, EncryptionSettings},
    ruma::api::client::{account::register::v3::Request, uiaa},
};

use crate::{Result, check, device::Device};

/// A user with a password.
pub struct Account {
    url: String,
    name: String,
    password: String,
}

impl Account {
    /// Asks for the flows first, then completes the session, as clients do.
    pub async fn register(url: &str, name: &str) -> Result<Self> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let account = Self {
            url: url.to_owned(),
            name: format!("rust-{name}-{started:x}-{}", std::process::id()),
            password: format!("password of {name}"),
        };
        let client = account.client(EncryptionSettings::default()).await?;
        let mut request = Request::new();
        request.username = Some(account.name.clone());
        request.password = Some(account.password.clone());
        request.inhibit_login = true;
        let Err(error) = client.matrix_auth().register(request.clone()).await else {
            return Err("registered without any stage".into());
        };
        let Some(asked) = error.as_uiaa_response() else {
            return Err(error.into());
        };
        let mut stage = uiaa::Dummy::new();
        stage.session.clone_from(&asked.session);
        request.auth = Some(uiaa::AuthData::Dummy(stage));
        client.matrix_auth().register(request).await?;
        Ok(account)
    }

    /// A new device, syncing. It does what Element X does on its own: cross-signing and a key backup for a user who has none,
    /// and a look into the backup for each key that is missing.
    pub async fn log_in(&self) -> Result<Device> {
        let settings = EncryptionSettings {
            auto_enable_cross_signing: true,
            auto_enable_backups: true,
            backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
        };
        self.log_in_with(settings).await
    }

    /// A new device, syncing.
    pub async fn log_in_with(&self, settings: EncryptionSettings) -> Result<Device> {
        let client = self.client(settings).await?;
        let auth = client.matrix_auth();
        let flows = auth.get_login_types().await?.flows;
        check(
            flows
                .iter()
                .any(|flow| flow.login_type() == "m.login.password"),
            "no login with passwords",
        )?;
        auth.login_username(&self.name, &self.password)
            .initial_device_display_name("spec-tests")
            .request_refresh_token()
            .send()
            .await?;
        Device::start(client).await
    }

    /// Answers the question for the password.
    pub fn password_again(&self, asked: &uiaa::UiaaInfo) -> uiaa::AuthData {
        let user = uiaa::MatrixUserIdentifier::new(self.name.clone());
        let user = uiaa::UserIdentifier::Matrix(user);
        let mut stage = uiaa::Password::new(user, self.password.clone());
        stage.session.clone_from(&asked.session);
        uiaa::AuthData::Password(stage)
    }

    async fn client(&self, settings: EncryptionSettings) -> Result<Client> {
        // The library would repeat for minutes what the server could not do.
        let requests = RequestConfig::new().retry_limit(2);
        let client = Client::builder()
            .homeserver_url(&self.url)
            .request_config(requests)
            .with_encryption_settings(settings)
            .build()
            .await?;
        Ok(client)
    }
}
