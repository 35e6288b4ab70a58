//! How options are read, and that `config/myelin.toml` says the same as the types.

use std::{fs, path::Path};

use crate::{
    Config, ConfigError, DEFAULTS, Durability, Listen, RegistrationMode, generate, load, portable,
};

/// Loads `file`, environment and `-O` as given.
fn read(
    file: &str,
    environment: &[(&str, &str)],
    overrides: &[&str],
) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("myelin.toml");
    fs::write(&path, file).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let overrides: Vec<String> = overrides.iter().map(|pair| (*pair).to_owned()).collect();
    load(Some(&path), environment, &overrides)
}

fn refused(file: &str, environment: &[(&str, &str)], overrides: &[&str]) -> String {
    read(file, environment, overrides).unwrap_err().to_string()
}

#[test]
fn nothing_set_is_the_defaults() {
    let config = read("", &[("PATH", "/bin"), ("MYELIN_BIN", "/x")], &[]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.server_name, "localhost");
    assert_eq!(config.listen, [Listen::Tcp("127.0.0.1:8008".to_owned())]);
    assert_eq!(config.data_dir, Path::new("./myelin-data"));
    assert_eq!(config.registration.mode, RegistrationMode::Token);
    assert!(config.rate_limits.enabled);
    assert_eq!(config.storage.durability, Durability::Fsync);
    assert_eq!(config.rooms.default_version.as_str(), "12");
}

#[test]
fn later_sources_win() {
    let file =
        "server_name = \"file.org\"\n[log]\nfilter = \"file\"\n[rooms]\ndefault_version = \"9\"";
    let environment = [
        ("MYELIN_LOG__FILTER", "environment"),
        ("MYELIN_ROOMS__DEFAULT_VERSION", "10"),
    ];
    let config = read(file, &environment, &["rooms.default_version=11"]).unwrap();
    assert_eq!(config.server_name, "file.org");
    assert_eq!(config.log.filter, "environment");
    assert_eq!(config.rooms.default_version.as_str(), "11");
}

#[test]
fn text_becomes_what_the_option_needs() {
    let environment = [
        ("MYELIN_LISTEN", "127.0.0.1:1, unix:/run/myelin.sock"),
        ("MYELIN_STORAGE__CACHE_BYTES", "1_000"),
        ("MYELIN_RATE_LIMITS__ENABLED", "false"),
        ("MYELIN_RATE_LIMITS__MESSAGE__BURST", "7"),
    ];
    let overrides = [
        "storage.durability=os",
        "rate_limits.join={per_second=1.5,burst=2}",
        "jwt.audiences=[\"a\",\"b\"]",
    ];
    let config = read(
        "[rate_limits.message]\nper_second = 3.0",
        &environment,
        &overrides,
    )
    .unwrap();
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.listen[1], Listen::Unix("/run/myelin.sock".into()));
    assert_eq!(config.storage.cache_bytes, 1_000);
    assert_eq!(config.storage.durability, Durability::Os);
    assert!(!config.rate_limits.enabled);
    let message = config.rate_limits.message;
    assert_eq!((message.burst, message.per_second), (7, 3.0));
    assert_eq!(config.rate_limits.join.burst, 2);
    assert_eq!(config.jwt.audiences, ["a", "b"]);
}

#[test]
fn unknown_keys_are_named_with_their_place() {
    for (refused, key, place) in [
        (
            refused("nonsense = 1", &[], &[]),
            "`nonsense`",
            "myelin.toml",
        ),
        (
            refused("[log]\nfiltre = \"x\"", &[], &[]),
            "`log.filtre`",
            "myelin.toml",
        ),
        (
            refused("[nonsense.deep]\nx = 1", &[], &[]),
            "`nonsense.deep.x`",
            "myelin.toml",
        ),
        (
            refused("", &[("MYELIN_LOG__FILTRE", "x")], &[]),
            "`log.filtre`",
            "MYELIN_LOG__FILTRE",
        ),
        (
            refused("", &[], &["rate_limits.message.brust=1"]),
            "`rate_limits.message.brust`",
            "command line",
        ),
        (
            refused("", &[], &["server_nam=x"]),
            "`server_nam`",
            "command line",
        ),
        (refused("", &[], &["=x"]), "``", "command line"),
    ] {
        assert!(refused.contains("unknown key"), "{refused}");
        assert!(
            refused.contains(key) && refused.contains(place),
            "{refused}"
        );
    }
}

#[test]
fn bad_values_are_named_with_their_place() {
    for (refused, key) in [
        (
            refused("server_name = \"no spaces\"", &[], &[]),
            "`server_name`",
        ),
        (refused("server_name = 7", &[], &[]), "`server_name`"),
        (refused("listen = [\"localhost\"]", &[], &[]), "`listen`"),
        (refused("listen = []", &[], &[]), "`listen`"),
        (
            refused("", &[("MYELIN_LISTEN", "unix:relative")], &[]),
            "`listen`",
        ),
        (refused("", &[], &["listen=127.0.0.1:99999"]), "`listen`"),
        (
            refused("", &[], &["registration.mode=maybe"]),
            "`registration.mode`",
        ),
        (
            refused("", &[], &["rooms.default_version=13"]),
            "`rooms.default_version`",
        ),
        (
            refused("", &[], &["public_base_url=example.org"]),
            "`public_base_url`",
        ),
        (
            refused("", &[], &["limits.request_body_bytes=0"]),
            "`limits.request_body_bytes`",
        ),
        (
            refused("", &[], &["rate_limits.message.per_second=0.0"]),
            "`rate_limits.message`",
        ),
        (refused("", &[], &["jwt.enabled=true"]), "`jwt.key`"),
        (
            refused("", &[], &["tls.listen=[::]:443"]),
            "`tls.certificate_file`",
        ),
        (
            refused("", &[], &["tls.certificate_file=c"]),
            "`tls.key_file`",
        ),
        (
            refused("", &[], &["tls.key_file=k"]),
            "`tls.certificate_file`",
        ),
        (refused("", &[], &["tls.listen=unix:/x"]), "`tls.listen`"),
        (
            refused("", &[], &["tls.acme_domains=a.org"]),
            "`tls.acme_agree_to_terms`",
        ),
        (
            refused("", &[], &["tracing.otlp_endpoint=localhost:4318"]),
            "`tracing.otlp_endpoint`",
        ),
        (
            refused("", &[], &["tracing.sample_ratio=nan"]),
            "`tracing.sample_ratio`",
        ),
        (
            refused("", &[], &["trusted_proxies=10.0.0.0/33"]),
            "`trusted_proxies`",
        ),
        (refused("", &[], &["log"]), "`log`"),
        (refused("log = 7", &[], &[]), "`log`"),
    ] {
        assert!(refused.contains(key), "{refused}");
    }
    assert!(refused("server_name = ", &[], &[]).contains("not valid TOML"));
    assert!(
        load(Some(Path::new("/nowhere/x.toml")), [], &[])
            .unwrap_err()
            .to_string()
            .contains("/nowhere/x.toml")
    );
}

#[test]
fn secrets_come_from_files_and_are_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    fs::write(&path, "s3cret\n").unwrap();
    let option = format!("registration.shared_secret_file={}", path.display());
    let config = read("", &[], &[&option]).unwrap();
    assert_eq!(
        config.registration.shared_secret.as_ref().unwrap().expose(),
        "s3cret"
    );
    for shown in [format!("{config:?}"), toml::to_string(&config).unwrap()] {
        assert!(
            !shown.contains("s3cret") && shown.contains("hidden"),
            "{shown}"
        );
    }
    let both = refused("", &[], &[&option, "registration.shared_secret=other"]);
    assert!(
        both.contains("`registration.shared_secret`") && !both.contains("other"),
        "{both}"
    );
    fs::write(&path, "").unwrap();
    assert!(refused("", &[], &[&option]).contains("empty"));
    let gone = refused("", &[], &["jwt.key_file=/nowhere/key"]);
    assert!(gone.contains("/nowhere/key"), "{gone}");
}

#[test]
fn the_base_url_is_one_that_clients_can_use() {
    for (overrides, expected) in [
        (&["listen=127.0.0.1:80"][..], "http://127.0.0.1:80"),
        (&["listen=0.0.0.0:8008"], "http://localhost:8008"),
        (&["listen=[::]:8008"], "http://localhost:8008"),
        (&["listen=unix:/x,[::1]:9"], "http://[::1]:9"),
        (
            &["public_base_url=https://m.example.org/"],
            "https://m.example.org",
        ),
        (
            &[
                "server_name=example.org:8448",
                "tls.listen=[::]:443",
                "tls.certificate_file=c",
                "tls.key_file=k",
            ],
            "https://example.org",
        ),
        (
            &[
                "tls.listen=127.0.0.1:8443",
                "tls.certificate_file=c",
                "tls.key_file=k",
            ],
            "https://localhost:8443",
        ),
    ] {
        assert_eq!(
            read("", &[], overrides).unwrap().base_url(),
            expected,
            "{overrides:?}"
        );
    }
}

#[test]
fn networks_contain_their_addresses() {
    for (network, address, expected) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ("::/0", "2001:db8::1", true),
        ("2001:db8::/32", "2001:db8:1::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("::/0", "10.0.0.1", false),
    ] {
        let network: crate::Network = network.parse().unwrap();
        assert_eq!(
            network.contains(address.parse().unwrap()),
            expected,
            "{network} {address}"
        );
    }
}

#[test]
fn the_example_file_is_generated_from_the_types() {
    let generated = generate::defaults();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/myelin.toml");
    if std::env::var_os("UPDATE_CONFIG").is_some() {
        fs::write(path, &generated).unwrap();
    } else {
        assert_eq!(
            DEFAULTS, generated,
            "run the tests of `config` once with UPDATE_CONFIG=1"
        );
    }
}

#[test]
fn the_example_file_read_with_its_values_is_the_defaults() {
    let uncommented: Vec<&str> = DEFAULTS
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|line| !line.starts_with(' '))
                .unwrap_or(line)
        })
        // Options without a default stand there with an empty example.
        .filter(|line| !line.ends_with("= \"\""))
        .collect();
    assert_eq!(
        read(&uncommented.join("\n"), &[], &[]).unwrap(),
        Config::default()
    );
}

#[test]
fn what_is_set_can_be_taken_along() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "from a file\n").unwrap();
    let path = directory.path().join("myelin.toml");
    let text = format!(
        "server_name = \"one.org\"\n[registration]\nmode = \"open\"\nshared_secret_file = \"{}\"\n",
        secret.display()
    );
    fs::write(&path, text).unwrap();
    let environment = [("MYELIN_JWT__KEY".to_owned(), "from outside".to_owned())];
    let overrides = ["registration.mode=closed".to_owned()];
    let taken = portable(Some(&path), environment.clone(), &overrides).unwrap();
    let before = load(Some(&path), environment, &overrides).unwrap();
    fs::remove_file(&secret).unwrap();
    fs::write(&path, &taken).unwrap();
    let mut after = load(Some(&path), [], &[]).unwrap();
    assert_eq!(after.registration.shared_secret_file, None, "{taken}");
    after.registration.shared_secret_file = Some(secret);
    assert_eq!(after, before, "{taken}");
}

#[test]
fn certificates_by_acme_need_names_that_an_authority_can_look_at() {
    let with = |extra: &[&str]| {
        let usual = ["tls.listen=[::]:443", "tls.acme_agree_to_terms=true"];
        read("", &[], &[&usual[..], extra].concat())
    };
    let domains = "tls.acme_domains=[\"example.org\", \"matrix.example.org\"]";
    let config = with(&[domains]).unwrap();
    assert_eq!(
        config.tls.acme_domains,
        ["example.org", "matrix.example.org"]
    );
    assert!(config.tls.acme_directory.starts_with("https://"));
    for (extra, key, word) in [
        (
            &["tls.acme_domains=192.0.2.1"][..],
            "acme_domains",
            "address",
        ),
        (&["tls.acme_domains=[\"[::1]\"]"], "acme_domains", "address"),
        (
            &["tls.acme_domains=*.example.org"],
            "acme_domains",
            "single",
        ),
        (
            &["tls.acme_domains=exa mple.org"],
            "acme_domains",
            "domain name",
        ),
        (
            &["tls.acme_domains=example.org."],
            "acme_domains",
            "domain name",
        ),
        (
            &["tls.acme_domains=bücher.example"],
            "acme_domains",
            "ASCII",
        ),
        (
            &[domains, "tls.certificate_file=c", "tls.key_file=k"],
            "acme_domains",
            "not from both",
        ),
        (&[domains, "tls.key_file=k"], "certificate_file", "needed"),
        (
            &[domains, "tls.acme_directory=http://x"],
            "acme_directory",
            "https",
        ),
        (&[domains, "tls.acme_contact=me"], "acme_contact", "email"),
        (
            &[domains, "tls.acme_agree_to_terms=false"],
            "agree_to_terms",
            "terms",
        ),
        (&[], "certificate_file", "tls.acme_domains"),
    ] {
        let error = with(extra).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains(word), "{error}");
    }
}
