//! What the person at the terminal reads when the server has started.

use config::{Config, RegistrationMode};

/// Where the server is and, as long as nobody is registered, how to become its administrator.
/// `program` is the binary as it was called.
pub(crate) fn text(
    config: &Config,
    addresses: &[String],
    token: Option<&str>,
    program: &str,
) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (name, addresses) = (&config.server_name, addresses.join(", "));
    let directory = if config.data_dir == Config::default().data_dir {
        String::new()
    } else {
        format!(" -O data_dir={}", config.data_dir.display())
    };
    let administrator = match token {
        Some(token) => format!(
            "\nNobody is registered yet. The first account becomes the administrator's: register it with any Matrix\n\
             client at {} and this registration token, which works once:\n\n    {token}\n\n\
             Or make it in another terminal:\n\n    {program} admin user create NAME --admin{directory}\n\n",
            config.base_url()
        ),
        None if config.registration.mode == RegistrationMode::Closed => "\nRegistration is closed. \
             Set registration.shared_secret to make accounts with POST /_synapse/admin/v1/register;\n\
             one with \"admin\": true is an administrator's.\n\n"
            .to_owned(),
        None => String::new(),
    };
    format!("Myelin {version} serves {name} at {addresses}\n{administrator}")
}

#[cfg(test)]
mod tests {
    use config::{Config, RegistrationMode};

    use super::text;

    const PROGRAM: &str = "target/myelin";

    #[test]
    fn the_first_start_tells_the_token() {
        let mut config = Config::default();
        let address = ["http://127.0.0.1:8008".to_owned()];
        let first = text(&config, &address, Some("t0ken"), PROGRAM);
        assert!(
            first.contains("at http://127.0.0.1:8008\n") && first.contains("\n    t0ken\n"),
            "{first}"
        );
        let command = "\n    target/myelin admin user create NAME --admin\n";
        assert!(first.contains(command), "{first}");
        assert_eq!(text(&config, &address, None, PROGRAM).lines().count(), 1);
        config.registration.mode = RegistrationMode::Closed;
        assert!(text(&config, &address, None, PROGRAM).contains("registration.shared_secret"));
    }
}
