//! `myelin doctor`: examines a server's set-up and prints what was found.

use std::{
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use command_line::{Client, Socket};
use config::Config;
use doctor::{ConnectTo, Examination, Finding, Inside, Level, Report};
use host::Host;
use serde_json::json;

use crate::data_dir::DataDir;

/// Examines the set-up of a server, and says how to mend what is wrong.
///
/// Looks at the options, at the machine, and at the server from outside, under its public name, through whatever proxies
/// there are: certificate, .well-known, CORS, and what the proxies do to requests. Run it on the machine of the server, as
/// the server's own user or as root, while the server runs. Changes nothing, and asks nobody but the addresses of the
/// options.
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = "\
Examples:
  myelin doctor
  myelin doctor --quick --url https://matrix.example.org
  myelin doctor --connect-to matrix.example.org:443=127.0.0.1:8443     before the DNS leads here
  myelin doctor --clock https://example.org                            is our clock right?
  myelin doctor --json | jq -r '.findings[] | select(.level != \"ok\") | .check'

Exit codes: 0 all is well, 1 something could be better, 2 something is bad.")]
pub(crate) struct Doctor {
    /// The URL that clients use; otherwise that of the options (public_base_url).
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The report as JSON, for programs.
    #[arg(long)]
    json: bool,
    /// How many seconds a request waits, as those of clients do that wait for news.
    #[arg(long, value_name = "SECONDS", default_value_t = Examination::LONG_POLL.as_secs())]
    wait: u64,
    /// Leaves that request out.
    #[arg(long, conflicts_with = "wait")]
    quick: bool,
    /// A web server whose date is compared with this machine's clock.
    #[arg(long, value_name = "URL")]
    clock: Option<String>,
    /// Connects to this address in place of that of the name.
    #[arg(long, value_name = "HOST:PORT=ADDRESS:PORT", value_parser = connect_to)]
    connect_to: Vec<ConnectTo>,
}

/// It is bad, or could not be looked at.
const BAD: u8 = 2;

/// Does what the command says.
pub(crate) fn doctor(
    command: Doctor,
    load: impl FnOnce() -> Result<Config, config::ConfigError>,
) -> ExitCode {
    match examined(command, load) {
        Ok(report) => ExitCode::from(report.exit_code()),
        Err(error) => {
            eprintln!("myelin: {error}");
            ExitCode::from(BAD)
        }
    }
}

fn examined(
    command: Doctor,
    load: impl FnOnce() -> Result<Config, config::ConfigError>,
) -> Result<Report, Box<dyn Error>> {
    let config = load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("myelin")
        .build()?;
    let as_json = command.json;
    let report = runtime.block_on(async {
        let inside = inside(&config).await;
        let examination = Examination {
            url: command.url,
            connect_to: command.connect_to,
            long_poll: Duration::from_secs(if command.quick { 0 } else { command.wait }),
            clock: command.clock,
            ..Examination::new(config, Host::system())
        };
        let tell = |finding: &Finding| {
            if !as_json {
                // Whoever reads has gone, as `head` does; the code still says it.
                let _ = write_finding(&mut io::stdout(), finding);
            }
        };
        examination.run(inside, &tell).await
    });
    let mut out = io::stdout();
    let _ = if as_json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)
    } else {
        writeln!(out, "{}", conclusion(&report))
    };
    Ok(report)
}

/// What the server that runs here says, or why it says nothing.
async fn inside(config: &Config) -> Result<Inside, String> {
    let socket = Socket(DataDir::socket_of(&config.data_dir));
    match socket.is_served().await {
        Ok(true) => {}
        Ok(false) => {
            let directory = config.data_dir.display();
            return Err(format!(
                "none runs here with the data directory {directory}"
            ));
        }
        Err(error) => return Err(error.to_string()),
    }
    let client = Client::new(&socket, Host::system());
    let told = client.post("/_myelin/admin/v1/doctor", &json!({})).await;
    let told = told.map_err(|error| error.to_string())?;
    let key = told["key"].as_str().ok_or("the server gives no key")?;
    Ok(Inside {
        key: key.to_owned(),
        open_files: told["open_files"].as_u64(),
    })
}

fn write_finding(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
    let level = match finding.level {
        Level::Ok => "ok",
        Level::Warn => "WARN",
        Level::Bad => "BAD",
    };
    writeln!(out, "{level:<5} {:<24} {}", finding.check, finding.seen)?;
    if let Some(fix) = &finding.fix {
        writeln!(out, "{:<5} {:<24} → {fix}", "", "")?;
    }
    out.flush()
}

fn conclusion(report: &Report) -> String {
    let count = |level| {
        let findings = report.findings.iter();
        findings.filter(|finding| finding.level == level).count()
    };
    match report.level {
        Level::Ok => format!("{}: all is well", report.url),
        _ => format!(
            "{}: {} bad, {} could be better",
            report.url,
            count(Level::Bad),
            count(Level::Warn)
        ),
    }
}

/// `host:port=address:port`.
fn connect_to(text: &str) -> Result<ConnectTo, String> {
    let wrong = || "write HOST:PORT=ADDRESS:PORT".to_owned();
    let (name, address) = text.split_once('=').ok_or_else(wrong)?;
    let (host, port) = name.rsplit_once(':').ok_or_else(wrong)?;
    let address: SocketAddr = address.parse().map_err(|_| wrong())?;
    Ok(ConnectTo {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: port.parse().map_err(|_| wrong())?,
        address,
    })
}
